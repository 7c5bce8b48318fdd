# SPDX-License-Identifier: Apache-2.0
"""Complaints about mounts, terminals and programs of other runtimes' users (docs/field.md)."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import machine, mountinfo
from tests.support.bundle import Config
from tests.support.runtime import TIMEOUT_S, Container, Runtime
from tests.support.types import Shell

MS_BIND, MS_SHARED = 4096, 1 << 20
OPEN_AGAIN = "echo out > /dev/stdout; echo err > /dev/stderr"


@pytest.mark.parametrize(("options", "mode"), [((), "1777"), (("mode=0444",), "444")])
def test_the_mode_of_a_tmpfs_does_not_depend_on_who_made_the_directory(
    shell: Shell, config: Config, options: tuple[str, ...], mode: str
) -> None:
    """The first run makes the directory, the second finds it."""
    config.mount("/scratch", "tmpfs", "tmpfs", *options)
    assert shell(config, "stat -c %a /scratch").strip() == mode
    if options:
        assert shell(config, "stat -c %a /scratch").strip() == mode


@pytest.mark.parametrize("user", [0, 1000])
@pytest.mark.parametrize("remapped", [False, True])
def test_a_user_opens_pipes_of_the_caller_again_by_name(
    pyrunc: Runtime, config: Config, user: int, remapped: bool
) -> None:
    """As nginx does with /dev/stdout: in a user namespace its root may not give them away, since
    their owner has no id there, so root as the caller does.
    """
    if remapped:
        config.user_namespace()
    config.process["user"] = {"uid": user, "gid": user}
    config.process["args"] = ["sh", "-c", OPEN_AGAIN]
    config.write()
    argv = pyrunc.argv("run", "--bundle", config.bundle, pyrunc.new_id())
    done = subprocess.run(
        argv, capture_output=True, text=True, check=False, timeout=TIMEOUT_S, input=""
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "out\n", "err\n")


@pytest.mark.parametrize("remapped", [False, True])
def test_exec_gives_them_to_its_user(
    pyrunc: Runtime, create: Callable[..., Container], config: Config, remapped: bool
) -> None:
    if remapped:
        config.user_namespace()
    container = create(config, "sleep", "600").start()
    argv = pyrunc.argv("exec", "--user", "1000:1000", container.id, "sh", "-c", OPEN_AGAIN)
    done = subprocess.run(
        argv, capture_output=True, text=True, check=False, timeout=TIMEOUT_S, input=""
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "out\n", "err\n")


def test_a_file_of_the_caller_stays_the_callers_in_a_user_namespace(
    pyrunc: Runtime, config: Config, workspace: Path
) -> None:
    """A log of root's does not become that of a subordinate id."""
    config.user_namespace()
    config.process["args"] = ["echo", "logged"]
    config.write()
    with (workspace / "log").open("w") as log:
        argv = pyrunc.argv("run", "--bundle", config.bundle, pyrunc.new_id())
        subprocess.run(argv, stdout=log, check=True, timeout=TIMEOUT_S, stdin=subprocess.DEVNULL)
    assert (workspace / "log").read_text() == "logged\n"
    assert (workspace / "log").stat().st_uid == os.geteuid()


def test_exec_adds_no_mounts(create: Callable[..., Container], config: Config) -> None:
    container = create(config, "sleep", "600").start()
    before = Path(f"/proc/{container.pid}/mountinfo").read_text()
    for _ in range(3):
        container.command("exec", "true").ok()
    assert Path(f"/proc/{container.pid}/mountinfo").read_text() == before


def test_without_a_mount_namespace_no_mount_of_the_host_changes(
    pyrunc: Runtime, config: Config, workspace: Path
) -> None:
    volume = workspace / "volume"
    volume.mkdir()
    machine.mount(str(volume), volume, flags=MS_BIND)
    machine.mount("none", volume, flags=MS_SHARED)
    try:
        config.without_namespace("mount")
        config["mounts"] = []
        for name in ("maskedPaths", "readonlyPaths"):
            config.linux.pop(name, None)
        before = Path("/proc/self/mountinfo").read_text()
        pyrunc.run(config, "true").ok()
        assert Path("/proc/self/mountinfo").read_text() == before
        assert str(volume) in mountinfo.parse(before)
    finally:
        machine.unmount(volume)


def test_a_cgroup_mount_after_a_bind_shows_cgroups(
    shell: Shell, config: Config, workspace: Path
) -> None:
    """In a user namespace, where sources are cloned before everything else."""
    config.user_namespace()
    (workspace / "resolv").write_text("nameserver")
    (workspace / "resolv").chmod(0o644)
    config.bind(workspace / "resolv", "/etc/resolv.conf")
    config.mount("/sys/fs/cgroup", "cgroup", "cgroup", "nosuid", "noexec", "nodev", "ro")
    shown = shell(config, "cat /etc/resolv.conf; find /sys/fs/cgroup -name cgroup.procs | head -1")
    assert shown.startswith("nameserver/sys/fs/cgroup/")


def test_a_program_that_only_a_capability_lets_run(pyrunc: Runtime, config: Config) -> None:
    """CAP_DAC_OVERRIDE executes what has an x for anybody."""
    config.file("prog", "#!/bin/sh\necho ran\n", mode=0o744)
    os.chown(config.rootfs / "prog", 5, 5)
    sets = ("bounding", "effective", "permitted", "inheritable", "ambient")
    config.capabilities(**{kind: ["CAP_DAC_OVERRIDE"] for kind in sets})
    config.process["user"] = {"uid": 1000, "gid": 1000}
    assert pyrunc.run(config, "/prog").ok().stdout == "ran\n"


def test_a_terminal_of_exec_is_that_of_its_user(
    pyrunc: Runtime, create: Callable[..., Container], config: Config
) -> None:
    container = create(config, "sleep", "600").start()
    script = "stat -c %u $(readlink -f /proc/self/fd/0)"
    argv = ("exec", "-t", "--user", "1000:1000", container.id, "sh", "-c", script)
    assert pyrunc(*argv).ok().stdout.strip() == "1000"
