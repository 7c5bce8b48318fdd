# SPDX-License-Identifier: Apache-2.0
"""The advice below an error fits the mistake that was made."""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from tests.support.bundle import Config
from tests.support.runtime import Runtime
from tests.support.types import Change, Create

TREE = Path(__file__).resolve().parents[2]
PT_INTERP = 3


def elf(machine: int, interpreter: str = "", *, bits: int = 64, big: bool = False) -> bytes:
    """The start of an ELF file of a machine, with at most one program header."""
    order = ">" if big else "<"
    ident = b"\x7fELF" + bytes((2 if bits == 64 else 1, 2 if big else 1, 1)) + bytes(9)
    size, header = (64, 56) if bits == 64 else (52, 32)
    count = 1 if interpreter else 0
    if bits == 64:
        head = struct.pack(
            f"{order}HHIQQQIHHHHHH", 2, machine, 1, 0, size, 0, 0, size, header, count, 0, 0, 0
        )
    else:
        head = struct.pack(
            f"{order}HHIIIIIHHHHHH", 2, machine, 1, 0, size, 0, 0, size, header, count, 0, 0, 0
        )
    if not interpreter:
        return ident + head + bytes(64)
    name, at = interpreter.encode() + b"\0", size + header
    if bits == 64:
        segment = struct.pack(f"{order}IIQQQQQQ", PT_INTERP, 4, at, 0, 0, len(name), len(name), 1)
    else:
        segment = struct.pack(f"{order}IIIIIIII", PT_INTERP, at, 0, 0, len(name), len(name), 4, 1)
    return ident + head + segment + name


PROGRAMS = [
    ("another architecture", elf(22, big=True), "built for s390x"),
    ("another word size", elf(40, bits=32), "built for arm,"),
    ("an unknown machine", elf(4242), "built for machine 4242 of elf.h, 64 bits"),
    ("a script's interpreter", b"#! /no/such -x\n", "interpreter /no/such, or"),
    ("line ends of DOS", b"#!/bin/sh\r\necho\r\n", "ends in a carriage return"),
    ("no #! line", b"echo\n", "neither an ELF file nor a script"),
    ("an empty file", b"", "neither an ELF file nor a script"),
    ("half a header", b"\x7fELF\x02\x01\x01", "neither an ELF file nor a script"),
]


@pytest.mark.parametrize(
    ("content", "advice"), [row[1:] for row in PROGRAMS], ids=[row[0] for row in PROGRAMS]
)
@pytest.mark.parametrize("verb", ["run", "exec"])
def test_a_program_that_cannot_run_is_looked_into(
    pyrunc: Runtime, config: Config, create: Create, content: bytes, advice: str, verb: str
) -> None:
    config.file("/bin/odd").write_bytes(content)
    (config.rootfs / "bin/odd").chmod(0o755)
    if verb == "run":
        result = pyrunc.run(config, "/bin/odd")
    else:
        container = create(config, "sleep", "600").start()
        result = container.command("exec", "odd")
    assert result.status in (1, 126, 127, 255)
    assert advice in result.stderr


def test_a_dynamic_loader_that_the_image_lacks_is_named(pyrunc: Runtime, config: Config) -> None:
    """The most frequent cause of `no such file or directory` for a program that is there."""
    shutil.copy("/bin/true", config.rootfs / "bin/odd")
    named = re.search(rb"\0(/lib[^\0]*/ld-[^\0]+)\0", Path("/bin/true").read_bytes())
    assert named is not None
    loader = named[1].decode()
    result = pyrunc.run(config, "/bin/odd")
    assert result.error.endswith("exec /bin/odd: no such file or directory")
    assert f"the program's dynamic loader {loader} is missing in the image" in result.stderr


def test_hostile_offsets_of_a_program_are_only_offsets(pyrunc: Runtime, config: Config) -> None:
    content = bytearray(elf(62, "/no/loader"))
    content[32:40] = b"\xff" * 8  # the place of the program headers
    config.file("/bin/odd").write_bytes(content)
    (config.rootfs / "bin/odd").chmod(0o755)
    result = pyrunc.run(config, "/bin/odd")
    assert result.status
    assert "exec /bin/odd: " in result.error
    assert "without a report" not in result.stderr


def test_a_directory_of_exec_is_not_said_to_be_in_the_configuration(
    pyrunc: Runtime, create: Create, config: Config
) -> None:
    container = create(config, "sleep", "600").start()
    result = pyrunc("exec", "--cwd", "/nosuch", container.id, "true")
    assert 'chdir to cwd ("/nosuch") failed: no such file or directory' in result.error
    assert "config.json" not in result.stderr


@pytest.mark.parametrize(
    ("kind", "option", "meant"),
    [("tmpfs", "rdonly", "ro"), ("tmpfs", "no_suid", "nosuid"), ("proc", "hidpid", "hidepid"),
     ("devpts", "newinstnce", "newinstance"), ("sysfs", "noexce", "noexec")],
)  # fmt: skip
def test_a_misspelt_option_of_a_file_system_is_named_with_its_place(
    pyrunc: Runtime, config: Config, kind: str, option: str, meant: str
) -> None:
    config.mount("/mnt", kind, kind, "nodev", option)
    result = pyrunc.run(config, "true")
    index = len(config["mounts"]) - 1
    where = f"/mounts/{index}/options/1: unknown option '{option}'"
    assert f"{where}; did you mean '{meant}'?" in result.error


