# SPDX-License-Identifier: Apache-2.0
"""How the hooks of a container have ended: a line of JSON for each, in its state directory.

Only a container with hooks has the file. Those that run inside are reported by the init, and only
when they have ended well: else there is no container.
"""

from __future__ import annotations

import os

from pyrunc import jsontext
from pyrunc.host import process
from pyrunc.lifecycle.state import HOOKS
from pyrunc.log import log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, Final, Protocol

    from pyrunc.lifecycle.state import StateDirectory

    class Ended(Protocol):
        """A hook that the init has run: an op, or what the state keeps of one."""

        @property
        def path(self) -> str: ...
        @property
        def pointer(self) -> str: ...


APPEND: Final = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
KEYS: Final = ("hook", "path", "exitStatus", "signal", "timedOut", "durationMs")


class Notes:
    """Takes down the hooks that one command runs. `boot`: their processes are recorded, too."""

    __slots__ = ("boot", "directory")

    def __init__(self, directory: StateDirectory, *, boot: str | None = None) -> None:
        self.directory = directory
        self.boot = boot

    def started(self, pid: int) -> None:
        """Record a hook, which outlives a create that is killed, for `delete` to find."""
        stat = process.read_stat(pid) if self.boot is not None else None
        if stat is not None:
            record = {"pid": pid, "startTime": stat.start_time, "boot": self.boot}
            self.directory.intend("hook", record)

    def ended(self, result: dict[str, Any]) -> None:
        """Keep the result of a hook."""
        self._write([result])

    def of_init(self, ended: Iterable[tuple[Ended, int]]) -> None:
        """Keep the results of hooks that the init has run: op and milliseconds of each."""
        self._write(
            result_of(pointer=op.pointer, path=op.path, status=0, duration_ms=ms)
            for op, ms in ended
        )

    def _write(self, results: Iterable[dict[str, Any]]) -> None:
        text = "".join(f"{jsontext.encode(one)}\n" for one in results)
        if not text:
            return
        try:
            fd = os.open(HOOKS, APPEND, 0o600, dir_fd=self.directory.fd)
            try:
                os.write(fd, text.encode("utf-8", "surrogateescape"))
            finally:
                os.close(fd)
        except OSError as error:  # a full or foreign directory: the container is what counts
            log.debug(f"{self.directory.id}: {HOOKS} cannot be kept: {error}")


class Told:
    """Logs hooks that end when there is no directory any more: a record for each."""

    __slots__ = ("container_id",)

    def __init__(self, container_id: str) -> None:
        self.container_id = container_id

    def started(self, pid: int) -> None:
        """Nothing can be recorded."""

    def ended(self, result: dict[str, Any]) -> None:
        """Write one record."""
        told = {name: str(value) for name, value in result.items()}
        how = (
            f"exit status {result['exitStatus']}"
            if "exitStatus" in result
            else (f"signal {result['signal']}")
        )
        text = f"{self.container_id}: {result['hook']} has ended: {how}"
        log.write("info", f"{text}, {result['durationMs']} ms", **told)


def result_of(
    *,
    pointer: str,
    path: str,
    status: int,
    duration_ms: float,
    signalled: bool = False,
    timed_out: bool = False,
) -> dict[str, Any]:
    """Return the record of one hook."""
    result: dict[str, Any] = {"hook": pointer, "path": path}
    result["signal" if signalled else "exitStatus"] = status
    if timed_out:
        result["timedOut"] = True
    result["durationMs"] = round(duration_ms, 1)
    return result


def read(directory: StateDirectory) -> list[dict[str, Any]]:
    """Return what was kept; lines of another hand are left out."""
    kept = []
    for line in (directory.read(HOOKS) or "").splitlines():
        try:
            result = jsontext.decode(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(result, dict) and set(result) <= set(KEYS):
            kept.append(result)
    return kept
