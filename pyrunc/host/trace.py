# SPDX-License-Identifier: Apache-2.0
"""Where the time of a command goes: one span for the command, one for each phase, one for each op.

Off, this costs a test at each phase. On, the spans are written as one line of the
OpenTelemetry JSON file format (OTLP) when the command ends, and join the trace that TRACEPARENT
names (W3C Trace Context). Times are in ns since 1970: CLOCK_REALTIME is the one clock that the
init of a container with a time namespace shares with its parent.
"""

from __future__ import annotations

import os
import select
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any, Protocol

    class Op(Protocol):
        """What is read of an op of a plan."""

        NAME: str
        action: str
        pointer: str


INTERNAL = 1  # SPAN_KIND_INTERNAL
FAILED = 2  # STATUS_CODE_ERROR
TIME_SIZE = 8
MFD_CLOEXEC = 1


class Span:
    """One stretch of time; `end` is 0 while it lasts."""

    __slots__ = ("attributes", "begin", "end", "id", "name", "parent")

    def __init__(self, name: str, parent: str, begin: int, attributes: dict[str, Any]) -> None:
        self.name = name
        self.id = os.urandom(8).hex()
        self.parent = parent
        self.begin = begin
        self.end = 0
        self.attributes = attributes


class Trace:
    """The spans of this command."""

    __slots__ = ("_command", "_path", "_phase", "_spans", "_times", "_trace_id", "on", "table")

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.on = False
        self.table = False  # print the phases at the end
        self._path = ""
        self._trace_id = ""
        self._spans: list[Span] = []
        self._command: Span | None = None
        self._phase: Span | None = None
        self._times = -1  # the memory file that the init writes to

    def configure(self, *, path: str, table: bool, command: str) -> None:
        """Begin the span of the command, at the start of this process."""
        self.on = True
        self.table = table
        self._path = path
        # What the process has computed since its start is nearly all that it did until now.
        begin = time.time_ns() - time.clock_gettime_ns(time.CLOCK_PROCESS_CPUTIME_ID)
        parent = ""
        self._trace_id, parent = parent_of(os.environ.get("TRACEPARENT", ""))
        self._command = Span(f"pyrunc {command}", parent, begin, {})
        self._spans = [self._command]
        self._begin("start of the program", begin)

    def _begin(self, name: str, begin: int) -> None:
        assert self._command is not None
        self._phase = Span(name, self._command.id, begin, {})
        self._spans.append(self._phase)

    def phase(self, name: str) -> None:
        """End the present phase and begin the next one; nothing where tracing is off."""
        if not self.on:
            return
        now = time.time_ns()
        if self._phase is not None:
            self._phase.end = now
        self._begin(name, now)

    def note(self, name: str, value: str) -> None:
        """Set an attribute of the command, such as the container's id."""
        if self._command is not None:
            self._command.attributes[name] = value

    def child(self, name: str, begin: int, **attributes: Any) -> None:
        """Add what began at `begin` and ends now, below the present phase."""
        assert self._phase is not None
        span = Span(name, self._phase.id, begin, attributes)
        span.end = time.time_ns()
        self._spans.append(span)

    # -- the init's own times ----------------------------------------------------------------------

    def times_file(self, count: int) -> int:
        """Make the memory file for the times of a plan's `count` ops; the caller closes it.

        A duplicate stays here for `operations`.
        """
        fd = os.memfd_create("pyrunc-trace", MFD_CLOEXEC)
        os.ftruncate(fd, count * TIME_SIZE)
        if self._times >= 0:
            os.close(self._times)
        self._times = os.dup(fd)
        return fd

    def operations(self, ops: Sequence[Op]) -> None:
        """Add a span for each op that has ended, below the present phase."""
        if self._times < 0 or self._phase is None:
            return
        data = os.pread(self._times, len(ops) * TIME_SIZE, 0)
        os.close(self._times)
        self._times = -1
        before = 0
        for op, at in zip(ops, range(0, len(data), TIME_SIZE), strict=False):
            end = int.from_bytes(data[at : at + TIME_SIZE], "little")
            if not end:  # not come to, or after the program's start
                continue
            if before:
                attributes = {"op": op.NAME, **({"config": op.pointer} if op.pointer else {})}
                span = Span(f"{op.NAME}: {op.action}", self._phase.id, before, attributes)
                span.end = end
                self._spans.append(span)
            before = end

    # -- the end -----------------------------------------------------------------------------------

    def finish(self, status: int) -> Sequence[str]:
        """End all spans and append them to the file; returns the lines of the table, if wanted.

        OSError when the file cannot be written.
        """
        assert self._command is not None
        now = time.time_ns()
        for span in self._spans:
            span.end = span.end or now
        if self._path:
            _append(self._path, (self._otlp(status) + "\n").encode("utf-8", "surrogateescape"))
        return list(self._lines()) if self.table else ()

    def _otlp(self, status: int) -> str:
        from pyrunc import jsontext
        from pyrunc.buildinfo import FRONT_END

        resource = {"service.name": "pyrunc", "process.pid": os.getpid(), "frontEnd": FRONT_END}
        spans = [self._row(span, status) for span in self._spans]
        scopes = [{"scope": {"name": "pyrunc"}, "spans": spans}]
        rows = [{"resource": {"attributes": _attributes(resource)}, "scopeSpans": scopes}]
        return jsontext.encode({"resourceSpans": rows})

    def _row(self, span: Span, status: int) -> dict[str, Any]:
        row: dict[str, Any] = {
            "traceId": self._trace_id,
            "spanId": span.id,
            "parentSpanId": span.parent,
            "name": span.name,
            "kind": INTERNAL,
            "startTimeUnixNano": str(span.begin),
            "endTimeUnixNano": str(span.end),
            "attributes": _attributes(span.attributes),
        }
        if span is self._command:
            row["status"] = {"code": FAILED} if status else {}
            row["attributes"] += _attributes({"exit.status": status})
        return row

    def _lines(self) -> Iterator[str]:
        """Iterate over the table for people: phases, and what takes most of them; ms, share."""
        assert self._command is not None
        whole = max(1, self._command.end - self._command.begin)
        for span in self._spans:
            if span is self._command:
                continue
            top = span.parent == self._command.id
            taken = span.end - span.begin
            if top or taken * SHOWN >= whole:
                name = span.name if top else f"  {span.name}"
                yield f"{name[:60]:<60} {taken / 1e6:9.3f} ms {100 * taken / whole:5.1f} %"
        yield f"{'all':<60} {whole / 1e6:9.3f} ms 100.0 %"


