# SPDX-License-Identifier: Apache-2.0
"""Pass on a service manager's open sockets (LISTEN_FDS) and readiness (NOTIFY_SOCKET).

The program gets a socket of its own at /run/notify/notify.sock: the manager's would tell it who
listens there, and its messages would come from a process that the manager does not know. We pass
on that it is ready and say which process it is.
"""

from __future__ import annotations

import fcntl
import os

from pyrunc.errors import Failure, UsageError
from pyrunc.host import process, syscalls
from pyrunc.lifecycle.state_root import default_root
from pyrunc.log import log

TYPE_CHECKING = False
if TYPE_CHECKING:
    import select
    from socket import socket
    from typing import Final

    from pyrunc.lifecycle.state import StateDirectory

FIRST_SOCKET: Final = 3  # sd_listen_fds(3)
DIRECTORY: Final = "notify"
SOCKET: Final = "notify.sock"
MAX_MESSAGE: Final = 4096
BARRIER_MS: Final = 30_000


def listen_fds() -> int:
    """How many sockets come from 3 on; none when they are meant for another process."""
    count, pid = os.environ.get("LISTEN_FDS", ""), os.environ.get("LISTEN_PID", "")
    if not count or (pid and pid != str(os.getpid())):
        return 0
    if not (count.isascii() and count.isdigit() and len(count) < 5):
        raise UsageError(f"LISTEN_FDS is {count[:32]!r}: it must be a number of descriptors")
    # Without LISTEN_PID it is for whoever has the sockets: a parent, which has closed them.
    return int(count) if pid or _all_open(int(count)) else 0


def _all_open(count: int) -> bool:
    try:
        return all(
            not fcntl.fcntl(fd, fcntl.F_GETFD) & fcntl.FD_CLOEXEC
            for fd in range(FIRST_SOCKET, FIRST_SOCKET + count)
        )
    except OSError:  # EBADF
        return False


def notify_directory(root: str, container_id: str) -> str:
    """Return the directory that is bound at /run/notify; "" when nobody wants to be notified."""
    if not os.environ.get("NOTIFY_SOCKET"):
        return ""
    return f"{os.path.abspath(root or default_root())}/{container_id}/{DIRECTORY}"


def make_directory(directory: StateDirectory) -> None:
    """Make it in the state directory of a container that is being created."""
    os.mkdir(DIRECTORY, 0o755, dir_fd=directory.fd)
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(DIRECTORY, flags, dir_fd=directory.fd)
    try:
        os.fchmod(fd, 0o755)  # whatever the umask says
    finally:
        os.close(fd)


class Relay:
    """The container's end of the notification, and whom it is passed on to."""

    __slots__ = ("_host", "_pid", "_socket")

    def __init__(self, host: str, ours: socket, *, pid: int) -> None:
        self._host = host
        self._socket = ours
        self._pid = pid

    @classmethod
    def open(cls, directory: StateDirectory, *, pid: int) -> Relay | None:
        """Listen for the container; None when the caller or the container does not ask for it."""
        host = os.environ.get("NOTIFY_SOCKET", "")
        if not host:
            return None
        try:
            flags = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            fd = os.open(DIRECTORY, flags, dir_fd=directory.fd)
        except FileNotFoundError:
            return None
        try:
            return cls(host, _listen(f"/proc/self/fd/{fd}/{SOCKET}"), pid=pid)
        finally:
            os.close(fd)

    @property
    def fd(self) -> int:
        return self._socket.fileno()

    def receive(self, *, barrier: bool = False) -> bool:
        """Take one message; True when it said "ready" and was passed on."""
        try:
            # Without room for them, descriptors that come along are closed by the kernel.
            data = self._socket.recv(MAX_MESSAGE)
        except BlockingIOError:
            return False
        lines = [line for line in data.split(b"\n") if line.startswith(b"READY=")]
        if not lines:
            return False
        try:
            self._pass_on(b"\n".join([b"MAINPID=%d" % self._pid, *lines]), barrier=barrier)
        except OSError as error:
            log.warning(f"cannot notify {self._host}: {error.strerror}")
        return True

    def _pass_on(self, message: bytes, *, barrier: bool) -> None:
        with _connect(self._host) as manager:
            manager.send(message)
            if barrier:
                # The manager learns who sends from the process: stay until it has looked.
                read, write = os.pipe2(os.O_CLOEXEC)
                syscalls.send_message(manager.fileno(), b"BARRIER=1", [write])
                os.close(write)
                if not syscalls.poll([read], BARRIER_MS):
                    log.warning(f"{self._host} did not confirm the notification")
                os.close(read)

    def drain(self) -> None:
        """Forward the notifications that were still queued when the container ended."""
        while syscalls.poll([self.fd], 0) and not self.receive():
            pass

    def wait(self, start_time: int) -> None:
        """Until the container is ready, or has ended."""
        pidfd = process.open_pidfd(self._pid, start_time)
        try:
            while pidfd >= 0:
                ready = [fd for fd, _events in syscalls.poll([self.fd, pidfd])]
                if self.fd in ready and self.receive(barrier=True):
                    return
                if self.fd not in ready and pidfd in ready:
                    return
        finally:
            if pidfd >= 0:
                os.close(pidfd)
            self.close()

    def register(self, poll: select.poll) -> None:
        if self.fd >= 0:
            poll.register(self.fd, 1)  # POLLIN

    def close(self) -> None:
        self._socket.close()


def _listen(path: str) -> socket:
    from socket import AF_UNIX, SOCK_DGRAM, socket

    ours = socket(AF_UNIX, SOCK_DGRAM)
    try:
        if os.path.lexists(path):
            os.unlink(path)  # of a start that failed
        # The program may have any user id. It can write to this directory: a chmod by path would
        # follow a link that it has put in the socket's place.
        umask = os.umask(0)
        try:
            ours.bind(path)
        finally:
            os.umask(umask)
        ours.setblocking(False)
    except OSError as error:
        ours.close()
        raise Failure("cannot make the notification socket", errno=error.errno or 0) from None
    return ours


def _connect(path: str) -> socket:
    """Connect to a socket; a leading @ is the abstract name space."""
    from socket import AF_UNIX, SOCK_DGRAM, socket

    if not path.startswith("@"):
        return socket(fileno=syscalls.connect_unix(path, SOCK_DGRAM))
    manager = socket(AF_UNIX, SOCK_DGRAM)
    try:
        manager.connect("\0" + path[1:])
    except OSError:
        manager.close()
        raise
    return manager
