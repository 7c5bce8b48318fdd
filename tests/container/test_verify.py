# SPDX-License-Identifier: Apache-2.0
"""verify: a container that is as configured, and each way to differ."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.support import machine
from tests.support.bundle import Config
from tests.support.runtime import Container, Runtime
from tests.support.types import Create

NOSUID, BIND_REMOUNT = 2, 0x1020


@pytest.fixture
def full(config: Config) -> Config:
    """A configuration that uses what `verify` looks at."""
    config["root"]["readonly"] = True
    config["linux"]["maskedPaths"] = ["/proc/interrupts", "/proc/acpi", "/sys/firmware"]
    config["linux"]["readonlyPaths"] = ["/proc/sys"]
    config["linux"]["resources"] = {"pids": {"limit": 100}}
    config["linux"]["devices"] = [
        {"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 0o666}
    ]
    config["linux"]["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["acct"], "action": "SCMP_ACT_ERRNO"}],
    }
    config["process"]["noNewPrivileges"] = True
    config["mounts"].append(
        {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs",
         "options": ["nosuid", "nodev", "noexec"]}
    )  # fmt: skip
    return config


def pointers(container: Container) -> set[str]:
    shown = container.command("verify", "--format", "json")
    rows = json.loads(shown.stdout)
    assert shown.status == (1 if rows else 0)
    return {row["pointer"] for row in rows}


def test_a_container_is_as_configured_from_its_create_on(
    pyrunc: Runtime, create: Create, full: Config
) -> None:
    container = create(full, "sleep", "600")
    assert container.command("verify").ok().stdout == "as configured\n"
    container.start()
    assert container.command("verify").ok().stdout == "as configured\n"


def test_one_in_a_user_namespace_is_too(pyrunc: Runtime, create: Create, full: Config) -> None:
    maps = [{"containerID": 0, "hostID": 100000, "size": 65536}]
    full["linux"]["namespaces"].append({"type": "user"})
    full["linux"].update(uidMappings=maps, gidMappings=maps)
    full["linux"]["devices"] = []
    container = create(full, "sleep", "600").start()
    assert container.command("verify").ok().stdout == "as configured\n"


def test_a_changed_limit_is_told_with_both_values(
    pyrunc: Runtime, create: Create, full: Config
) -> None:
    container = create(full, "sleep", "600").start()
    (path,) = (
        line.split()[1]
        for line in pyrunc("explain", "--id", container.id, full.bundle).stdout.splitlines()
        if "pids.max" in line
    )
    Path(path).write_text("77")
    shown = container.command("verify")
    assert shown.status == 1
    assert shown.stdout == f"/linux/resources: {path}: 77, expected 100\n"
    container.command("update", "--pids-limit", "77").ok()
    assert container.command("verify").status == 0


def inside(container: Container, *argv: str) -> None:
    """Do something as root of the host in the container's mount namespace."""
    subprocess.run(["nsenter", "-t", str(container.pid), "-m", *argv], check=True)


def remount(container: Container, path: str, flags: str) -> None:
    """Give a mount of the container other flags; busybox has no option for this."""
    pid = os.fork()
    if pid == 0:
        fd = os.open(f"/proc/{container.pid}/ns/mnt", os.O_RDONLY)
        failed = machine.LIBC.setns(fd, 0)
        failed = failed or machine.LIBC.mount(
            None, path.encode(), None, BIND_REMOUNT | int(flags), None
        )
        os._exit(bool(failed))
    assert os.waitpid(pid, 0)[1] == 0


@pytest.mark.parametrize(
    ("argv", "pointer"),
    [
        (("umount", "/proc/sys"), "/linux/readonlyPaths/0"),
        (("umount", "/proc/interrupts"), "/linux/maskedPaths/0"),
        (("remount", "/", "0"), "/root/readonly"),
        (("umount", "/tmp"), "/mounts/{last}"),
        (("remount", "/tmp", str(NOSUID)), "/mounts/{last}/options"),
        (("rm", "/dev/fuse"), "/linux/devices/0"),
        (("mount", "-t", "ramfs", "x", "/tmp"), "/mounts/{last}"),
    ],
)
def test_what_was_changed_in_the_mount_namespace_is_found(
    pyrunc: Runtime, create: Create, full: Config, argv: tuple[str, ...], pointer: str
) -> None:
    container = create(full, "sleep", "600").start()
    remount(container, *argv[1:]) if argv[0] == "remount" else inside(container, *argv)
    assert pointers(container) == {pointer.format(last=len(full["mounts"]) - 1)}


def test_a_device_with_another_number_is_found(
    pyrunc: Runtime, create: Create, full: Config
) -> None:
    container = create(full, "sleep", "600").start()
    inside(container, "sh", "-c", "rm /dev/fuse && mknod /dev/fuse c 1 1")
    shown = container.command("verify")
    assert "expected c 10:229" in shown.stdout


def test_a_descriptor_that_leads_out_is_found(
    pyrunc: Runtime, create: Create, full: Config, workspace: Path
) -> None:
    secret = os.open(workspace, os.O_RDONLY | os.O_DIRECTORY)
    try:
        full.process["args"] = ["sleep", "600"]
        full.write()
        name = pyrunc.new_id()
        fd = os.dup2(secret, 3)
        done = pyrunc("create", "--bundle", full.bundle, "--preserve-fds", "1", name,
                      pass_fds=(fd,))  # fmt: skip
        done.ok()
        pyrunc("start", name).ok()
        shown = pyrunc("verify", name)
        assert shown.status == 1
        assert shown.stdout.startswith("/process: descriptor 3: ")
        assert str(workspace) in shown.stdout
        pyrunc("delete", "--force", name).ok()
    finally:
        os.close(secret)


def test_nothing_can_differ_in_a_stopped_container(
    pyrunc: Runtime, create: Create, full: Config
) -> None:
    container = create(full, "true").start()
    container.command("kill", "KILL")
    for _ in range(100):
        if container.state()["status"] == "stopped":
            break
    shown = container.command("verify")
    assert shown.status == 1
    assert "has stopped" in shown.error
