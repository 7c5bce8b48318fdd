# SPDX-License-Identifier: Apache-2.0
"""Options of mounts that are no options, that do nothing, or that meet other ones of the source."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import machine, mountinfo
from tests.support.bundle import Config
from tests.support.runtime import Runtime
from tests.support.types import Run, Shell

TABLE = "cat /proc/self/mountinfo"
NOATIME, STRICTATIME = 1024, 1 << 24
RULES = {"relatime": 0, "noatime": NOATIME, "strictatime": STRICTATIME}


@pytest.fixture
def timed(workspace: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A file system with an access time rule of its own."""
    top = workspace / "timed"
    top.mkdir()
    machine.mount("tmpfs", top, "tmpfs", flags=RULES[request.param])
    yield top
    machine.unmount(top)


def rule(shell: Shell, config: Config) -> str:
    found = mountinfo.parse(shell(config, TABLE))["/mnt"].options
    return next((name for name in ("noatime", "relatime") if name in found), "strictatime")


# -- access times ---------------------------------------------------------------------------------


@pytest.mark.parametrize("timed", RULES, indirect=True)
@pytest.mark.parametrize("option", RULES)
def test_a_rule_that_is_asked_for_replaces_the_sources(
    shell: Shell, config: Config, timed: Path, option: str
) -> None:
    config.bind(timed, "/mnt", "bind", option)
    assert rule(shell, config) == option


@pytest.mark.parametrize(
    ("timed", "option"),
    [
        ("noatime", "norelatime"),
        ("noatime", "nostrictatime"),
        ("strictatime", "norelatime"),
        ("strictatime", "atime"),
        ("relatime", "atime"),
        ("relatime", "norelatime"),
    ],
    indirect=["timed"],
)
def test_the_absence_of_another_rule_leaves_the_sources(
    shell: Shell, config: Config, timed: Path, option: str, request: pytest.FixtureRequest
) -> None:
    config.bind(timed, "/mnt", "bind", option)
    assert rule(shell, config) == request.node.callspec.params["timed"]


@pytest.mark.parametrize(
    ("timed", "option"),
    [("noatime", "atime"), ("strictatime", "nostrictatime")],
    indirect=["timed"],
)
def test_the_absence_of_the_sources_rule_is_the_default(
    pyrunc: Runtime, shell: Shell, config: Config, timed: Path, option: str
) -> None:
    """runc and crun leave noatime where `atime` is asked for."""
    config.bind(timed, "/mnt", "bind", option)
    assert rule(shell, config) == "relatime"


@pytest.mark.parametrize(
    ("timed", "option"),
    [("noatime", "atime"), ("strictatime", "nostrictatime")],
    indirect=["timed"],
)
def test_in_a_user_namespace_the_rule_of_the_source_stays(
    shell: Shell, config: Config, timed: Path, option: str, request: pytest.FixtureRequest
) -> None:
    """It is locked there; peers start, too."""
    config.bind(timed, "/mnt", "bind", option)
    config.user_namespace()
    assert rule(shell, config) == request.node.callspec.params["timed"]


# -- options without effect -----------------------------------------------------------------------


@pytest.mark.parametrize("user_namespace", [False, True])
def test_empty_options_are_none(shell: Shell, config: Config, user_namespace: bool) -> None:
    """Podman 5 writes them for /run, /tmp, /run/lock and /var/log/journal of systemd."""
    for mount in config["mounts"]:
        mount["options"] = ["", *mount.get("options", []), ""]
    config.mount("/run", "tmpfs", "tmpfs", "nosuid", "nodev", "tmpcopyup", "")
    config.mount("/sys/fs/cgroup", "cgroup", "cgroup", "", "nosuid", "noexec", "nodev", "ro")
    (config.bundle / "volume").mkdir()
    config.bind(config.bundle / "volume", "/mnt", "", "bind", "ro", "")
    if user_namespace:
        config.user_namespace()
    found = mountinfo.parse(shell(config, TABLE))
    assert {"nosuid", "nodev"} <= found["/run"].options
    assert "ro" in found["/mnt"].options


@pytest.mark.parametrize("option", ["sync", "dirsync", "mand", "lazytime", "iversion"])
def test_an_option_of_the_file_system_does_nothing_for_a_bind(
    run: Run, config: Config, option: str
) -> None:
    (config.bundle / "volume").mkdir()
    config.bind(config.bundle / "volume", "/mnt", "bind", option, "nodev")
    result = run(config, "cat", "/proc/self/mountinfo").ok()
    assert "nodev" in mountinfo.parse(result.stdout)["/mnt"].options


