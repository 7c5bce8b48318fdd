# SPDX-License-Identifier: Apache-2.0
"""Hooks that run in the runtime's namespaces: prestart, createRuntime, poststart, poststop.

A hook gets the state on its standard input, exactly the environment that its `env` names (HK-1; a
bare PATH where it has none), the bundle as working directory, a session of its own and no
descriptor of ours. (createContainer and startContainer hooks are run by the init: op run_hook.)
"""

from __future__ import annotations

import errno
import os
import select
import time

from pyrunc import jsontext
from pyrunc.errors import Failure
from pyrunc.host import process, syscalls
from pyrunc.host.trace import trace
from pyrunc.init.hooks import environment
from pyrunc.log import log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, Final, Protocol

    from pyrunc.spec.model import Config

    class Hook(Protocol):
        """A hook of the configuration."""

        @property
        def path(self) -> str: ...
        @property
        def args(self) -> Sequence[str]: ...
        @property
        def env(self) -> Sequence[str] | None: ...
        @property
        def timeout(self) -> int | None: ...
        @property
        def pointer(self) -> str: ...

    class Notes(Protocol):
        """What is told when a hook has started (its pid) and ended (hook_results.py)."""

        def started(self, pid: int) -> None: ...
        def ended(self, result: dict[str, Any]) -> None: ...


OUTPUT: Final = {"stdout": "run.oci.hooks.stdout", "stderr": "run.oci.hooks.stderr"}
MAX_OUTPUT: Final = 64 * 1024
SHOWN_OUTPUT: Final = 512  # bytes of each stream in an error text; the log bounds the whole


class SavedHook:
    """A hook read back from the state file."""

    __slots__ = ("args", "env", "path", "pointer", "timeout")

    def __init__(self, record: Mapping[str, Any]) -> None:
        self.path: str = record["path"]
        self.args: list[str] = record["args"]
        self.env: list[str] = record["env"]
        self.timeout: int | None = record["timeout"]
        self.pointer: str = record["pointer"]


def save(hooks: Sequence[Hook]) -> list[dict[str, Any]]:
    """Return hooks in the form in which the state keeps them."""
    return [
        {
            "path": hook.path,
            "args": list(hook.args),
            "env": list(environment(hook.env)),
            "timeout": hook.timeout,
            "pointer": hook.pointer,
        }
        for hook in hooks
    ]


def run_all(
    kind: str,
    hooks: Sequence[Hook],
    state: Mapping[str, Any],
    *,
    notes: Notes | None = None,
) -> None:
    """Run hooks in order; the first failure ends it."""
    for index, hook in enumerate(hooks):
        began = time.time_ns() if trace.on else 0
        run(hook, name=f"{kind} hook #{index}", state=state, notes=notes)
        if trace.on:
            trace.child(f"{kind} hook #{index}", began, path=hook.path)


def run_all_warn(
    kind: str, hooks: Sequence[Hook], state: Mapping[str, Any], *, notes: Notes | None = None
) -> None:
    """Run every hook; a failure is a warning (poststop: the specification asks for this)."""
    for index, hook in enumerate(hooks):
        try:
            run(hook, name=f"{kind} hook #{index}", state=state, notes=notes)
        except Failure as failure:
            log.warning(str(failure))


def run(
    hook: Hook,
    *,
    name: str,
    state: Mapping[str, Any],
    notes: Notes | None = None,
) -> None:
    """Run one hook to its end; Failure when it does not end well and in time."""
    began = time.monotonic()
    sinks = open_sinks(state.get("annotations") or {})
    stdin = syscalls.memfd_sealed(b"pyrunc-state", jsontext.encode(state).encode())
    out_read, out_write = os.pipe2(os.O_CLOEXEC)
    err_read, err_write = os.pipe2(os.O_CLOEXEC)
    try:
        os.lseek(stdin, 0, os.SEEK_SET)
        pid, pidfd = syscalls.run_program(
            os.fsencode(hook.path),
            [os.fsencode(word) for word in hook.args or (hook.path,)],
            [os.fsencode(word) for word in environment(hook.env)],
            stdin_fd=stdin,
            stdout_fd=out_write,
            stderr_fd=err_write,
            cwd=os.fsencode(str(state["bundle"])),
            setsid=True,
        )
    except OSError as error:
        for fd in (out_read, err_read, *sinks.values()):
            os.close(fd)
        raise Failure(
            f"error running {name}: {hook.path}",
            errno=error.errno or errno.EIO,
            pointer=hook.pointer,
            hint="it must be a program of the host, which the caller may execute",
        ) from None
    finally:
        for fd in (stdin, out_write, err_write):
            os.close(fd)
    log.step("%s runs: %s", name, hook.path)
    capture = _Capture(out_read, err_read, sinks)
    try:
        if notes is not None:
            notes.started(pid)
        ended = _wait(pidfd, capture, hook.timeout)
        if not ended:
            # While we have not reaped the hook its session id names only it (HK-3).
            process.kill_session(pid)
        result = syscalls.waitid_pidfd(pidfd)
        capture.drain()
    except BaseException:
        process.kill_session(pid)
        syscalls.waitid_pidfd(pidfd)
        raise
    finally:
        capture.close()
        os.close(pidfd)
    if notes is not None and result is not None:
        notes.ended(_result(hook, result, began=began, timed_out=not ended))
    if not ended:
        raise Failure(
            f"error running {name}: hook ran past specified timeout of "
            f"{float(hook.timeout or 0):.1f}s{capture.text()}",
            pointer=f"{hook.pointer}/timeout",
            hint="give it more seconds, or find out what it waits for",
        )
    assert result is not None
    log.step("%s has ended", name)
    code, status = result
    if (code, status) != (syscalls.CLD_EXITED, 0):
        how = "exit status" if code == syscalls.CLD_EXITED else "signal"
        raise Failure(
            f"error running {name}: {how} {status}{capture.text()}",
            pointer=hook.pointer,
            hint="what the hook printed is its reason; run it by hand with the state as its input",
        )


