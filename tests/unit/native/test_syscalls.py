# SPDX-License-Identifier: Apache-2.0
"""The wrapped system calls, as far as they work without privileges."""

from __future__ import annotations

import errno
import fcntl
import os
import pathlib
import pty
import resource
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from pyrunc.errors import HostError
from pyrunc.host import syscalls, terminals
from pyrunc.init import image
from tests.support import machine


def cloexec(fd: int) -> bool:
    return not os.get_inheritable(fd)


def test_a_sealed_memory_file_cannot_be_changed() -> None:
    """EX-1: WRITE, GROW, SHRINK and SEAL are sealed."""
    fd = syscalls.memfd_sealed(b"test", b"content", exec=True)
    try:
        every = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL
        assert fcntl.fcntl(fd, fcntl.F_GET_SEALS) & every == every
        assert cloexec(fd)
        assert os.read(fd, 100) == b"content"
        with pytest.raises(PermissionError):
            os.pwrite(fd, b"x", 0)
        with pytest.raises(PermissionError):
            os.ftruncate(fd, 0)
        with pytest.raises(OSError, match=r"not permitted|denied|busy"):
            os.open(f"/proc/self/fd/{fd}", os.O_RDWR | os.O_TRUNC)
    finally:
        os.close(fd)


def test_a_data_file_is_not_executable() -> None:
    fd = syscalls.memfd_sealed(b"test", b"", exec=False)
    executable = os.fstat(fd).st_mode & 0o111
    os.close(fd)
    if tuple(map(int, os.uname().release.split(".")[:2])) < (6, 3):
        pytest.skip("MFD_NOEXEC_SEAL needs Linux 6.3")
    assert executable == 0


def test_a_message_carries_descriptors_that_are_close_on_exec() -> None:
    ours, theirs = syscalls.socketpair_seqpacket()
    assert cloexec(ours)
    assert cloexec(theirs)
    reader, writer = os.pipe()
    assert syscalls.send_message(ours, b"hello", [reader, writer]) == 5
    data, fds = syscalls.recv_message(theirs, 256, 2)
    assert data == b"hello"
    assert all(map(cloexec, fds))
    os.write(fds[1], b"through")
    assert os.read(reader, 10) == b"through"
    for fd in (ours, reader, writer, *fds):
        os.close(fd)
    assert syscalls.recv_message(theirs, 256, 2) == (b"", [])
    os.close(theirs)


@pytest.mark.parametrize("room", [0, 1])
def test_descriptors_that_nobody_asked_for_are_closed(room: int) -> None:
    ours, theirs = syscalls.socketpair_seqpacket()
    before = machine.descriptors()
    syscalls.send_message(ours, b"x", [0, 1])
    with pytest.raises(OSError, match="too long") as caught:
        syscalls.recv_message(theirs, 10, room)
    assert caught.value.errno == errno.EMSGSIZE
    assert machine.descriptors() <= before
    os.close(ours)
    os.close(theirs)


def test_a_message_that_is_too_long_is_an_error() -> None:
    ours, theirs = syscalls.socketpair_seqpacket()
    syscalls.send_message(ours, b"12345")
    with pytest.raises(OSError, match="too long"):
        syscalls.recv_message(theirs, 4)
    os.close(ours)
    os.close(theirs)


def test_sending_to_nobody_raises_instead_of_killing() -> None:
    ours, theirs = syscalls.socketpair_seqpacket()
    os.close(theirs)
    with pytest.raises(BrokenPipeError):
        syscalls.send_message(ours, b"x")
    os.close(ours)


@pytest.mark.parametrize("length", [10, 107, 108, 150])
def test_a_socket_is_reached_whatever_the_length_of_its_path(
    tmp_path: pathlib.Path, length: int
) -> None:
    directory = tmp_path
    while len(bytes(directory)) + 60 < length:
        directory = directory / ("d" * 50)
    directory.mkdir(parents=True, exist_ok=True)
    path = bytes(directory) + b"/"
    path += b"s" * max(1, length - len(path))
    here = os.getcwd()
    os.chdir(directory)
    try:
        server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        server.bind(path[len(bytes(directory)) + 1 :])
    finally:
        os.chdir(here)
    server.listen(1)
    fd = syscalls.connect_unix(path)
    assert cloexec(fd)
    connection = server.accept()[0]
    os.write(fd, b"hi")
    assert connection.recv(10) == b"hi"
    connection.close()
    server.close()
    os.close(fd)


def test_an_absent_socket_is_named() -> None:
    with pytest.raises(FileNotFoundError) as caught:
        syscalls.connect_unix("/no/such/socket")
    assert caught.value.filename == "/no/such/socket"


def test_openat2_stays_below_its_root(tmp_path: pathlib.Path) -> None:
    (tmp_path / "link").symlink_to("/etc")
    root = os.open(tmp_path, os.O_PATH)
    with pytest.raises(FileNotFoundError):
        syscalls.openat2(root, "link", os.O_PATH, resolve=syscalls.RESOLVE_IN_ROOT)
    fd = syscalls.openat2(root, "../..", os.O_PATH, resolve=syscalls.RESOLVE_IN_ROOT)
    assert cloexec(fd)
    assert os.path.samestat(os.fstat(fd), os.fstat(root))
    os.close(fd)
    os.close(root)


