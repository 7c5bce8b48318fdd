# SPDX-License-Identifier: Apache-2.0
"""Plans and surroundings that tests of several kinds of ops share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pyrunc.init import ops
from tests.init.harness import (
    CLONE_NEWNS,
    CLONE_NEWUSER,
    FIRST,
    Failed,
    Init,
    clone,
    enter,
    private_mounts,
    stop,
    tmpfs,
)


def write_maps(pid: int, *, deny: bool = False) -> None:
    if deny:
        Path(f"/proc/{pid}/setgroups").write_text("deny")
    Path(f"/proc/{pid}/uid_map").write_text("0 100000 65536\n")
    Path(f"/proc/{pid}/gid_map").write_text("0 200000 65536\n")


def snapshot(directory: Path) -> list[tuple[str, int, int, int, int, int, str]]:
    """Names, inodes, modes, owners, times and content of the canary."""
    found = []
    for path in [directory, *sorted(directory.rglob("*"))]:
        facts = path.lstat()
        content = path.read_text() if path.is_file() else ""
        found.append(
            (
                str(path),
                facts.st_ino,
                facts.st_mode,
                facts.st_uid,
                facts.st_nlink,
                facts.st_ctime_ns,
                content,
            )
        )
    return found


HOST_OPS = ("clone_tree", "new_mount")


def arranged(rootfs: Path, actions: Sequence[ops.Op]) -> list[ops.Op]:
    """Objects of the host before the root is entered, the rest after."""
    before = [op for op in actions if op.NAME in HOST_OPS]
    after = [op for op in actions if op.NAME not in HOST_OPS]
    head = enter(rootfs)
    return [*head[:-1], *before, head[-1], *after, stop()]


RDONLY, NOSUID, NODEV, NOEXEC = 1, 2, 4, 8


ATIME, NOATIME, STRICTATIME, NODIRATIME = 0x70, 0x10, 0x20, 0x80


def inside(rootfs: Path, host: list[ops.Op], *after: ops.Op) -> list[ops.Op]:
    head = enter(rootfs)
    return [*head[:-1], *host, head[-1], *after, stop()]


def change(
    slot: int,
    *,
    set: int = 0,
    clear: int = 0,
    recursive: int = 0,
    keep: int = 0,
    explicit: int = 0,
) -> ops.Op:
    return ops.SetAttributes(
        slot=slot, set=set, clear=clear, recursive=recursive, keep_locked=keep, explicit=explicit
    )


def locked(then: list[ops.Op]) -> list[ops.Op]:
    """In a user namespace whose mounts below /tmp/locked are those of somebody else."""
    return [
        ops.Unshare(flags=CLONE_NEWUSER | CLONE_NEWNS),
        ops.Await(name=ops.RENDEZVOUS_NAMESPACES, slot=0, count=0),
        *then,
        stop(),
    ]


class Outer:
    """A mount namespace with a tmpfs that is ro, nosuid and noatime, to be entered first."""

    def __init__(self, rootfs: Path) -> None:
        self.point = rootfs / "tmp"
        self.init = Init(
            [
                *private_mounts(),
                tmpfs(FIRST, attributes=RDONLY | NOSUID | NOATIME),
                ops.Attach(slot=FIRST, path=str(self.point), flags=0),
                stop(),
            ]
        )
        self.init.pause()

    def run(self, *then: ops.Op) -> Failed | None:
        plan = [
            ops.JoinProcess(slot=1, flags=CLONE_NEWNS),
            *locked(
                [
                    ops.Become(uid=0, gid=0, keep_groups=0, tolerate=0),
                    clone(FIRST, self.point),
                    *then,
                ]
            ),
        ]
        with Init(plan, objects=[self.init.pidfd]) as init:
            init.pause()
            write_maps(init.pid)
            init.go()
            message = init.receive()
            assert message is not None
            return None if message.type == 1 else Failed(plan, message)
