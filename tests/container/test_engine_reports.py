# SPDX-License-Identifier: Apache-2.0
"""What users of engines reported about the runtime below them, replayed (docs/field.md)."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from conformance.engines.containerd import cgroup_values
from tests.support.bundle import Config
from tests.support.runtime import Runtime
from tests.support.types import Create, Run

PERIOD_US = 100000


@pytest.fixture
def listening(workspace: Path) -> Iterator[Path]:
    """A socket of the host, as that of Docker."""
    path = workspace / "docker.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        yield path


def test_a_socket_below_a_link_of_the_image_in_a_read_only_root(
    run: Run, config: Config, listening: Path
) -> None:
    """The target is on a tmpfs, behind the image's link from /var/run to /run."""
    (config.rootfs / "var").mkdir(exist_ok=True)
    (config.rootfs / "run").mkdir(exist_ok=True)
    (config.rootfs / "var/run").symlink_to("/run")
    config["root"]["readonly"] = True
    config.mount("/run", "tmpfs", "tmpfs", "nosuid", "nodev")
    config.bind(listening, "/var/run/docker.sock", "rbind", "rprivate", "ro")
    script = "test -S /run/docker.sock && grep -c ' /run/docker.sock ' /proc/mounts"
    assert run(config, "sh", "-c", script).ok().stdout == "1\n"


def test_a_bind_on_the_root_itself(run: Run, config: Config, workspace: Path) -> None:
    """The tree is then seen as the root: what was mounted before lies below it."""
    config["mounts"].insert(
        0,
        {
            "destination": "/",
            "type": "bind",
            "source": str(config.rootfs),
            "options": ["rbind", "rprivate"],
        },
    )
    (config.rootfs / "marker").write_text("seen")
    assert run(config, "cat", "/marker").ok().stdout == "seen"


def test_a_read_only_source_is_bound_without_a_word_in_a_user_namespace(
    run: Run, config: Config, workspace: Path
) -> None:
    """The flag of the host's mount is locked, and nobody asks to change it."""
    source = workspace / "store"
    source.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "ro,mode=755", "store", source], check=True)
    try:
        config.user_namespace()
        config.bind(source, "/mnt", "rbind")
        script = "touch /mnt/x 2>/dev/null || echo refused"
        assert run(config, "sh", "-c", script).ok().stdout == "refused\n"
    finally:
        subprocess.run(["umount", source], check=True)


def test_neither_proc_nor_sys(create: Create, config: Config) -> None:
    """A builder's container, or an image that hides them: run and exec."""
    for name in ("/proc", "/sys"):
        config.without_mount(name)
    (config.rootfs / "sys").rmdir()
    config["mounts"] = [
        one for one in config["mounts"] if not one["destination"].startswith("/sys")
    ]
    container = create(config, "sleep", "100").start()
    assert container.command("exec", "sh", "-c", "echo /proc/*").ok().stdout == "/proc/*\n"


def test_no_limit_above_that_of_the_parent(
    runtime: Runtime, config: Config, workspace: Path
) -> None:
    """Version 1 refuses a quota above the parent's; the error says which value it was."""
    parent = Path("/sys/fs/cgroup/cpu") / f"quota{os.getpid()}"
    if not parent.parent.is_dir():
        pytest.skip("version 2 takes any quota")
    parent.mkdir()
    try:
        (parent / "cpu.cfs_quota_us").write_text(str(PERIOD_US))
        config.linux["cgroupsPath"] = f"/{parent.name}/child"
        config.linux["resources"] = {"cpu": {"quota": 2 * PERIOD_US, "period": PERIOD_US}}
        result = runtime.run(config, "true")
        assert result.status == 1
        assert str(2 * PERIOD_US) in result.stderr
        assert "cpu.cfs_quota_us" in result.stderr
    finally:
        for hierarchy in Path("/sys/fs/cgroup").iterdir():
            for group in (hierarchy / parent.name / "child", hierarchy / parent.name):
                if group.is_dir():
                    group.rmdir()


