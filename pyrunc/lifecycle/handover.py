# SPDX-License-Identifier: Apache-2.0
"""What create and exec do alike while the init waits, and with its process id."""

from __future__ import annotations

import errno
import fcntl
import os

from pyrunc.errors import Failure, HostError, InitError, UsageError
from pyrunc.host import syscalls, terminals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrunc.init.launch import Child, Message
    from pyrunc.seccomp.filter import Filter
    from pyrunc.seccomp.notify import Agent
    from pyrunc.seccomp.refusals import Explanation
    from pyrunc.spec.model import Config
    from pyrunc.spec.model_linux import Seccomp

NO_TERMINAL = (errno.ENOTTY, errno.EBADF, errno.EINVAL, errno.EOPNOTSUPP)
STDOUT = 1
FIRST_PRESERVED = 3
MAX_PRESERVED = 1024


def check_terminal(terminal: bool, *, console_socket: str, detached: bool) -> None:
    """Check that a terminal has a console socket, unless the command stays and relays."""
    if terminal and detached and not console_socket:
        raise UsageError(
            "cannot allocate tty if pyrunc will detach without setting console socket",
            hint="use --console-socket, or set process.terminal to false",
        )
    if console_socket and not (terminal and detached):
        raise UsageError(
            "cannot use console socket if pyrunc will not detach or allocate tty",
            hint="set process.terminal to true and detach, or leave --console-socket away",
        )


def take_terminal(message: Message, *, console_socket: str, relayed: bool) -> int:
    """Send the terminal's master to the console socket; without a socket, keep it.

    `relayed`: its output will go to our standard output.
    """
    if len(message.fds) != 1:
        raise InitError("the init sent no terminal")
    if not console_socket:
        # Before the program can ask, or write.
        if relayed:
            copy_window(message.fds[0])
            if not os.isatty(STDOUT):
                terminals.plain(message.fds[0])
        return os.dup(message.fds[0])
    send_descriptor(console_socket, message.fds[0], text=b"/dev/ptmx")
    return -1


def connect_agent(
    compiled: Filter | None, config: Config, *, root: str, container_id: str, bundle: str
) -> Agent | None:
    """Connect to the agent of listenerPath, or to the plugins, before anything is made.

    Without an agent nothing starts.
    """
    node = config.linux.seccomp
    if compiled is None or node is None or not compiled.listener:
        return None
    from pyrunc.seccomp import notify
    from pyrunc.seccomp.names import PLUGINS

    wanted = config.annotations.get(PLUGINS, "")
    if wanted:
        from pyrunc.seccomp import plugins

        return plugins.PluginAgent(wanted, root=root, container_id=container_id, bundle=bundle)
    return notify.Agent(node.listener_path or "")


def copy_window(master: int) -> None:
    """Give a terminal the size of ours, if one of the standard descriptors is one."""
    for fd in (0, 1, 2):
        try:
            rows, columns = terminals.get_winsize(fd)
        except OSError as error:
            if error.errno in NO_TERMINAL:
                continue
            raise
        terminals.set_winsize(master, rows, columns)
        return


def hand_over_listener(
    child: Child, message: Message, *, node: Seccomp | None, agent: Agent, state: dict[str, Any]
) -> None:
    """Send the descriptor of system call notifications to the agent of listenerPath."""
    from pyrunc.seccomp import notify

    assert node is not None
    listener = _fetch_listener(child, message)
    try:
        notify.hand_over(node, listener, pid=child.pid, state=state, agent=agent)
    finally:
        os.close(listener)


def _fetch_listener(child: Child, message: Message) -> int:
    """Take the listener of the filter out of the init, which the filter may forbid to send it."""
    if message.fds:
        return os.dup(message.fds[0])
    try:
        return syscalls.pidfd_getfd(child.pidfd, message.step)
    except OSError as error:
        raise HostError(
            "cannot take the listener of the seccomp filter from the container's init: pidfd_getfd",
            errno=error.errno or 0,
            pointer="/linux/seccomp",
            hint="a filter of an outer container or a security module may refuse pidfd_getfd",
        ) from None


def supervise(child: Child, message: Message, *, explanation: Explanation) -> None:
    """Start the process that answers and counts the notifications of --explain-seccomp."""
    listener = _fetch_listener(child, message)
    try:
        explanation.start(listener)
    finally:
        os.close(listener)


def set_limits(child: Child) -> None:
    """Resource limits from outside, where the right to raise them still is."""
    for index, (resource, soft, hard) in enumerate(child.plan.rlimits):
        try:
            syscalls.prlimit(child.pid, resource, soft, hard)
        except OSError as error:
            from pyrunc.init import attributes

            raise Failure(
                f"cannot {attributes.limit_action(resource, soft, hard)}",
                errno=error.errno or 0,
                pointer=f"/process/rlimits/{index}",
                hint="a hard limit above the caller's own needs CAP_SYS_RESOURCE",
            ) from None


def send_descriptor(path: str, fd: int, *, text: bytes) -> None:
    """Send one descriptor to a socket file, with some text: an empty message carries nothing."""
    try:
        connection = syscalls.connect_unix(path)
    except OSError as error:
        raise Failure(
            f"cannot connect to the socket {path}",
            errno=error.errno or 0,
            hint="whoever takes the descriptor must listen on it before",
        ) from None
    try:
        syscalls.send_message(connection, text, [fd])
    except OSError as error:
        raise Failure(f"cannot send to the socket {path}", errno=error.errno or 0) from None
    finally:
        os.close(connection)


def write_pid_file(path: str, pid: int) -> None:
    """Decimal digits without a newline (Go's Atoi reads it), complete from the first moment."""
    directory, name = os.path.split(os.path.abspath(path))
    temporary = os.path.join(directory, f".{name}.{os.getpid()}")
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        fd = os.open(temporary, flags, 0o644)
        try:
            os.write(fd, str(pid).encode())
        finally:
            os.close(fd)
        os.rename(temporary, path)
    except OSError as error:
        raise Failure(f"cannot write the pid file {path}", errno=error.errno or 0) from None


def send_pidfd(child: Child, *, path: str, text: bytes) -> None:
    """Whoever listens on the socket can wait for the process and signal it without its number."""
    if path:
        send_descriptor(path, child.pidfd, text=text)


def check_preserved(count: int, *, listen: int = 0) -> int:
    """Every descriptor that the process shall get must be open, and be the caller's, not ours.

    The `listen` sockets of the service manager come before those of --preserve-fds. Returns how
    many there are together.
    """
    if count + listen > MAX_PRESERVED:
        raise UsageError(f"--preserve-fds {count}: at most {MAX_PRESERVED} descriptors are passed")
    count += listen
    for fd in range(FIRST_PRESERVED, FIRST_PRESERVED + count):
        try:
            ours = fcntl.fcntl(fd, fcntl.F_GETFD) & fcntl.FD_CLOEXEC
        except OSError:
            ours = fcntl.FD_CLOEXEC
        if ours:
            raise UsageError(
                f"unable to stat preserved-fd {fd} of {count}: bad file descriptor",
                hint="descriptors are passed from 3 on without gaps: close up, or open /dev/null",
            )
    return count


def in_words(error: BaseException) -> BaseException:
    """Return a failed system call as the host's failure, which is no bug."""
    if not isinstance(error, OSError):
        return error
    return HostError(
        f"cannot set the container up: {os.fsdecode(error.filename or 'system call')}",
        errno=error.errno or 0,
        hint="the file system of the state root is full" if error.errno == errno.ENOSPC else "",
    )
