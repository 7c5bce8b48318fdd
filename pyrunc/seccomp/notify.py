# SPDX-License-Identifier: Apache-2.0
"""Hand over the listener: the notification descriptor and the process state, to the agent.

The agent's socket is connected before the filter is loaded: without an agent nothing starts,
because the first notification would wait for ever. One connection carries one message and is
closed.
"""

from __future__ import annotations

import errno
import os

from pyrunc import jsontext
from pyrunc.errors import Failure
from pyrunc.host import syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrunc.spec.model_linux import Seccomp

SECCOMP_FD = "seccompFd"  # runtime-spec, "Container Process State"
TIMEOUT_MS = 30_000  # for an agent whose socket buffer is full


def container_process_state(
    *, oci_version: str, pid: int, metadata: str | None, state: str
) -> bytes:
    """Return the JSON text that goes with the descriptor.

    `state` is the container's state, a JSON text.

    `pid` is that of the process with the filter, in the pid namespace of the runtime. The state's
    status says "creating" for the container's process and "running" for one of exec.
    """
    members = [
        f'"ociVersion":{jsontext.quote(oci_version)}',
        f'"fds":[{jsontext.quote(SECCOMP_FD)}]',
        f'"pid":{pid}',
    ]
    if metadata:
        members.append(f'"metadata":{jsontext.quote(metadata)}')
    members.append(f'"state":{state}')
    return ("{" + ",".join(members) + "}").encode()


class Agent:
    """A connected agent. Close it whatever happens; `send` closes it too."""

    __slots__ = ("_fd", "path")

    def __init__(self, path: str) -> None:
        """Connect to ``linux.seccomp.listenerPath``; an absent agent is an error."""
        self.path = path
        try:
            self._fd = syscalls.connect_unix(path, syscalls.SOCK_STREAM)
        except OSError as error:
            raise Failure(
                f"cannot connect to the seccomp agent at {path}",
                pointer="/linux/seccomp/listenerPath",
                errno=error.errno or 0,
                hint="the agent must listen there before the container is created",
            ) from None

    def send(self, listener: int, message: bytes) -> None:
        """Send the descriptor with the start of the message, then what did not fit at once."""
        try:
            os.set_blocking(self._fd, False)
            descriptors: tuple[int, ...] = (listener,)
            while message:
                try:
                    sent = syscalls.send_message(self._fd, message, descriptors)
                except BlockingIOError:
                    self._wait()
                    continue
                message, descriptors = message[sent:], ()
        except OSError as error:
            raise Failure(
                f"cannot hand the seccomp listener to the agent at {self.path}",
                pointer="/linux/seccomp/listenerPath",
                errno=error.errno or 0,
            ) from None
        finally:
            self.close()

    def _wait(self) -> None:
        if not syscalls.poll([], TIMEOUT_MS, writers=[self._fd]):
            raise OSError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def hand_over(
    node: Seccomp, listener: int, *, pid: int, state: dict[str, Any], agent: Agent
) -> None:
    """Tell the agent of ``listenerPath`` about a process and give it the listener.

    `state` is the container's state as of runtime-spec.
    """
    message = container_process_state(
        oci_version=state["ociVersion"],
        pid=pid,
        metadata=node.listener_metadata,
        state=jsontext.encode(state),
    )
    agent.send(listener, message)
