# SPDX-License-Identifier: Apache-2.0
"""The system calls that Python lacks, one function each, over ``pyrunc._native`` (csrc/native).

Every function raises ``OSError(errno, text[, subject])``; every descriptor that one returns is
close-on-exec. A call that a signal interrupts is repeated, after the Python handler has run.
``setns`` is not offered: Python never joins a container. Nothing here decides anything.
"""

from __future__ import annotations

import os
import time

from pyrunc._native import ffi, lib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any, NoReturn

AT_FDCWD = -100
AT_EMPTY_PATH = 0x1000
AT_SYMLINK_NOFOLLOW = 0x100
AT_RECURSIVE = 0x8000

OPEN_TREE_CLONE = 1
MOVE_MOUNT_F_EMPTY_PATH = 0x04
MOVE_MOUNT_T_EMPTY_PATH = 0x40

RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_IN_ROOT = 0x10

FSCONFIG_SET_FLAG = 0
FSCONFIG_CMD_RECONFIGURE = 7

SOCK_STREAM = 1
SOCK_DGRAM = 2

POLLIN = 0x01
POLLOUT = 0x04
POLLHUP = 0x10

# si_code of waitid: the status is an exit code; any other value: the signal that ended the process.
CLD_EXITED = 1

# Processors in an affinity mask of "all"; the kernel drops those that machine or cpuset lack.
MAX_PROCESSORS = 8192

# Where a starting child can fail: enum step of csrc/native/process.c. The error names it.
STEPS = (
    "clone3",
    "signals",
    "descriptors",
    "setsid",
    "chdir",
    "execve",
    "session keyring",
    "cgroup",
)

_EINTR = 4


def _raise(result: int, subject: str | bytes | None = None) -> NoReturn:
    error = -result
    if subject is None:
        raise OSError(error, os.strerror(error))
    raise OSError(error, os.strerror(error), os.fsdecode(subject))


def check(result: int, subject: str | bytes | None = None) -> int:
    if result < 0:
        _raise(result, subject)
    return result


def _path(path: str | bytes) -> bytes:
    """Bytes for C. A NUL would silently end the path early."""
    encoded = os.fsencode(path)
    if b"\0" in encoded:
        raise ValueError(f"embedded null byte in {path!r}")
    return encoded


# -- processes -------------------------------------------------------------------------------------


def spawn(
    exe_fd: int,
    argv0: bytes,
    fds: Sequence[int],
    *,
    base: int,
    stdio: Sequence[int] = (-1, -1, -1),
    cgroup_fd: int = -1,
) -> tuple[int, int]:
    """Start a program from a descriptor, with an empty environment; returns ``(pid, pidfd)``.

    ``fds[i]`` becomes descriptor ``base + i``. Descriptors below ``base`` are preserved as they are
    (those that are close-on-exec end at the exec); all others are closed. ``stdio[i]`` becomes
    descriptor ``i``, -1 keeps the caller's. Signals are at their defaults and none is blocked.
    """
    pidfd, step = ffi.new("int *"), ffi.new("int *")
    pid = lib.native_spawn(
        exe_fd, _path(argv0), list(fds), len(fds), base, list(stdio), cgroup_fd, pidfd, step
    )
    if pid < 0:
        _raise(pid, STEPS[step[0]])
    return pid, pidfd[0]


def _strings(strings: Iterable[bytes]) -> tuple[Any, list[Any]]:
    """Return a NULL-terminated ``char *[]`` and what keeps its strings alive."""
    kept = [ffi.new("char[]", _path(string)) for string in strings]
    return ffi.new("char *[]", [*kept, ffi.NULL]), kept


def run_program(
    path: bytes,
    argv: Sequence[bytes],
    env: Sequence[bytes],
    *,
    stdin_fd: int = -1,
    stdout_fd: int = -1,
    stderr_fd: int = -1,
    more_fds: Sequence[int] = (),
    cwd: bytes | None = None,
    setsid: bool = False,
    new_keyring: bool = False,
) -> tuple[int, int]:
    """Start a program of the host (a hook, newuidmap, criu); returns ``(pid, pidfd)``.

    Only stdio survives (-1: the caller's) and ``more_fds``, which become 3 and up. ``env`` is the
    whole environment. With ``new_keyring`` it cannot reach the keys of the caller's session.
    """
    pidfd, step = ffi.new("int *"), ffi.new("int *")
    arguments, kept_arguments = _strings(argv)
    environment, kept_environment = _strings(env)
    pid = lib.native_run_program(
        _path(path),
        arguments,
        environment,
        [stdin_fd, stdout_fd, stderr_fd, *more_fds],
        3 + len(more_fds),
        ffi.NULL if cwd is None else _path(cwd),
        setsid * lib.NATIVE_NEW_SESSION | new_keyring * lib.NATIVE_NEW_KEYRING,
        pidfd,
        step,
    )
    del kept_arguments, kept_environment
    if pid < 0:
        _raise(pid, path if STEPS[step[0]] == "execve" else STEPS[step[0]])
    return pid, pidfd[0]


