# SPDX-License-Identifier: Apache-2.0
"""What is in the executable, and what must not be."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.runtime import TREE

ASSEMBLE = TREE / "csrc/launcher/assemble.py"
FORBIDDEN = (
    rb"/home/[a-z]",
    rb"/tmp/(?!myimport|pyrunc-training-)[a-z]",  # an example of zipimport's; training.py's own
    rb"pyrunc-training-[0-9]",
    rb"MAKEFLAGS",
    rb"LS_COLORS",
)


@pytest.mark.parametrize("name", ["pyrunc", "pyrunc-boot"])
def test_nothing_of_the_build_machine_is_in_the_binary(name: str) -> None:
    binary = TREE / "build" / name
    if not binary.exists():
        pytest.skip(f"{binary} is missing: run `make`")
    content = binary.read_bytes()
    for pattern in FORBIDDEN:
        assert re.findall(rb".{0,40}" + pattern + rb".{0,40}", content) == []
    here = [str(TREE), str(Path.home()) + "/", os.getcwd() + "/", platform.node()]
    # The template of `spec` has a PATH and a TERM.
    names = [name for name, value in os.environ.items() if len(value) > 3]
    variables = [f"{name}={os.environ[name]}" for name in names if name not in ("PATH", "TERM")]
    for text in [*(word for word in here if len(word) > 6), *variables]:
        assert text.encode() not in content, text


def test_a_dump_that_fails_leaves_a_program_that_starts_cold(tmp_path: Path, built: Path) -> None:
    broken = tmp_path / "undumped"
    broken.write_text("#!/bin/sh\necho no dump today >&2\nexit 3\n")
    broken.chmod(0o755)
    target = tmp_path / "pyrunc"
    done = subprocess.run(
        [sys.executable, "-B", ASSEMBLE, TREE / "build/pyrunc-boot", broken, target],
        check=True,
        capture_output=True,
        text=True,
    )
    assert "warning: the dump failed" in done.stderr
    assert "no dump today" in done.stderr
    said = subprocess.run([target, "--version"], check=True, capture_output=True, text=True)
    assert "launcher: boot" in said.stdout


def test_it_is_static_and_hardened(launcher: Path) -> None:
    said = subprocess.run(
        ["readelf", "--wide", "--program-headers", "--dynamic", launcher],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert "INTERP" not in said
    assert "NEEDED" not in said
    assert "GNU_RELRO" in said
    assert re.search(r"GNU_STACK.* RW ", said)
    assert not re.search(r"LOAD.* RWE ", said)


def loaded(launcher: Path) -> list[tuple[int, int, int]]:
    """Return offset, address and size in the file of each part that is mapped."""
    said = subprocess.run(
        ["readelf", "--wide", "--program-headers", launcher],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    lines = re.findall(r"^ +LOAD +(0x\w+) (0x\w+) 0x\w+ (0x\w+)", said, re.MULTILINE)
    return [(int(offset, 16), int(address, 16), int(size, 16)) for offset, address, size in lines]


def test_the_file_and_its_mapping_are_divided_alike(launcher: Path) -> None:
    """The kernel maps all of a piece of 64 KB that a page is in; across two pieces it maps both."""
    parts = loaded(launcher)
    assert len(parts) >= 4
    assert [part for part in parts if part[0] % 65536 != part[1] % 65536] == []


@pytest.mark.parametrize("name", ["FrozenImporter.find_spec", "commonpath", "_Environ"])
def test_the_modules_of_the_interpreter_are_in_the_heap(launcher: Path, name: str) -> None:
    """In CPython's data they would lie where no profile puts what is used side by side."""
    if b"launcher: undumped" not in subprocess.check_output([launcher, "--version"]):
        pytest.skip("the launcher has no dump")
    offset, address, size = loaded(launcher)[-1]
    assert address == 0x100000000000
    # The text of a string object: a name is interned, and so there is one.
    heap = launcher.read_bytes()[offset : offset + size]
    assert b"\0" + name.encode() + b"\0" in heap


def test_addresses_that_the_kernel_chooses_stay_random(launcher: Path) -> None:
    """Stack, mappings and vDSO: the launcher must not switch that off as its build does."""
    seen = set()
    for _ in range(4):
        traced = subprocess.run(
            ["strace", "-e", "trace=brk", launcher, "--version"],
            check=False,
            capture_output=True,
            text=True,
        )
        found = re.search(r"brk\(NULL\)\s+= (0x[0-9a-f]+)", traced.stderr)
        if found is None:
            pytest.skip("strace is missing or may not trace")
        seen.add(found.group(1))
    if Path("/proc/sys/kernel/randomize_va_space").read_text().strip() != "2":
        pytest.skip("the kernel does not randomise addresses")
    assert len(seen) > 1


def test_a_build_that_is_killed_leaves_nothing(
    tmp_path: Path, built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the rehearsal was doing: its directory and its container go."""
    monkeypatch.syspath_prepend(str(ASSEMBLE.parent))
    import assemble  # type: ignore[import-not-found]

    monkeypatch.setattr(assemble, "TIMEOUT_S", 3)
    monkeypatch.setattr(sys, "argv", ["assemble.py", str(TREE / "build/pyrunc-boot")])
    before = set(Path("/tmp").glob("pyrunc-training-*"))
    with pytest.raises(subprocess.TimeoutExpired):
        assemble.run(str(built / "undumped"), "--profile", str(tmp_path / "profile"))
    assert set(Path("/tmp").glob("pyrunc-training-*")) <= before
    assert not (tmp_path / "profile").exists()


@pytest.mark.parametrize("failures", [2, 3])
def test_a_rehearsal_that_fails_is_repeated(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    failures: int,
) -> None:
    """Without its profile the launcher touches 80 pages more; after the third time that is said."""
    monkeypatch.syspath_prepend(str(ASSEMBLE.parent))
    import assemble

    profile = tmp_path / "profile"
    tried: list[str] = []

    def rehearse(*command: str) -> str:
        tried.append(command[1])
        profile.write_text("a part of it" if len(tried) <= failures else "all")
        if len(tried) <= failures:
            raise assemble.DumpError("exit -5")
        return ""

    monkeypatch.setattr(assemble, "without_randomisation", rehearse)
    (tmp_path / "program").write_text("")
    assemble.make_profile(str(tmp_path / "program"), str(profile), given="")
    assert tried == ["--profile"] * 3
    assert profile.exists() == (failures < 3)
    assert ("warning: no profile" in capsys.readouterr().err) == (failures == 3)


def test_a_container_of_a_killed_build_is_deleted(
    tmp_path: Path, built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(ASSEMBLE.parent))
    import assemble

    said = tmp_path / "said"
    boot = tmp_path / "boot"
    boot.write_text(f'#!/bin/sh\necho "$@" >{said}\n')
    boot.chmod(0o755)
    killed = tmp_path / "killed"
    killed.write_text("#!/bin/sh\nmkdir -p $(printf /tmp/pyrunc-training-%010d $$)/state\nexit 3\n")
    killed.chmod(0o755)
    monkeypatch.setattr(sys, "argv", ["assemble.py", str(boot)])
    with pytest.raises(assemble.DumpError):
        assemble.run(str(killed))
    words = said.read_text().split()
    number = words[1].split("/")[2].removeprefix("pyrunc-training-")
    assert words[2:] == ["delete", "--force", f"pyrunc-rehearsal-{number}"]
    assert not Path(words[1]).parent.exists()