def parent_of(text: str) -> tuple[str, str]:
    """Return the ids of the trace and of the parent span that a TRACEPARENT names.

    What is no valid value begins a new trace, as W3C Trace Context has it.
    """
    version, *rest = text.split("-")
    if len(rest) >= 3 and version != "ff" and (version != "00" or len(rest) == 3):
        fields = (version, *rest[:3])
        sizes = (2, 32, 16, 2)
        if all(
            len(field) == size and not set(field) - HEX
            for field, size in zip(fields, sizes, strict=True)
        ) and not {rest[0].strip("0"), rest[1].strip("0")} & {""}:
            return rest[0], rest[1]
    return os.urandom(16).hex(), ""


def _append(path: str, data: bytes) -> None:
    """Append to a file, a pipe or a device; OSError with its name.

    A fifo that nobody reads, or a pipe that stays full, is an error: a command must not wait for
    those who look at it.
    """
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
    fd = os.open(path, flags, 0o644)
    try:
        while data:
            try:
                data = data[os.write(fd, data) :]
            except BlockingIOError:
                room = select.poll()
                room.register(fd, select.POLLOUT)
                if not room.poll(PATIENCE_MS):
                    raise
    except OSError as error:
        error.filename = path
        raise
    finally:
        os.close(fd)


PATIENCE_MS = 1000  # for a reader of a pipe that is slow
HEX = frozenset("0123456789abcdef")
SHOWN = 50  # ops and rendezvous that take less than one part in so many are left out


def _attributes(values: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "key": key,
            "value": {"intValue": str(value)} if isinstance(value, int) else {"stringValue": value},
        }
        for key, value in values.items()
    ]


trace = Trace()