def refused_calls() -> int:
    """Return which calls of host.refusals fail with EPERM or ENOSYS whatever they get, as bits."""
    return check(lib.native_refused_calls())


def pidfd_open(pid: int) -> int:
    return check(lib.native_pidfd_open(pid))


def hold_signals(others: Iterable[int]) -> int:
    """Block all signals but `others`; a non-blocking signalfd that reads what was blocked."""
    bits = 0
    for number in others:
        bits |= 1 << (number - 1)
    return check(lib.native_hold_signals(bits))


def pidfd_send_signal(pidfd: int, signal: int) -> None:
    check(lib.native_pidfd_send_signal(pidfd, signal))


def pidfd_getfd(pidfd: int, fd: int) -> int:
    return check(lib.native_pidfd_getfd(pidfd, fd))


def ptrace(request: int, pid: int, address: int, data: int) -> int:
    """ptrace(2), by the kernel's own arguments."""
    return check(lib.native_ptrace(request, pid, address, data))


def waitid_pidfd(pidfd: int, nohang: bool = False) -> tuple[int, int] | None:
    """Reap a child: ``(si_code, si_status)``, or None when ``nohang`` and it still runs."""
    code = ffi.new("int *")
    status = ffi.new("int *")
    while (result := lib.native_waitid_pidfd(pidfd, nohang, code, status)) == -_EINTR:
        pass
    return (code[0], status[0]) if check(result) else None


def set_subreaper(on: bool = True) -> None:
    check(lib.native_set_subreaper(on))


def landlock_abi() -> int:
    """Return the ABI of Landlock; OSError where the kernel has none."""
    return check(lib.native_landlock_abi())


def prlimit(pid: int, resource: int, soft: int, hard: int) -> None:
    check(lib.native_prlimit(pid, resource, soft, hard))


