# SPDX-License-Identifier: Apache-2.0
"""Directories of the cgroup file systems, always as descriptors beneath a verified hierarchy.

A directory is opened without following links and its st_dev must be the hierarchy's: whatever else
is mounted or linked at that path is refused. Files are opened relative to such a descriptor, and
never created (CG-1): on a tmpfs that pretends to be a hierarchy a write fails instead of leaving an
ordinary file.
"""

from __future__ import annotations

import errno
import posix
import time

from pyrunc.cgroups.layout import DIRECTORY, read_whole
from pyrunc.errors import Failure, HostError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pyrunc.cgroups.layout import Hierarchy

READ = posix.O_RDONLY | posix.O_NOFOLLOW | posix.O_CLOEXEC
WRITE = posix.O_WRONLY | posix.O_NOFOLLOW | posix.O_CLOEXEC

REMOVE_FIRST_WAIT_S = 0.0005
REMOVE_MAX_WAIT_S = 0.1


def open_verified(path: str, *, device: int, dir_fd: int | None = None) -> int:
    """Open a directory that belongs to the superblock `device`."""
    fd = posix.open(path, DIRECTORY, dir_fd=dir_fd)
    if posix.fstat(fd).st_dev != device:
        posix.close(fd)
        raise HostError(f"{path} does not belong to the cgroup hierarchy that it is listed in")
    return fd


def open_hierarchy(hierarchy: Hierarchy) -> int:
    """Open the mount of a hierarchy once; the descriptor belongs to the hierarchy object."""
    if hierarchy.fd >= 0:
        return hierarchy.fd
    try:
        hierarchy.fd = open_verified(hierarchy.mount, device=hierarchy.device)
    except OSError as error:
        raise HostError(
            f"cannot open the cgroup hierarchy {hierarchy.mount}", errno=error.errno or 0
        ) from error
    return hierarchy.fd


def read_at(dir_fd: int, name: str) -> bytes:
    fd = posix.open(name, READ, dir_fd=dir_fd)
    try:
        data = posix.read(fd, 65536)
        # seq_file hands out whole records of up to a page at a time: go on until the end.
        if len(data) < 4000:
            return data
        chunks = [data]
        while data := posix.read(fd, 65536):
            chunks.append(data)
        return b"".join(chunks)
    finally:
        posix.close(fd)


def read_text(dir_fd: int, name: str) -> str:
    return read_at(dir_fd, name).decode("utf-8", "surrogateescape").strip()


def write_at(dir_fd: int, name: str, value: str) -> None:
    """One write(2): control files take a value as a whole or not at all."""
    fd = posix.open(name, WRITE, dir_fd=dir_fd)
    try:
        posix.write(fd, value.encode("utf-8", "surrogateescape"))
    finally:
        posix.close(fd)


def exists_at(dir_fd: int, name: str) -> bool:
    try:
        posix.stat(name, dir_fd=dir_fd, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def pids_at(dir_fd: int, *, file: str = "cgroup.procs") -> list[int]:
    """Return the pids in one cgroup, without 0: a process outside the caller's pid namespace."""
    return [pid for pid in map(int, read_at(dir_fd, file).split()) if pid]


def children(dir_fd: int) -> list[str]:
    """Return the names of the child cgroups."""
    # kernfs counts sub-directories in the link count: 2 means none, the usual case.
    if posix.fstat(dir_fd).st_nlink == 2:
        return []
    posix.lseek(dir_fd, 0, 0)  # scandir works on a duplicate, which shares the offset
    names = []
    with posix.scandir(dir_fd) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                names.append(entry.name)
    return sorted(names)


def files(dir_fd: int, *, prefix: str) -> list[str]:
    """Return the names of the control files that begin like this."""
    posix.lseek(dir_fd, 0, 0)
    return sorted(name for name in posix.listdir(dir_fd) if name.startswith(prefix))


def walk(dir_fd: int, path: str = "") -> Iterator[tuple[str, int]]:
    """(path below, descriptor), parents first. All but `dir_fd` are closed by the walk.

    What is mounted on a cgroup, such as a v1 hierarchy below /sys/fs/cgroup, is no part of it.
    """
    yield path, dir_fd
    for name in children(dir_fd):
        try:
            child = posix.open(name, DIRECTORY, dir_fd=dir_fd)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENODEV):  # removed while we looked
                continue
            raise
        try:
            if posix.fstat(child).st_dev == posix.fstat(dir_fd).st_dev:
                yield from walk(child, f"{path}/{name}" if path else name)
        except OSError as error:
            if error.errno != errno.ENODEV:  # the kernel's answer for a cgroup that has just gone
                raise
        finally:
            posix.close(child)


