# SPDX-License-Identifier: Apache-2.0
"""Sources of bind mounts, and a root, that the container's init cannot clone itself (decision 021).

In its user namespace it lacks the caller's rights over the host's files, and finds the mounts below
a source locked. A throw-away init clones them with all rights of the caller, and once more in the
container's user namespace, so that the flags of the host's mounts are locked in the clone. A root
is cloned and attached in the container's mount namespace, where they are locked already.
"""

from __future__ import annotations

import os
import stat

from pyrunc.errors import HostError
from pyrunc.init import ops
from pyrunc.init.launch import spawn
from pyrunc.init.plan import Plan
from pyrunc.spec.constants import NAMESPACES
from pyrunc.spec.options import MS_REC, MS_SLAVE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyrunc.init.launch import Message

USER_NAMESPACE, CLONE, LOCKED = 1, 2, 3  # slots
MOUNT_NAMESPACE, ROOT = 1, 2  # those of the plan for a root
# Where the first clone is attached in a mount namespace that nobody else sees: paths that every
# host has, and that every user gets to.
STAGES = {True: "/proc", False: "/proc/version"}


def answer(message: Message, plan: Plan, *, pid: int) -> Sequence[int]:
    """Answer the rendezvous `source` of an init whose user namespace a process is in."""
    wanted = plan.ops[message.op]
    if isinstance(wanted, ops.AttachRoot):
        return attach_root(wanted, pid=pid)
    assert isinstance(wanted, ops.CloneTree)
    return clone(wanted, pid=pid)


def attach_root(wanted: ops.AttachRoot, *, pid: int) -> list[int]:
    """Attach the root in the new mount namespace of a process; return it, which the caller owns."""
    mount, action, pointer = NAMESPACES["mount"], wanted.action, wanted.pointer
    plan = Plan(
        [
            ops.SetDumpable(value=0),
            ops.JoinNamespace(slot=MOUNT_NAMESPACE, kind=mount, tolerate=0, action=action),
            ops.AttachRoot(slot=ROOT, path=wanted.path, ask=0, pointer=pointer, action=action),
            ops.SendMount(slot=ROOT, action=action),
        ],
        objects=("mount namespace",),
    )
    return _run(plan, f"/proc/{pid}/ns/mnt")


def cover(image: int, path: str, *, pid: int, action: str) -> None:
    """Attach a detached mount over a path in the new mount namespace of a process."""
    plan = Plan(
        [
            ops.SetDumpable(value=0),
            ops.JoinNamespace(
                slot=MOUNT_NAMESPACE, kind=NAMESPACES["mount"], tolerate=0, action=action
            ),
            ops.Attach(slot=ROOT, path=path, flags=ops.ATTACH_KEEP, action=action),
            ops.SendMount(slot=ROOT, action=action),
        ],
        objects=("mount namespace", "mount"),
    )
    for fd in _run(plan, f"/proc/{pid}/ns/mnt", image):
        os.close(fd)


def clone(wanted: ops.CloneTree, *, pid: int) -> list[int]:
    """Return a detached clone of a source, locked for the user namespace of a process.

    Raises Failure with the words of the mount for what the caller may not do either. The caller
    owns the descriptor.
    """
    plan = _plan(wanted, stage=STAGES[_is_directory(wanted)])
    return _run(plan, f"/proc/{pid}/ns/user")


def _run(plan: Plan, namespace_path: str, *objects: int) -> list[int]:
    """Run a throw-away init, which is given a namespace, up to the mount that it sends."""
    namespace = os.open(namespace_path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return receive(plan, (namespace, *objects), until=ops.RENDEZVOUS_MOUNTED)
    finally:
        os.close(namespace)


def receive(plan: Plan, objects: Sequence[int] = (), *, until: int) -> list[int]:
    """Run a throw-away init up to a rendezvous; return what it sends there.

    The caller owns the descriptors.
    """
    received: list[int] = []

    def take(message: Message) -> Sequence[int]:
        received.append(os.dup(message.fds[0]))
        return ()

    child = spawn(plan, objects)
    try:
        child.serve({until: take}, until=until, on_forked=lambda: None)
    finally:
        child.kill()
    return received


def _is_directory(wanted: ops.CloneTree) -> bool:
    try:
        mode = os.stat(wanted.path, follow_symlinks=not wanted.nofollow).st_mode
    except OSError as error:
        number = error.errno or 0
        raise HostError(f"cannot {wanted.action}", errno=number, pointer=wanted.pointer) from None
    return stat.S_ISDIR(mode)


def _plan(wanted: ops.CloneTree, *, stage: str) -> Plan:
    action, pointer, mount = wanted.action, wanted.pointer, NAMESPACES["mount"]

    def cloned(slot: int, path: str, *, nofollow: int) -> ops.CloneTree:
        return ops.CloneTree(
            slot=slot,
            path=path,
            recursive=wanted.recursive,
            nofollow=nofollow,
            type=wanted.type,
            rdev=wanted.rdev,
            ask=0,
            pointer=pointer,
            action=action,
        )

    return Plan(
        [
            ops.SetDumpable(value=0),
            ops.Unshare(flags=mount, action=action),
            ops.PropagateRoot(flags=MS_REC | MS_SLAVE, action=action),
            cloned(CLONE, wanted.path, nofollow=wanted.nofollow),
            ops.Attach(slot=CLONE, path=stage, flags=ops.ATTACH_PROC_ALLOWED, action=action),
            ops.JoinNamespace(
                slot=USER_NAMESPACE, kind=NAMESPACES["user"], tolerate=0, action=action
            ),
            ops.Unshare(flags=mount, action=action),
            cloned(LOCKED, stage, nofollow=0),
            ops.SendMount(slot=LOCKED, action=action),
        ],
        objects=("user namespace",),
    )
