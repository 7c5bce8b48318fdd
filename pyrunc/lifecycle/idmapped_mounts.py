# SPDX-License-Identifier: Apache-2.0
"""Id-mapped mounts: detached clones made from outside, since mapping needs root of the machine.

A map is handed to the kernel as a user namespace. One that the container has no use for is made by
a throw-away init, which ends when we close its socket.
"""

from __future__ import annotations

import errno
import os

from pyrunc.errors import Failure, HostError
from pyrunc.host import mountinfo, syscalls
from pyrunc.init import ops
from pyrunc.init.launch import spawn
from pyrunc.init.plan import Plan
from pyrunc.lifecycle import id_maps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyrunc.init.launch import Message
    from pyrunc.init.mount_idmap import MountRequest

MADE_INSIDE = (
    "a file system that the container makes itself has the ids of its user namespace already: "
    "leave idmap away"
)
CLONE_NEWUSER = 0x10000000
MOUNT_ATTR_IDMAP = 0x100000
OPEN_TREE_CLOEXEC = os.O_CLOEXEC


class Mapper:
    """Makes the mounts that a plan requests, in their order. Equal maps share a user namespace."""

    __slots__ = ("_done", "_maps", "_requests")

    def __init__(self, requests: Sequence[MountRequest]) -> None:
        self._requests = requests
        self._done = 0
        self._maps: dict[tuple[str, str], int] = {}

    def next(self, count: int, *, pid: int) -> list[int]:
        """Make the next `count` mounts; `pid` is a process in the container's user namespace."""
        made: list[int] = []
        try:
            for request in self._requests[self._done : self._done + count]:
                made.append(_make(request, self._user_namespace(request, pid)))
        except BaseException:
            for fd in made:
                os.close(fd)
            raise
        self._done += count
        return made

    def map(self, message: Message, plan: Plan, *, pid: int) -> Sequence[int]:
        """Answer the rendezvous `map`: map the ids of a mount that the init has cloned."""
        request = plan.mapped[plan.ops[message.op].pointer]
        try:
            _map(message.fds[0], request, self._user_namespace(request, pid))
        except Failure as failure:
            if failure.errno == errno.EINVAL and not request.uids:
                failure.hint = MADE_INSIDE
            raise
        return ()

    def close(self) -> None:
        for fd in self._maps.values():
            os.close(fd)
        self._maps = {}

    def _user_namespace(self, request: MountRequest, pid: int) -> int:
        key = (id_maps.map_text(request.uids), id_maps.map_text(request.gids))
        if key not in self._maps:
            self._maps[key] = _open_namespace(pid) if key == ("", "") else _new_namespace(request)
        return self._maps[key]


def _open_namespace(pid: int) -> int:
    return os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)


def _new_namespace(request: MountRequest) -> int:
    plan = Plan(
        [
            ops.Unshare(flags=CLONE_NEWUSER, action="make a user namespace for a map"),
            ops.Await(name=ops.RENDEZVOUS_NAMESPACES, slot=0, count=0, action="wait for the map"),
        ]
    )
    opened: list[int] = []
    child = spawn(plan)

    def take(message: Message) -> Sequence[int]:
        files = id_maps.ProcessFiles(child.pid)
        try:
            id_maps.write_maps(files, uids=request.uids, gids=request.gids, pointer=request.pointer)
        finally:
            files.close()
        opened.append(_open_namespace(child.pid))
        return ()

    try:
        handlers = {ops.RENDEZVOUS_NAMESPACES: take}
        child.serve(handlers, until=ops.RENDEZVOUS_NAMESPACES, on_forked=lambda: None)
    finally:
        child.kill()
    return opened[0]


def _make(request: MountRequest, user_namespace: int) -> int:
    flags = syscalls.OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC
    flags |= syscalls.AT_RECURSIVE if request.recursive else 0
    flags |= syscalls.AT_SYMLINK_NOFOLLOW if request.nofollow else 0
    try:
        tree = syscalls.open_tree(syscalls.AT_FDCWD, request.source, flags)
    except OSError as error:
        raise HostError(
            f"cannot clone the mount source {request.source}",
            errno=error.errno or 0,
            pointer=request.pointer,
        ) from None
    try:
        _map(tree, request, user_namespace)
    except Failure:
        os.close(tree)
        raise
    return tree


def _map(tree: int, request: MountRequest, user_namespace: int) -> None:
    try:
        syscalls.mount_setattr(
            tree,
            "",
            syscalls.AT_EMPTY_PATH | (syscalls.AT_RECURSIVE if request.map_recursive else 0),
            set=MOUNT_ATTR_IDMAP,
            userns_fd=user_namespace,
        )
    except OSError as error:
        raise _refused(request, error.errno or 0) from None


def _refused(request: MountRequest, number: int) -> Failure:
    kind = _file_system(request.source)
    return HostError(
        f"cannot map the ids of {request.source}, which is on {kind}",
        errno=number,
        pointer=request.pointer,
        hint=f"{kind} does not support id-mapped mounts on this kernel"
        if number == errno.EINVAL
        else "",
    )


def _file_system(path: str) -> str:
    """Return the type of the file system behind a path, from the mount that it is on."""
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            number = syscalls.mount_id(fd)
        finally:
            os.close(fd)
        for mount in mountinfo.read():
            if mount.id == number:
                return mount.type
    except (OSError, ValueError):
        pass  # only a word in a message
    return "its file system"
