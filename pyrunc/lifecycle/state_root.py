# SPDX-License-Identifier: Apache-2.0
"""The state root: ids of containers as names of directories, and how a name gets its directory.

A directory gets its id when it is complete and locked, by a rename that replaces nothing, and loses
it by a rename before its files are removed. So whoever opens an id finds a directory that is in use
or belongs to a container, never one that is about to be made or to go. Between opening and locking
it may lose its name to another one: that is what `holds` is asked after every lock.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time

from pyrunc.errors import HostError, StateError, UsageError
from pyrunc.host import syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

ID_CHARACTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-."
MAX_ID: Final = 255  # a file name

DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

# Names of directories that are no container's: no id begins with a dot.
COMING: Final = ".new-"
GOING: Final = ".old-"
KEEPER: Final = "intents"  # the file that every directory has
ATTEMPTS: Final = 100  # of a create against those who tidy up
NO_SUCH_FLAG: Final = (errno.EINVAL, errno.ENOSYS, errno.EPERM)  # NFS; a filter around us


def check_id(container_id: str) -> str:
    """Check an id, which becomes a file name, a part of cgroup names and of log records."""
    # strip() leaves nothing exactly when every character is allowed: a full match without `re`.
    good = container_id and not container_id.strip(ID_CHARACTERS)
    if not good or len(container_id) > MAX_ID or container_id[0] == ".":
        raise StateError(
            f"invalid container ID format: {container_id[:64]!r}",
            hint=f"1 to {MAX_ID} of A-Z a-z 0-9 _ + - . and no dot in front",
        )
    return container_id


def default_root() -> str:
    """/run/pyrunc for root, $XDG_RUNTIME_DIR/pyrunc for others and for root of a user namespace.

    Nothing else of the environment counts: podman calls with little more than XDG_RUNTIME_DIR.
    """
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if os.geteuid() != 0:
        if not runtime:
            raise HostError(
                "there is no directory for the state of containers: XDG_RUNTIME_DIR is not set",
                hint="set it, or use --root DIR",
            )
        return f"{runtime}/pyrunc"
    if runtime and in_user_namespace():
        return f"{runtime}/pyrunc"
    return "/run/pyrunc"


def in_user_namespace() -> bool:
    """Whether this is not the initial user namespace: its map is not the identity of all ids."""
    try:
        with open("/proc/self/uid_map", "rb", buffering=0) as file:
            return file.read(256).split() != [b"0", b"0", b"4294967295"]
    except FileNotFoundError:  # a kernel without user namespaces
        return False


def open_root(path: str, *, create: bool = False) -> int:
    """Open the state root, which must be the caller's alone (ST-3); -1 when there is none."""
    path = os.path.abspath(path or default_root())
    if path == "/":
        raise HostError("the state root must not be /", hint="use --root DIR")
    try:
        fd = os.open(path, DIRECTORY)
    except FileNotFoundError:
        if not create:
            return -1
        fd = _make_root(path)
    except OSError as error:
        raise HostError(f"cannot open the state root {path}", errno=error.errno or 0) from None
    check_ours(fd, f"the state root {path}", hint=f"chmod go-w {path}, or use another --root")
    return fd


def check_ours(fd: int, noun: str, *, hint: str) -> None:
    """Refuse a directory that others own or may write to, and close it."""
    facts = os.fstat(fd)
    if facts.st_uid != os.geteuid() or facts.st_mode & 0o022:
        os.close(fd)
        raise HostError(
            f"{noun} must belong to uid {os.geteuid()} and be writable by nobody else: "
            f"it belongs to {facts.st_uid}, mode {stat.S_IMODE(facts.st_mode):o}",
            hint=hint,
        )


def state_path(root: str, container_id: str) -> str:
    """Where a container's state is, for others to read: it is never opened by this path."""
    return f"{os.path.abspath(root or default_root())}/{container_id}"


def _make_root(path: str) -> int:
    try:
        os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)
        try:
            os.mkdir(path, 0o700)
        except FileExistsError:  # made by another create just now
            return os.open(path, DIRECTORY)
        fd = os.open(path, DIRECTORY)
        if os.fstat(fd).st_uid == os.geteuid():  # the name may have gone to another's directory
            os.fchmod(fd, 0o1700)  # sticky: systemd-tmpfiles leaves it alone
        return fd
    except OSError as error:
        raise HostError(f"cannot make the state root {path}", errno=error.errno or 0) from None


