# SPDX-License-Identifier: Apache-2.0
"""Whole plans in a user namespace: a created container and a program that joins it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyrunc.host import syscalls
from pyrunc.init import ops
from tests.init.harness import (
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWUSER,
    CLONE_NEWUTS,
    FIRST,
    HOST,
    MS_REC,
    MS_SLAVE,
    PROC,
    ROOT,
    Init,
    attach,
    clone,
    failure,
    output,
    shell,
    stop,
    tmpfs,
)
from tests.init.scenes import Outer, change, write_maps

pytestmark = pytest.mark.root

OTHERS = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET
RDONLY, NOSUID, NODEV, NOEXEC = 1, 2, 4, 8


def new(fstype: str, slot: int, *options: str, attributes: int = 0) -> ops.Op:
    return ops.NewMount(
        slot=slot, fstype=fstype, source=fstype, options=options, attributes=attributes
    )


def created(rootfs: Path, *end: ops.Op) -> list[ops.Op]:
    """About what a rootless bundle compiles to."""
    return [
        ops.Unshare(flags=CLONE_NEWUSER | OTHERS),
        ops.Await(name=ops.RENDEZVOUS_NAMESPACES, slot=0, count=0),
        ops.PropagateRoot(flags=MS_REC | MS_SLAVE),
        clone(FIRST, "/dev/null", kind=0o020000, rdev=os.makedev(1, 3)),
        ops.AttachRoot(slot=ROOT, path=str(rootfs), ask=0),
        ops.Become(uid=0, gid=0, keep_groups=0, tolerate=0),
        ops.SetDumpable(value=0),
        ops.Fork(cgroup=0),
        ops.SetSession(),
        ops.RaiseLoopback(),
        new("proc", FIRST + 1, attributes=NOSUID | NODEV | NOEXEC),
        tmpfs(FIRST + 2, "mode=755", attributes=NOSUID),
        new("devpts", FIRST + 3, "newinstance", "ptmxmode=0666", "mode=0620"),
        new("mqueue", FIRST + 4),
        new("sysfs", FIRST + 5, attributes=RDONLY),
        tmpfs(FIRST + 6, "nr_blocks=1", "nr_inodes=1", attributes=RDONLY),
        ops.OpenProc(slot=PROC, kind=ops.PROC_FULL),
        ops.EnterRoot(root=ROOT, host=HOST),
        attach(FIRST + 1, "/proc", ops.ATTACH_REAL_DIRECTORY),
        attach(FIRST + 2, "/dev"),
        attach(FIRST + 3, "/dev/pts"),
        attach(FIRST + 4, "/dev/mqueue"),
        attach(FIRST + 5, "/sys", ops.ATTACH_REAL_DIRECTORY),
        attach(FIRST, "/dev/null", ops.ATTACH_KEEP),
        ops.WriteProc(
            proc=PROC, path="sys/net/ipv4/ip_forward", value="1", readback="1", tolerate=0
        ),
        ops.CloseSlot(slot=PROC),
        ops.MakeReadonly(path="/proc/sys"),
        ops.Mask(path="/proc/keys", null=FIRST, directory=FIRST + 6),
        ops.Mask(path="/proc/irq", null=FIRST, directory=FIRST + 6),
        ops.VerifyMount(path="/proc/sys", attributes=RDONLY, magic=0x9FA0, index=0),
        ops.LeaveRoot(host=HOST),
        ops.Pivot(slot=ROOT),
        ops.NewKeyring(permissions=0x80008, tolerate=0),
        *end,
    ]


def start(init: Init) -> None:
    init.pause()
    write_maps(init.pid)
    init.go()


@pytest.fixture
def unprivileged(rootfs: Path) -> Path:
    """A rootfs that belongs to the mapped root."""
    for path in [rootfs, *rootfs.rglob("*")]:
        os.lchown(path, 100_000, 200_000)
    return rootfs


@pytest.fixture
def container(unprivileged: Path) -> Iterator[Init]:
    with Init(created(unprivileged, stop())) as init:
        start(init)
        init.pause()
        yield init


def test_a_container_in_a_user_namespace(unprivileged: Path) -> None:
    """AR-1 UN-3: from the unshare to the program, with nothing of the host left."""
    script = (
        "id -u; cat /proc/keys; ls /proc/irq; cat /proc/sys/net/ipv4/ip_forward;"
        "echo x >/dev/null && echo 1 >/proc/sys/net/ipv4/ip_forward; echo $$"
    )
    with Init(created(unprivileged, *shell(script))) as init:
        start(init)
        assert init.succeed() == 0
        assert init.text().splitlines() == [
            "0",
            "1",
            "/bin/sh: can't create /proc/sys/net/ipv4/ip_forward: Read-only file system",
            "1",
        ]


def test_what_is_mounted_is_exactly_what_the_plan_says(container: Init) -> None:
    lines = Path(f"/proc/{container.pid}/mountinfo").read_text().splitlines()
    devices = ["/dev", "/dev/mqueue", "/dev/null", "/dev/pts"]
    processes = ["/proc", "/proc/irq", "/proc/keys", "/proc/sys"]
    assert sorted(line.split()[4] for line in lines) == ["/", *devices, *processes, "/sys"]


def test_a_program_joins_the_container(container: Init) -> None:
    """JN-1 JN-2 JN-3 JN-4: exec."""
    flags = CLONE_NEWUSER | OTHERS
    plan = [
        ops.SetDumpable(value=0),
        ops.JoinProcess(slot=1, flags=flags),
        ops.Become(uid=0, gid=0, keep_groups=0, tolerate=0),
        ops.Fork(cgroup=0),
        ops.SetSession(),
        ops.OpenProc(slot=PROC, kind=ops.PROC_PIDS),
        ops.CloseSlot(slot=PROC),
        ops.SetGroups(gids=b""),
        ops.SetIds(uid=5, gid=6),
        ops.SetCapabilities(effective=0, permitted=0, inheritable=0, ambient=0),
        *shell("id; readlink /proc/self/ns/pid; echo /proc/self/fd/*"),
    ]
    target = syscalls.pidfd_open(container.pid)
    text = output(plan, objects=[target])
    os.close(target)
    lines = text.splitlines()
    assert lines[0] == "uid=5 gid=6"
    assert lines[1] == os.readlink(f"/proc/{container.pid}/ns/pid")
    assert lines[2] == "/proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2 /proc/self/fd/3"


def test_a_procfs_where_no_new_one_may_be_made(unprivileged: Path) -> None:
    """PS-1: without a pid namespace of its own the handle is a clone of /proc."""
    for kind in (ops.PROC_PIDS, ops.PROC_FULL):
        plan = [
            ops.Unshare(flags=CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET),
            ops.Await(name=ops.RENDEZVOUS_NAMESPACES, slot=0, count=0),
            ops.Become(uid=0, gid=0, keep_groups=0, tolerate=0),
            ops.OpenProc(slot=PROC, kind=kind),
            ops.WriteProc(
                proc=PROC, path="self/timerslack_ns", value="12345", readback="12345", tolerate=0
            ),
            stop(),
        ]
        with Init(plan) as init:
            start(init)
            init.pause()
            assert Path(f"/proc/{init.pid}/timerslack_ns").read_text() == "12345\n"


def test_a_new_procfs_needs_a_pid_namespace_of_ones_own() -> None:
    plan = [
        ops.Unshare(flags=CLONE_NEWUSER | CLONE_NEWNS),
        ops.Await(name=ops.RENDEZVOUS_NAMESPACES, slot=0, count=0),
        ops.Become(uid=0, gid=0, keep_groups=0, tolerate=0),
        new("proc", FIRST),
        stop(),
    ]
    with Init(plan) as init:
        start(init)
        found = init.fail()
    assert (found.op, found.errno) == ("new_mount", "EPERM")


def test_a_device_node_cannot_be_made(unprivileged: Path) -> None:
    node = ops.MakeDevice(path="/node", mode=0o20666, rdev=os.makedev(1, 3), uid=0, gid=0)
    with Init(created(unprivileged, node, stop())) as init:
        start(init)
        assert init.fail().short == ("make_device", "mknod", "EPERM")


def test_host_mounts_cannot_be_unlocked_by_the_container(rootfs: Path) -> None:
    """UN-10: a clone made after the user namespace was entered keeps its locks."""
    outer = Outer(rootfs)
    with outer.init:
        for flag in (RDONLY, NOSUID):
            found = outer.run(change(FIRST, clear=flag))
            assert found is not None
            assert found.errno == "EPERM"


def test_masks_can_be_put_over_what_is_locked(unprivileged: Path) -> None:
    plan = created(
        unprivileged,
        ops.Mask(path="/sys/firmware", null=FIRST, directory=FIRST + 6),
        ops.MakeReadonly(path="/sys"),
        stop(),
    )
    with Init(plan) as init:
        start(init)
        init.pause()


def test_a_leave_without_an_enter_is_an_error() -> None:
    assert failure([ops.LeaveRoot(host=HOST), stop()]).short == ("leave_root", "chdir", "EBADF")