def test_a_nul_in_a_path_is_refused() -> None:
    """IN-4."""
    with pytest.raises(ValueError, match="null byte"):
        syscalls.openat2(-100, "/etc\0/x", os.O_PATH)


def test_a_pidfd_follows_its_process() -> None:
    pidfd = syscalls.pidfd_open(os.getpid())
    copy = syscalls.pidfd_getfd(pidfd, pidfd)
    assert cloexec(pidfd)
    assert cloexec(copy)
    syscalls.pidfd_send_signal(pidfd, 0)
    os.close(pidfd)
    os.close(copy)


def test_limits_are_read_and_set() -> None:
    soft, hard = resource.getrlimit(7)
    syscalls.prlimit(0, 7, soft - 1, hard)
    assert resource.getrlimit(7) == (soft - 1, hard)
    syscalls.prlimit(0, 7, soft, hard)


def test_affinity_of_all_is_what_the_machine_has() -> None:
    every = os.sched_getaffinity(0)
    syscalls.sched_setaffinity(0, b"\x01")
    assert os.sched_getaffinity(0) == {0}
    syscalls.sched_setaffinity(0, None)
    assert os.sched_getaffinity(0) == every


def test_poll_says_which_descriptors_are_ready() -> None:
    reader, writer = os.pipe()
    assert syscalls.poll([reader], 0) == []
    assert syscalls.poll([reader], 0, writers=[writer]) == [(writer, syscalls.POLLOUT)]
    os.close(writer)
    assert syscalls.poll([reader], 0) == [(reader, syscalls.POLLHUP)]
    os.close(reader)


def test_a_signal_neither_ends_nor_extends_a_poll() -> None:
    previous = signal.signal(signal.SIGUSR1, lambda *_: None)
    timer = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGUSR1))
    timer.start()
    before = time.monotonic()
    assert syscalls.poll([], 200) == []
    assert time.monotonic() - before >= 0.19
    timer.join()
    signal.signal(signal.SIGUSR1, previous)


def test_a_range_of_descriptors_is_marked_and_closed() -> None:
    first = os.dup2(0, 500)
    os.dup2(0, 501)
    syscalls.close_range(500, 501, cloexec=True)
    assert cloexec(first)
    assert cloexec(501)
    syscalls.close_range(500, 501)
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(501)


def test_a_mount_id_tells_mounts_apart() -> None:
    assert syscalls.mount_id(-100, "/proc", 0) != syscalls.mount_id(-100, "/", 0)


def test_a_file_system_is_known_by_its_number() -> None:
    proc = os.open("/proc", os.O_RDONLY)
    try:
        assert syscalls.filesystem_magic(proc) == 0x9FA0
    finally:
        os.close(proc)
    with pytest.raises(OSError, match="Bad file descriptor"):
        syscalls.filesystem_magic(proc)


def test_the_size_and_the_mode_of_a_terminal() -> None:
    master, slave = pty.openpty()
    terminals.set_winsize(slave, 33, 77)
    assert terminals.get_winsize(master) == (33, 77)
    state = terminals.raw(slave)
    os.write(slave, b"\n")
    assert os.read(master, 10) == b"\n"
    terminals.restore(slave, state)
    os.write(slave, b"\n")
    assert os.read(master, 10) == b"\r\n"
    with pytest.raises(ValueError, match="not a state"):
        terminals.restore(slave, b"")
    os.close(master)
    os.close(slave)


def test_an_unknown_bpf_command_is_refused_by_the_kernel() -> None:
    with pytest.raises(OSError, match=r"Invalid argument|not permitted"):
        syscalls.bpf(9999, bytearray(48))


def test_an_init_that_differs_from_its_digest_is_not_run(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """EX-5: the file is checked before it is copied."""
    pytest.importorskip("pyrunc.init.digest", reason="the init is not built (run `make`)")
    (tmp_path / "init").write_bytes(b"\x7fELF swapped")
    monkeypatch.setattr(image, "NAME", str(tmp_path / "init"))
    with pytest.raises(HostError, match="SHA-256 differs"):
        image.open_init()


def test_an_init_that_is_no_regular_file_is_not_run(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "init")
    monkeypatch.setattr(image, "NAME", str(tmp_path / "init"))
    with pytest.raises(HostError, match="not a regular file"):
        image.open_init()


def test_held_signals_are_read_in_order_of_their_number_even_ignored_ones() -> None:
    """In a child: the mask of this process is nobody's to change."""
    script = """
import os, signal, struct
from pyrunc.host import syscalls, terminals
signal.signal(signal.SIGHUP, signal.SIG_IGN)
fd = syscalls.hold_signals({signal.SIGURG, signal.SIGKILL, signal.SIGSTOP})
for number in (signal.SIGTERM, signal.SIGURG, signal.SIGHUP, signal.SIGCHLD):
    os.kill(os.getpid(), number)
data = os.read(fd, 4096)
print([struct.unpack_from("<I", data, at)[0] for at in range(0, len(data), 128)])
print(os.get_inheritable(fd), os.get_blocking(fd))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[1, 15, 17]\nFalse False\n"