def subtree_pids(dir_fd: int) -> list[int]:
    pids: dict[int, None] = {}
    for _, fd in walk(dir_fd):
        try:
            pids.update(dict.fromkeys(_processes_in(fd)))
        except OSError as error:
            if error.errno not in (errno.ENODEV, errno.ENOENT):
                raise
    return list(pids)


def _processes_in(dir_fd: int) -> list[int]:
    """Return the processes with a thread in a cgroup; a threaded one does not list processes."""
    try:
        return pids_at(dir_fd)
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise
    return [
        leader for thread in pids_at(dir_fd, file="cgroup.threads") if (leader := _leader(thread))
    ]


def _leader(thread: int) -> int:
    """Return the process that a thread belongs to; 0 when it is gone."""
    try:
        text = read_whole(f"/proc/{thread}/status").decode("ascii", "replace")
    except OSError:
        return 0
    for line in text.splitlines():
        if line.startswith("Tgid:"):
            return int(line.split()[1])
    return 0


def make_path(top_fd: int, parts: Sequence[str], *, device: int) -> tuple[int, int]:
    """mkdir -p below a hierarchy; the leaf's descriptor, and how many components were there.

    The usual case is that the parents exist. A parent may be removed by a concurrent `delete`
    between our two calls: ENOENT starts again from the top, a bounded number of times.
    """
    path = "/".join(parts)
    present = len(parts) - 1
    for _ in range(10):
        new = True
        try:
            posix.mkdir(path, 0o755, dir_fd=top_fd)
        except FileExistsError:
            new = False
        except FileNotFoundError:
            present = min(present, _make_parents(top_fd, parts))
            continue
        try:
            if new:  # what the kernel makes below a verified directory is of the same superblock
                return posix.open(path, DIRECTORY, dir_fd=top_fd), present
            return open_verified(path, device=device, dir_fd=top_fd), len(parts)
        except FileNotFoundError:
            continue
    raise HostError(f"cgroup {path} is removed again and again by somebody else")


def _make_parents(top_fd: int, parts: Sequence[str]) -> int:
    """Make the parents of a path; return how many were there before the first that is new."""
    present = len(parts) - 1
    for depth in range(1, len(parts)):
        try:
            posix.mkdir("/".join(parts[:depth]), 0o755, dir_fd=top_fd)
        except FileExistsError:
            continue
        except FileNotFoundError:
            break  # lost a race: make_path starts again
        present = min(present, depth - 1)
    return present


def remove(top_fd: int, parts: Sequence[str], *, deadline: float) -> bool:
    """rmdir with all below it. False when it is still busy at the deadline (time.monotonic)."""
    path = "/".join(parts)
    wait = REMOVE_FIRST_WAIT_S
    while True:
        try:
            posix.rmdir(path, dir_fd=top_fd)
            return True
        except FileNotFoundError:
            return True
        except OSError as error:
            # A read-only file system is said before the name is looked up.
            if error.errno == errno.EROFS and not exists_at(top_fd, path):
                return True
            if error.errno not in (errno.EBUSY, errno.ENOTEMPTY):
                raise Failure(f"cannot remove the cgroup {path}", errno=error.errno or 0) from error
        _remove_children(top_fd, path)
        if time.monotonic() >= deadline:
            return _try_once(top_fd, path)
        # A process that has been killed leaves its cgroup in the last part of its exit.
        time.sleep(wait)
        wait = min(wait * 2, REMOVE_MAX_WAIT_S)


def _try_once(top_fd: int, path: str) -> bool:
    try:
        posix.rmdir(path, dir_fd=top_fd)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _remove_children(top_fd: int, path: str) -> None:
    try:
        fd = posix.open(path, DIRECTORY, dir_fd=top_fd)
    except FileNotFoundError:
        return
    try:
        below = [name for name, _ in walk(fd) if name]
        for name in reversed(below):
            _try_once(fd, name)
    except OSError as error:
        if error.errno != errno.ENODEV:
            raise
    finally:
        posix.close(fd)


def remove_empty_parents(top_fd: int, parts: Sequence[str], *, existing: int) -> None:
    """Remove the parents that were made for it (deeper than `existing`), while they are empty."""
    for depth in range(len(parts) - 1, existing, -1):
        if not _try_once(top_fd, "/".join(parts[:depth])):
            return