def test_a_limit_that_was_not_there_at_create_is_set_by_update(
    create: Create, config: Config
) -> None:
    container = create(config, "sleep", "100").start()
    container.command("update", "--cpu-period", str(PERIOD_US), "--cpu-quota", "30000").ok()
    assert "30000" in cgroup_values(container.pid)["cpu"]


@pytest.mark.parametrize("user_namespace", [False, True])
def test_a_bind_before_the_cgroups(run: Run, config: Config, user_namespace: bool) -> None:
    """With descriptors of sources, the one of the bind must not be used for the next mount."""
    (config.bundle / "resolv.conf").write_text("of the host")
    if user_namespace:
        config.user_namespace()
    config.without_mount("/sys/fs/cgroup")
    config.bind(config.bundle / "resolv.conf", "/etc/resolv.conf", "bind")
    options = ("rprivate", "nosuid", "noexec", "nodev", "relatime", "ro")
    config.mount("/sys/fs/cgroup", "cgroup", "cgroup", *options)
    script = "cat /etc/resolv.conf; grep -c ' /sys/fs/cgroup ' /proc/mounts"
    assert run(config, "sh", "-c", script).ok().stdout == "of the host1\n"


def test_read_only_paths_in_a_user_namespace_with_the_pids_of_the_host(
    run: Run, config: Config
) -> None:
    """The host's /proc has locked flags there; the path is read-only all the same."""
    config.user_namespace()
    config.without_namespace("pid")
    config.without_mount("/proc")
    config.bind("/proc", "/proc", "rbind")
    config.linux["readonlyPaths"] = ["/proc/fs", "/proc/nosuch"]
    script = "grep -o ' /proc/fs proc r[ow]' /proc/self/mounts"
    assert run(config, "sh", "-c", script).ok().stdout == " /proc/fs proc ro\n"


def test_exec_after_an_exec_that_left_a_zombie(create: Create, config: Config) -> None:
    """The program of the container reaps nobody, as most programs of images."""
    container = create(config, "sleep", "100").start()
    container.command("exec", "sh", "-c", "(sleep 0 &) ; (sleep 0 & exec sleep 0.1) &").ok()
    for number in range(3):
        result = container.command("exec", "echo", str(number))
        assert result.ok().stdout == f"{number}\n"


def test_a_read_only_image_without_the_directory_of_a_mount(
    run: Run, config: Config, workspace: Path
) -> None:
    """A view of a snapshot: the error names the path that cannot be made."""
    view = workspace / "view"
    view.mkdir()
    subprocess.run(["mount", "--bind", config.rootfs, view], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", view], check=True)
        config["root"] = {"path": str(view), "readonly": True}
        config.mount("/volume", "tmpfs", "tmpfs")
        result = run(config, "true")
        assert result.status == 1
        assert "/volume" in result.stderr
        assert "read-only file system" in result.stderr.lower()
    finally:
        subprocess.run(["umount", view], check=True)


def test_a_domain_name_by_a_sysctl_while_the_rest_is_read_only(run: Run, config: Config) -> None:
    config.linux["sysctl"] = {"kernel.domainname": "example.org"}
    config.linux["readonlyPaths"] = ["/proc/sys"]
    script = "cat /proc/sys/kernel/domainname; echo x 2>/dev/null >/proc/sys/kernel/domainname"
    result = run(config, "sh", "-c", f"{script} || echo refused")
    assert result.ok().stdout == "example.org\nrefused\n"


def test_kill_of_a_container_that_has_ended_says_so(create: Create, config: Config) -> None:
    """A builder goes on for hours when it cannot tell this from another failure."""
    container = create(config, "true").start().wait()
    result = container.command("kill", "KILL")
    assert result.status == 1
    assert "container not running" in result.stderr
