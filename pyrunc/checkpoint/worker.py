# SPDX-License-Identifier: Apache-2.0
"""One criu, started for one request, and the conversation with it (``criu swrk 3``).

It ends with us: at the next notification it finds the socket closed and undoes what it has done.
"""

from __future__ import annotations

import os

from pyrunc.checkpoint import program, protocol, wire
from pyrunc.checkpoint.excerpt import Summary
from pyrunc.checkpoint.hierarchy import KeptOptions
from pyrunc.errors import Failure, HostError
from pyrunc.host import process, syscalls
from pyrunc.log import log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any, Final

    # Gets the name of a moment, a process id or 0, and descriptors that are closed afterwards.
    Handler = Callable[[str, int, Sequence[int]], None]

MAX_MESSAGE: Final = 64 * 1024
MAX_LOG: Final = 16 << 20
OLDEST: Final = (3, 15)  # external pid namespaces, the freezer of cgroup2, notice of lazy pages
PATIENCE_MS: Final = 10_000


class Worker:
    """A started criu. `perform` asks it for the one thing that it is there for."""

    __slots__ = ("_socket", "pid", "pidfd")

    def __init__(
        self,
        path: str,
        *,
        stdio: Sequence[int] | None,
        session: bool,
        more_fds: Sequence[int] = (),
    ) -> None:
        """Start a process.

        `stdio`: its standard descriptors, -1 for the caller's; None: /dev/null. `session`: a
        session of its own keeps the keys of the caller's terminal away.
        """
        self._socket, theirs = syscalls.socketpair_seqpacket()
        null = -1 if stdio else os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        first, second, third = stdio or (null, null, null)
        try:
            self.pid, self.pidfd = syscalls.run_program(
                os.fsencode(path),
                [b"criu", b"swrk", b"3"],
                program.environment(),
                stdin_fd=first,
                stdout_fd=second,
                stderr_fd=third,
                more_fds=[theirs, *more_fds],
                setsid=session,
                # The processes of a container inherit it: they shall not get ours.
                new_keyring=True,
            )
        except OSError as error:
            os.close(self._socket)
            raise HostError(f"cannot start {path}", errno=error.errno or 0) from None
        finally:
            os.close(theirs)
            if null >= 0:
                os.close(null)

    # -- before the request ------------------------------------------------------------------------

    def check_version(self) -> None:
        """HostError for a criu that lacks what is always used."""
        answer = self._ask({"type": protocol.VERSION, "keep_open": True})
        answered = answer.get("version") or {}
        version = tuple(answered.get(name, 0) for name in ("major", "minor", "sublevel"))
        log.debug("criu " + ".".join(map(str, version)))
        if version < OLDEST:
            raise HostError(
                f"criu {'.'.join(map(str, version))} is too old",
                hint=f"install CRIU {'.'.join(map(str, OLDEST))} or newer",
            )

    def check_feature(self, name: str, *, noun: str, needs: str) -> None:
        """HostError when kernel or criu lack a feature of protocol.FEATURES."""
        request = {"type": protocol.FEATURE_CHECK, "keep_open": True, "features": {name: True}}
        answer = self._ask(request)
        if not (answer.get("features") or {}).get(name):
            raise HostError(f"{noun} does not work on this host", hint=f"it needs {needs}")

    def _ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        self._send(request)
        answer, fds = self._receive()
        for fd in fds:
            os.close(fd)
        return answer

    # -- the request -------------------------------------------------------------------------------

    def perform(self, kind: int, options: Mapping[str, Any], handler: Handler) -> dict[str, Any]:
        """Send the request and answer its notifications until it is done.

        When the handler fails criu is told so; what it has done is undone when its answer comes,
        and the handler's error is raised then.
        """
        with KeptOptions():
            return self._converse(kind, options, handler)

    def _converse(self, kind: int, options: Mapping[str, Any], handler: Handler) -> dict[str, Any]:
        log.debug(f"criu options: {dict(options)!r}")
        self._send({"type": kind, "opts": options})
        failure: BaseException | None = None
        while True:
            answer, fds = self._receive(failure)
            try:
                if answer.get("type") != protocol.NOTIFY:
                    break
                notice = answer.get("notify") or {}
                log.debug(f"criu is at {notice.get('script')}")
                if failure is None:
                    handler(notice.get("script", ""), notice.get("pid", 0), fds)
            except (Failure, OSError, KeyboardInterrupt) as error:
                failure = error
            finally:
                for fd in fds:
                    os.close(fd)
            self._send({"type": protocol.NOTIFY, "notify_success": failure is None})
        if failure is not None:
            raise failure
        if not answer.get("success"):
            raise Refused(answer)
        return answer

    def _send(self, request: Mapping[str, Any]) -> None:
        try:
            syscalls.send_message(self._socket, wire.encode(request, protocol.REQUEST))
        except BrokenPipeError:
            raise self._ended() from None

    def _receive(self, failure: BaseException | None = None) -> tuple[dict[str, Any], list[int]]:
        try:
            data, fds = syscalls.recv_message(self._socket, MAX_MESSAGE, 4)
        except ConnectionResetError:
            data, fds = b"", []
        if not data:
            raise failure or self._ended()
        try:
            return wire.decode(data, protocol.ANSWER), fds
        except ValueError as error:
            raise HostError(f"criu sent what is no answer: {error}") from None

    # -- the end -----------------------------------------------------------------------------------

    def _ended(self) -> HostError:
        return HostError(
            "criu ended without an answer", hint="`criu check` may tell what is wrong with it"
        )

    def finish(self) -> bool:
        """Wait for its end; whether it ended well."""
        self._hang_up()
        if self.pidfd < 0:
            return True
        if not process.wait_dead(self.pidfd, PATIENCE_MS):
            process.signal(self.pidfd, process.SIGKILL)
        ended = syscalls.waitid_pidfd(self.pidfd)
        os.close(self.pidfd)
        self.pidfd = -1
        return ended == (syscalls.CLD_EXITED, 0)

    def _hang_up(self) -> None:
        if self._socket >= 0:
            os.close(self._socket)
            self._socket = -1


class Refused(HostError):
    """criu could not do it; `explain` adds what its log says."""

    def __init__(self, answer: Mapping[str, Any]) -> None:
        super().__init__("criu failed", errno=int(answer.get("cr_errno") or 0))
        self.said = str(answer.get("cr_errmsg") or "").strip()

    def explain(self, action: str, *, directory: str, name: str) -> HostError:
        """Return the error for the user: CRIU's first error, its log, and what may help."""
        path = f"{directory}/{name}"
        summary = Summary(read_log(path))
        first = summary.first or self.said or "no error is in its log"
        return HostError(
            f"criu cannot {action}: {first}",
            detail="\n".join([path, *summary.lines]),
            hint=summary.hint or f"the log is {path}",
        )


def read_log(path: str) -> str:
    """Read a log of criu; "" when there is none."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        data = b""
        while len(data) < MAX_LOG and (more := os.read(fd, 1 << 20)):
            data += more
    finally:
        os.close(fd)
    return data.decode("utf-8", "replace")
