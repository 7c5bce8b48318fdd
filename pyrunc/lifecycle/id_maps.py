# SPDX-License-Identifier: Apache-2.0
"""Id maps and clock offsets of a new namespace, written from outside while its first task waits.

A privileged caller writes /proc/PID/uid_map itself. Others may map only their own id; for more
there are the setuid programs newuidmap and newgidmap, which ask /etc/subuid and /etc/subgid.
"""

from __future__ import annotations

import errno
import os

from pyrunc.errors import Failure, HostError
from pyrunc.host import syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Final, Protocol

    class IdMapping(Protocol):
        """One line of a map."""

        @property
        def container_id(self) -> int: ...
        @property
        def host_id(self) -> int: ...
        @property
        def size(self) -> int: ...

    class Offset(Protocol):
        """The offset of a clock."""

        @property
        def secs(self) -> int: ...
        @property
        def nanosecs(self) -> int: ...


PROC_ROOT_INODE: Final = 1
HELPER_PATH: Final = ("/usr/bin", "/usr/local/bin", "/bin")
MAX_OUTPUT: Final = 4096


class ProcessFiles:
    """The directory /proc/PID of a child that is not reaped.

    Its pid cannot name another process.
    """

    __slots__ = ("_device", "fd", "pid")

    def __init__(self, pid: int) -> None:
        self.pid = pid
        facts = os.stat("/proc")
        if facts.st_ino != PROC_ROOT_INODE:
            raise HostError("/proc is not a procfs")
        self._device = facts.st_dev
        self.fd = os.open(f"/proc/{pid}", os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)

    def close(self) -> None:
        os.close(self.fd)

    def write(self, name: str, text: str) -> None:
        """Write with one write(2); a file that was mounted over is refused (PS-1)."""
        fd = os.open(name, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self.fd)
        try:
            if os.fstat(fd).st_dev != self._device:
                raise HostError(f"/proc/{self.pid}/{name} is not a file of procfs")
            data = text.encode()
            if os.write(fd, data) != len(data):
                raise OSError(errno.EIO, "short write")
        finally:
            os.close(fd)


def map_text(mappings: Iterable[IdMapping]) -> str:
    return "".join(f"{one.container_id} {one.host_id} {one.size}\n" for one in mappings)


def is_own_id(mappings: Sequence[IdMapping], own_id: int) -> bool:
    """Whether this maps nothing but the caller's own id, which needs no privilege."""
    return len(mappings) == 1 and mappings[0].size == 1 and mappings[0].host_id == own_id


def write_maps(
    files: ProcessFiles, *, uids: Sequence[IdMapping], gids: Sequence[IdMapping], pointer: str
) -> None:
    """Write both maps."""
    if os.geteuid() != 0 and is_own_id(gids, os.getegid()):
        # The kernel lets an unprivileged caller map its group only after setgroups was given up for
        # good: else a process could drop a group that is there to deny it something.
        files.write("setgroups", "deny")
    _write_map(files, kind="uid", mappings=uids, pointer=f"{pointer}/uidMappings")
    _write_map(files, kind="gid", mappings=gids, pointer=f"{pointer}/gidMappings")


def _write_map(
    files: ProcessFiles, *, kind: str, mappings: Sequence[IdMapping], pointer: str
) -> None:
    if not mappings:
        return
    try:
        files.write(f"{kind}_map", map_text(mappings))
    except OSError as error:
        if error.errno == errno.EPERM:
            _run_helper(files.pid, kind=kind, mappings=mappings, pointer=pointer)
            return
        raise Failure(
            f"cannot write the {kind} map of the user namespace",
            errno=error.errno or 0,
            pointer=pointer,
            hint="ranges must not overlap, and the caller's user namespace must map each host id"
            if error.errno == errno.EINVAL
            else "",
        ) from None


def _run_helper(pid: int, *, kind: str, mappings: Sequence[IdMapping], pointer: str) -> None:
    name = f"new{kind}map"
    program = find_program(name)
    if not program:
        raise HostError(
            f"cannot write the {kind} map of the user namespace: "
            f"it needs the program {name}, which is not installed",
            errno=errno.EPERM,
            pointer=pointer,
            hint="install the package uidmap (shadow-utils), or map only your own id with size 1",
        )
    words = [name, str(pid)]
    for mapping in mappings:
        words += [str(mapping.container_id), str(mapping.host_id), str(mapping.size)]
    out_read, out_write = os.pipe2(os.O_CLOEXEC)
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    try:
        _pid, pidfd = syscalls.run_program(
            os.fsencode(program),
            [word.encode() for word in words],
            [],
            stdin_fd=null,
            stdout_fd=out_write,
            stderr_fd=out_write,
        )
    finally:
        os.close(out_write)
        os.close(null)
    ended = syscalls.waitid_pidfd(pidfd)
    output = os.read(out_read, MAX_OUTPUT).decode("utf-8", "replace").strip()
    os.close(out_read)
    os.close(pidfd)
    if ended != (syscalls.CLD_EXITED, 0):
        raise HostError(
            f"cannot write the {kind} map of the user namespace: {name}: {output or 'failed'}",
            pointer=pointer,
            hint=f"/etc/sub{kind} must give the mapped host ids to the caller",
        )


def find_program(name: str) -> str:
    """Return the path of newuidmap or newgidmap, empty when there is none."""
    for directory in (*HELPER_PATH, *os.environ.get("PATH", "").split(":")):
        path = f"{directory}/{name}"
        if directory.startswith("/") and os.access(path, os.X_OK):
            return path
    return ""


def write_time_offsets(files: ProcessFiles, offsets: Mapping[str, Offset], *, pointer: str) -> None:
    """Shift the clocks of a new time namespace; possible only before a task has entered it."""
    text = "".join(
        f"{clock} {offset.secs} {offset.nanosecs}\n" for clock, offset in offsets.items()
    )
    try:
        files.write("timens_offsets", text)
    except OSError as error:
        raise Failure(
            f"cannot set the clock offsets {text.strip()!r}",
            errno=error.errno or 0,
            pointer=pointer,
            hint="ERANGE: a clock would be before its start or too far in the future"
            if error.errno == errno.ERANGE
            else "",
        ) from None