def sched_setaffinity(pid: int, mask: bytes | None) -> None:
    """Bind a process to the processors of a little-endian bit mask; None: all of its cpuset."""
    if mask is None:
        mask = b"\xff" * (MAX_PROCESSORS // 8)
    mask += bytes(-len(mask) % 8)  # the kernel reads longs
    check(lib.native_sched_setaffinity(pid, mask, len(mask)))


# -- descriptors and files -------------------------------------------------------------------------


def close_range(first: int, last: int, cloexec: bool = False) -> None:
    """Close the descriptors from ``first`` to ``last``, or mark them close-on-exec."""
    check(lib.native_close_range(first, last, cloexec))


def close_all(fds: Sequence[int]) -> None:
    """Close descriptors, a row of them in one call."""
    first = last = -1
    for fd in (*sorted(fds), -1):
        if first >= 0 and fd != last + 1:
            close_range(first, last)
        first = first if first >= 0 and fd == last + 1 else fd
        last = fd


def openat2(dirfd: int, path: str | bytes, flags: int, mode: int = 0, resolve: int = 0) -> int:
    while (fd := lib.native_openat2(dirfd, _path(path), flags, mode, resolve)) == -_EINTR:
        pass
    return check(fd, path)


def rename_new(dirfd: int, old: str, new: str) -> None:
    """Rename an entry of a directory; EEXIST where there is something of the new name."""
    check(lib.native_rename_new(dirfd, _path(old), _path(new)), new)


def memfd_sealed(name: bytes, data: bytes | bytearray | memoryview, exec: bool = False) -> int:
    """Make a memory file that nobody can change any more (nor, from Linux 6.3, its mode)."""
    return check(lib.native_memfd_sealed(name, ffi.from_buffer(data), len(data), exec), name)


def mount_id(dirfd: int, path: str | bytes = b"", flags: int = AT_EMPTY_PATH) -> int:
    """Return the id of the mount that a file lies on."""
    result = ffi.new("uint64_t *")
    check(lib.native_mount_id(dirfd, _path(path), flags, result), path or None)
    return int(result[0])


def filesystem_magic(fd: int) -> int:
    """Which file system a descriptor is on (the *_MAGIC numbers of linux/magic.h)."""
    return check(lib.native_filesystem_magic(fd))


def poll(
    fds: Sequence[int], timeout_ms: int = -1, *, writers: Sequence[int] = ()
) -> list[tuple[int, int]]:
    """Wait until a descriptor of ``fds`` can be read or one of ``writers`` be written.

    Returns ``[(fd, revents)]``, empty when the time is over; a negative time-out waits for ever.
    """
    every = [*fds, *writers]
    events = [POLLIN] * len(fds) + [POLLOUT] * len(writers)
    revents = ffi.new("short[]", max(len(every), 1))
    deadline = time.monotonic() + timeout_ms / 1000
    while (ready := lib.native_poll(every, events, revents, len(every), timeout_ms)) == -_EINTR:
        if timeout_ms >= 0:
            timeout_ms = max(0, int((deadline - time.monotonic()) * 1000))
    check(ready)
    return [(fd, revents[i]) for i, fd in enumerate(every) if revents[i]] if ready else []


# -- sockets ---------------------------------------------------------------------------------------


def socketpair_seqpacket(*, patience_ms: int = 0) -> tuple[int, int]:
    pair = ffi.new("int[2]")  # the first waits so long for a message, then BlockingIOError
    check(lib.native_socketpair_seqpacket(pair, patience_ms))
    return pair[0], pair[1]


def connect_unix(path: str | bytes, type: int = SOCK_STREAM) -> int:
    """Connect to a socket file; the path may be longer than the 108 bytes of sun_path."""
    return check(lib.native_connect_unix(_path(path), type), path)


def send_message(fd: int, data: bytes | bytearray, fds: Sequence[int] = ()) -> int:
    """Send one message, with descriptors; returns how much was sent. No SIGPIPE: EPIPE raises."""
    passed = list(fds) if fds else ffi.NULL
    buffer = ffi.from_buffer(data)
    while (sent := lib.native_send_message(fd, buffer, len(data), passed, len(fds))) == -_EINTR:
        pass
    return check(sent)


def recv_message(fd: int, size: int, max_fds: int = 0) -> tuple[bytes, list[int]]:
    """One message and its descriptors; ``b""`` is the end. EMSGSIZE if either exceeds its room."""
    data = ffi.new("uint8_t[]", max(size, 1))
    fds = ffi.new("int[]", max(max_fds, 1))
    received = ffi.new("unsigned int *")
    while (length := lib.native_recv_message(fd, data, size, fds, max_fds, received)) == -_EINTR:
        pass
    check(length)
    return bytes(ffi.buffer(data, length)), [fds[i] for i in range(received[0])]


# -- mounts ----------------------------------------------------------------------------------------


def open_tree(dirfd: int, path: str | bytes, flags: int = 0) -> int:
    return check(lib.native_open_tree(dirfd, _path(path), flags), path)


def move_mount(
    from_fd: int,
    from_path: str | bytes,
    to_fd: int,
    to_path: str | bytes,
    flags: int = MOVE_MOUNT_F_EMPTY_PATH,
) -> None:
    check(lib.native_move_mount(from_fd, _path(from_path), to_fd, _path(to_path), flags), to_path)


def mount_setattr(
    dirfd: int,
    path: str | bytes,
    flags: int,
    *,
    set: int = 0,
    clear: int = 0,
    propagation: int = 0,
    userns_fd: int = -1,
) -> None:
    result = lib.native_mount_setattr(dirfd, _path(path), flags, set, clear, propagation, userns_fd)
    check(result, path or None)


def fspick(path: str | bytes) -> int:
    """Open the file system that is mounted at a path, to configure it again."""
    return check(lib.native_fspick(_path(path)), path)


def fsopen(type: str) -> int:
    """Begin a new file system; `fsconfig` and `fsmount` go on with it."""
    return check(lib.native_fsopen(type.encode()), type)


def fsmount(fs_fd: int, attributes: int = 0) -> int:
    """Return a mount that is attached nowhere; it goes with its descriptor."""
    return check(lib.native_fsmount(fs_fd, attributes))


def fsconfig(
    fs_fd: int,
    command: int,
    key: str | bytes | None = None,
    value: str | bytes | None = None,
    aux: int = 0,
) -> None:
    """``command`` is one of FSCONFIG_*; key and value are text."""
    key_text = ffi.NULL if key is None else _path(key)
    value_text = ffi.NULL if value is None else _path(value)
    check(lib.native_fsconfig(fs_fd, command, key_text, value_text, aux), key)


def mount(
    source: str | bytes | None,
    target: str | bytes,
    fstype: str | bytes | None,
    flags: int,
    data: str | bytes | None = None,
) -> None:
    texts = [ffi.NULL if text is None else _path(text) for text in (source, fstype, data)]
    check(lib.native_mount(texts[0], _path(target), texts[1], flags, texts[2]), target)


def umount2(target: str | bytes, flags: int) -> None:
    check(lib.native_umount2(_path(target), flags), target)


# -- bpf -------------------------------------------------------------------------------------------


def address(buffer: bytes | bytearray) -> int:
    """Return the address of a buffer for ``bpf``; the caller keeps the buffer alive."""
    return int(ffi.cast("uintptr_t", ffi.from_buffer(buffer)))


def bpf(command: int, attr: bytearray) -> int:
    """bpf(2) with a packed ``union bpf_attr``, which the kernel may write its answer into."""
    while (result := lib.native_bpf(command, ffi.from_buffer(attr), len(attr))) == -_EINTR:
        pass
    return check(result)