class NoContainer(StateError):
    """There is no container of this id."""


def missing(container_id: str) -> NoContainer:
    return NoContainer(
        f"container does not exist: {container_id}",
        hint="`pyrunc list` shows those that do; is the --root the one of its create?",
    )


def list_ids(root_fd: int) -> list[str]:
    """Return the names below a state root that can be containers; files of others are ignored."""
    names = []
    for name in os.listdir(root_fd):
        try:
            check_id(name)
        except StateError:
            continue
        names.append(name)
    return sorted(names)


def matching_ids(root: str, pattern: str) -> list[str]:
    """Return the ids that a regular expression matches as a whole."""
    import re

    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise UsageError(f"invalid regular expression {pattern!r}: {error}") from None
    root_fd = open_root(root)
    if root_fd < 0:
        return []
    return [name for name in list_ids(root_fd) if compiled.fullmatch(name)]


# -- names and directories -------------------------------------------------------------------------


def publish(root_fd: int, name: str) -> int:
    """Make a locked directory that has this name; FileExistsError: there is something of it.

    The caller owns the descriptor. Others tidy up what is not locked, which ends an attempt.
    """
    for _ in range(ATTEMPTS):
        hidden = _hidden_name(COMING)
        os.mkdir(hidden, 0o711, dir_fd=root_fd)
        fd = -1
        try:
            fd = os.open(hidden, DIRECTORY, dir_fd=root_fd)
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _rename_new(root_fd, hidden, name)
        except OSError as error:
            if fd >= 0:
                os.close(fd)
            if isinstance(error, FileNotFoundError | BlockingIOError):  # it was tidied up
                continue
            os.rmdir(hidden, dir_fd=root_fd)
            raise
        return fd
    raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN), name)


def withdraw(root_fd: int, name: str) -> str:
    """Take the name away from a locked directory; return what it is called now.

    Where there is no room for another name it keeps its own: it is removed all the same.
    """
    hidden = _hidden_name(GOING)
    try:
        os.rename(name, hidden, src_dir_fd=root_fd, dst_dir_fd=root_fd)
    except OSError:
        return name
    return hidden


def give_back(root_fd: int, hidden: str, name: str) -> None:
    """Undo `withdraw`, if nobody has taken the name since."""
    if hidden == name:
        return
    try:
        _rename_new(root_fd, hidden, name)
    except FileExistsError:
        return


def holds(root_fd: int, name: str, identity: tuple[int, int]) -> bool:
    """Whether the name is that of the directory with this device and inode."""
    try:
        status = os.stat(name, dir_fd=root_fd, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return (status.st_dev, status.st_ino) == identity


def abandoned(root_fd: int, *, remove: bool = False) -> list[str]:
    """List the directories that a killed create or delete has left without an id."""
    hidden = [name for name in os.listdir(root_fd) if name.startswith((COMING, GOING))]
    return [name for name in hidden if _abandoned(root_fd, name, remove=remove)]


def _abandoned(root_fd: int, name: str, *, remove: bool) -> bool:
    from pyrunc.host import files

    try:
        fd = os.open(name, DIRECTORY, dir_fd=root_fd)
    except OSError:  # it is gone; a link or a file is not ours
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if remove:
            files.remove_tree(root_fd, name, fd)
    except BlockingIOError:  # a command works on it
        return False
    finally:
        os.close(fd)
    return True


def _hidden_name(kind: str) -> str:
    # Commands in several pid namespaces can share a root: the time makes them differ.
    return f"{kind}{os.getpid()}-{time.monotonic_ns():x}"


def _rename_new(root_fd: int, old: str, new: str) -> None:
    """Rename a directory unless there is something of the new name."""
    try:
        syscalls.rename_new(root_fd, old, new)
        return
    except OSError as error:
        if error.errno not in NO_SUCH_FLAG:
            raise
    # rename(2) replaces a directory only by a directory, and only if it is empty: a file in every
    # directory makes it a claim, too.
    os.close(os.open(f"{old}/{KEEPER}", os.O_CREAT | os.O_CLOEXEC, 0o600, dir_fd=root_fd))
    try:
        os.rename(old, new, src_dir_fd=root_fd, dst_dir_fd=root_fd)
    except OSError as error:
        os.unlink(f"{old}/{KEEPER}", dir_fd=root_fd)
        if error.errno in (errno.ENOTEMPTY, errno.ENOTDIR):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), new) from None
        raise