def test_what_resource_limits_have_in_common_suggests_none(pyrunc: Runtime, config: Config) -> None:
    config.process["rlimits"] = [
        {"type": "RLIMIT_X", "soft": 1, "hard": 1},
        {"type": "RLIMIT_NOFILES", "soft": 1, "hard": 1},
    ]
    result = pyrunc.run(config, "true")
    lines = result.stderr.splitlines()
    assert "did you mean" not in lines[0]
    assert "did you mean 'RLIMIT_NOFILE'?" in lines[1]


def test_a_group_of_the_ping_range_without_a_mapping_is_named(
    pyrunc: Runtime, config: Config
) -> None:
    config.user_namespace()
    config.linux["sysctl"] = {"net.ipv4.ping_group_range": "0 2147483647"}
    result = pyrunc.run(config, "true")
    assert "ping_group_range: group 2147483647 is not in linux.gidMappings" in result.error
    config.linux["sysctl"] = {"net.ipv4.ping_group_range": "0 65535"}
    pyrunc.run(config, "true").ok()


def test_a_caller_in_a_chroot_hears_what_is_wrong_with_its_root(
    pyrunc: Runtime, config: Config, tmp_path: Path
) -> None:
    """And the advice works. In a mount namespace of its own, whose end undoes all of it."""
    config.process["args"] = ["true"]
    config.write()
    jail = tmp_path / "jail"
    jail.mkdir()
    words = " ".join(pyrunc.argv("run", "--bundle", config.bundle, pyrunc.new_id()))
    tops = sorted(entry.name for entry in Path("/").iterdir() if entry.is_dir())
    fill = f"for d in {' '.join(tops)}; do mkdir -p $J/$d; mount --rbind /$d $J/$d; done"
    for bind, status in (("true", 1), ("mount --bind $J $J", 0)):
        script = f"set -e; J={jail}; mount --make-rprivate /; {bind}; {fill}; chroot $J {words}"
        result = subprocess.run(
            ["unshare", "--mount", "sh", "-c", script], capture_output=True, text=True, check=False
        )
        assert result.returncode == status, result.stderr
        if status:
            assert "mount --bind DIRECTORY DIRECTORY before chroot" in result.stderr


def test_the_example_of_the_readme_is_what_the_program_prints(
    pyrunc: Runtime, config: Config
) -> None:
    text = " ".join((TREE / "README.md").read_text().split())
    (example,) = re.findall(r"`(config\.json: /[^`]*unknown option[^`]*)`", text)
    match = re.match(r"config\.json: /mounts/(\d)/options/(\d): unknown option '(\w+)'", example)
    assert match
    config["mounts"][int(match[1]) :] = []
    options = ["nodev", "nosuid", "noexec"][: int(match[2])]
    config.mount("/mnt", "tmpfs", "tmpfs", *options, match[3])
    config.write()
    for verb, words in (("run", ["--bundle", config.bundle, "one"]), ("check", [config.bundle])):
        result = pyrunc(verb, *words)
        assert result.status == 1
        assert example.removeprefix("config.json: " if verb == "check" else "") in (
            result.stdout + result.stderr
        )


def mistakes_of_the_file(config: Config) -> None:
    config["ociVersion"] = "one"
    config["hostname"] = "x" * 100
    config["root"]["path"] = ""
    config.process["cwd"] = "relative"
    config.process["rlimits"] = [{"type": "RLIMIT_X", "soft": 1, "hard": 1}]
    config.mount("/mnt", "tmpfs", "tmpfs", "rdonly")
    config.mount("/mnt", "", "")
    config.linux["sysctl"] = {"kernel.panic": "1"}
    config.linux["maskedPaths"] = [3]
    config.linux["resources"] = {"memory": {"limit": "many"}}


def mistakes_for_the_host(config: Config) -> None:
    """What only the host, the filter's compiler and the planner know."""
    config.linux["mountLabel"] = "system_u:object_r:container_file_t:s0"
    config.process["selinuxLabel"] = "system_u:system_r:container_t:s0"
    config.process["apparmorProfile"] = "nosuch"
    config.mount("/mnt", "proc", "proc", "tmpcopyup")
    config.linux["seccomp"] = {"defaultAction": "SCMP_ACT_ERRNO"}


@pytest.mark.parametrize(
    ("change", "count"), [(mistakes_of_the_file, 10), (mistakes_for_the_host, 5)]
)
def test_every_mistake_has_a_line_in_one_run(
    pyrunc: Runtime, config: Config, change: Change, count: int
) -> None:
    change(config)
    config.write()
    result = pyrunc("run", "--bundle", config.bundle, pyrunc.new_id())
    lines = result.stderr.splitlines()
    assert len(lines) == count, result.stderr
    assert all("  config  /" in line for line in lines[1:])
    checked = pyrunc("check", config.bundle).stdout
    assert f"{count} error(s)" in checked