def test_an_option_without_effect_is_a_warning(pyrunc: Runtime, config: Config) -> None:
    (config.bundle / "volume").mkdir()
    config.bind(config.bundle / "volume", "/mnt", "bind", "sync", "ro", "mode=700")
    result = pyrunc.run(config, "true").ok()
    assert "/mounts/5/options: a bind mount shows the file system of its source" in result.stderr
    assert "these options do nothing: 'sync,mode=700'" in result.stderr


# -- empty strings elsewhere ----------------------------------------------------------------------


def test_an_empty_readonly_path_protects_nothing_and_the_others_stay(
    run: Run, config: Config
) -> None:
    config.linux["readonlyPaths"] = ["", "/mnt"]
    run(config, "sh", "-c", "touch /new && ! touch /mnt/new").ok()


def test_an_empty_masked_path_masks_nothing_and_the_others_stay(
    pyrunc: Runtime, config: Config
) -> None:
    config.file("secret", "told")
    config.linux["maskedPaths"] = ["", "/secret"]
    assert pyrunc.run(config, "cat", "/secret").ok().stdout == ""


def test_an_empty_argument_arrives(run: Run, config: Config) -> None:
    assert run(config, "sh", "-c", 'echo "$#:$1:$2"', "sh", "", "b").ok().stdout == "2::b\n"


def test_an_empty_variable_of_a_hook_is_none(run: Run, config: Config) -> None:
    script = f"env >{config.bundle}/seen"
    config.hook("poststart", "/bin/sh", "-c", script, env=["", "A=1", ""])
    run(config, "true").ok()
    assert "A=1\n" in (config.bundle / "seen").read_text()


def test_an_empty_variable_of_the_process_is_refused(pyrunc: Runtime, config: Config) -> None:
    """As runc does; crun starts the program without it."""
    config.process["env"] += [""]
    result = pyrunc.run(config, "true")
    assert result.status == 1
    assert "/process/env/1: invalid environment variable: missing '='" in result.error


@pytest.mark.parametrize("lists", ["bounding", "effective", "permitted"])
def test_an_empty_capability_is_ignored(run: Run, config: Config, lists: str) -> None:
    config.process["capabilities"][lists].insert(0, "")
    run(config, "true").ok()


# -- tmpcopyup ------------------------------------------------------------------------------------


def test_holes_of_a_copied_file_stay_holes(pyrunc: Runtime, shell: Shell, config: Config) -> None:
    """An image's sparse file may be larger than all memory."""
    config.file("data/small", "small")
    with (config.rootfs / "data/large").open("wb") as file:
        file.write(b"begin")
        file.seek(5 << 40)
        file.write(b"middle")
        file.truncate(6 << 40)
    (config.rootfs / "data/empty").touch()
    config.mount("/data", "tmpfs", "tmpfs", "tmpcopyup", "size=1m")
    script = (
        "cat /data/small; stat -c %s /data/large /data/empty; head -c 5 /data/large;"
        f"dd if=/data/large bs=1024k skip={5 << 20} count=1 2>/dev/null | head -c 6"
    )
    assert shell(config, script) == f"small{6 << 40}\n0\nbeginmiddle"


def test_a_copied_file_of_several_parts_is_the_same(shell: Shell, config: Config) -> None:
    content = bytes(range(256)) * 20000  # larger than what is copied at once
    with config.file("data/file").open("wb") as file:
        file.write(content)
        file.seek(32 << 20)
        file.write(content)
    config.mount("/data", "tmpfs", "tmpfs", "tmpcopyup")
    found = shell(config, "md5sum </data/file").split()[0]
    wanted = hashlib.md5((config.rootfs / "data/file").read_bytes(), usedforsecurity=False)
    assert found == wanted.hexdigest()


def test_a_copy_does_not_leave_the_image_through_a_link(
    shell: Shell, config: Config, workspace: Path
) -> None:
    outside = workspace / "outside"
    outside.mkdir()
    (outside / "secret").write_text("of the host")
    (config.rootfs / "data").symlink_to(outside)
    config.file("other/file", "of the image")
    (config.rootfs / "other/link").symlink_to(outside / "secret")
    config.mount("/data", "tmpfs", "tmpfs", "tmpcopyup")
    config.mount("/other", "tmpfs", "tmpfs", "tmpcopyup")
    assert shell(config, "ls -A /data; cat /other/file; readlink /other/link") == (
        f"of the image{outside}/secret\n"
    )


def test_a_copy_that_does_not_fit_says_so(pyrunc: Runtime, config: Config) -> None:
    config.file("data/file", "x" * 20000)
    config.mount("/data", "tmpfs", "tmpfs", "tmpcopyup", "size=8k")
    result = pyrunc.run(config, "true")
    assert result.status == 1
    assert "no space left on device" in result.error
    assert "raise its size=" in result.stderr