def _result(
    hook: Hook, result: tuple[int, int], *, began: float, timed_out: bool
) -> dict[str, Any]:
    from pyrunc.lifecycle import hook_results

    code, status = result
    return hook_results.result_of(
        pointer=hook.pointer,
        path=hook.path,
        status=status,
        duration_ms=(time.monotonic() - began) * 1000,
        signalled=code != syscalls.CLD_EXITED,
        timed_out=timed_out,
    )


def check_output(config: Config) -> None:
    """Files for the output of hooks are named by absolute paths."""
    for annotation in OUTPUT.values():
        path = config.annotations.get(annotation)
        if path is None or config.hooks is None:
            continue
        pointer = f"/annotations/{annotation}"
        if not path.startswith("/"):
            raise Failure(f"annotation {annotation}: it must be an absolute path", pointer=pointer)


def open_sinks(annotations: Mapping[str, str]) -> dict[str, int]:
    """Open the files that the output of hooks is appended to."""
    sinks: dict[str, int] = {}
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
    for name, annotation in OUTPUT.items():
        path = annotations.get(annotation)
        if not path:
            continue
        try:
            sinks[name] = os.open(path, flags, 0o600)
        except OSError as error:
            for fd in sinks.values():
                os.close(fd)
            raise Failure(
                f"cannot open {path} for the output of hooks",
                errno=error.errno or 0,
                pointer=f"/annotations/{annotation}",
            ) from None
    return sinks


class _Capture:
    """The ends of what a hook writes to standard output and error."""

    __slots__ = ("_data", "_sinks", "fds")

    def __init__(self, out: int, err: int, sinks: dict[str, int]) -> None:
        self._sinks = sinks
        self.fds = {out: "stdout", err: "stderr"}
        self._data = {"stdout": b"", "stderr": b""}
        for fd in self.fds:
            os.set_blocking(fd, False)

    def read(self, fd: int) -> bool:
        """Take what is there; False at the end of the stream."""
        try:
            data = os.read(fd, MAX_OUTPUT)
        except BlockingIOError:
            return True
        name = self.fds[fd]
        if data and name in self._sinks:
            os.write(self._sinks[name], data)
        self._data[name] = (self._data[name] + data)[-MAX_OUTPUT:]
        return bool(data)

    def drain(self) -> None:
        """Take what the hook has left in the pipes.

        A daemon of the hook may hold them open for ever.
        """
        for fd in self.fds:
            self.read(fd)

    def close(self) -> None:
        for fd in (*self.fds, *self._sinks.values()):
            os.close(fd)

    def text(self) -> str:
        """`, stdout: ..., stderr: ...`, with the end of each, where the cause is."""
        parts = []
        for name, data in self._data.items():
            text = data[-SHOWN_OUTPUT:].decode("utf-8", "replace").strip()
            mark = "[cut] " if len(data) > SHOWN_OUTPUT else ""
            parts.append(f", {name}: {mark}{text}")
        return "".join(parts)


def _wait(pidfd: int, capture: _Capture, timeout_s: int | None) -> bool:
    """Read the output until the hook has ended; False when its time is over."""
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    poll = select.poll()
    for fd in (pidfd, *capture.fds):
        poll.register(fd, select.POLLIN)
    while True:
        left_ms = (
            None if deadline is None else max(0, int((deadline - time.monotonic()) * 1000) + 1)
        )
        ready = [fd for fd, _events in poll.poll(left_ms)]
        if pidfd in ready:
            return True
        for fd in ready:
            if not capture.read(fd):
                poll.unregister(fd)
        if deadline is not None and time.monotonic() >= deadline:
            return False
