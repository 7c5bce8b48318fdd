# SPDX-License-Identifier: Apache-2.0
"""Log records, and the one place that writes to standard error.

A record is one write: clients read the file while we append, podman parses a whole JSON log as one
document, conmon reads standard error once with 8 KiB. Logging never changes the outcome of a
command: a full disk is ignored.
"""

from __future__ import annotations

import errno
import os
import stat
import time

from pyrunc.errors import Failure, HostError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Final

    from pyrunc.errors import Problem

    Sink = Callable[[str, str, Mapping[str, str]], None]  # level, message, fields

LEVELS: Final = {"debug": 0, "info": 1, "warning": 2, "error": 3, "fatal": 4}
MAX_MESSAGE = 4096
MAX_FIELD = 1024
MAX_FILE = 16 << 20  # bytes of a log file; errors are written up to twice as many
FULL = "the log file has reached 16 MiB: from now on it gets errors only"
MAX_STDERR = 8000  # conmon reads at most 8191 bytes of an error
STDERR = 2

# Characters that would let a foreign string forge a line or drive the reader's terminal: controls,
# and the bidirectional marks that reorder what is seen.
_BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2028\u2029\u2066\u2067\u2068\u2069"


class Log:
    """Where records go. One instance, `log`, is configured from the command line."""

    __slots__ = (
        "_last",
        "_room",
        "began_ns",
        "common",
        "configured",
        "debugging",
        "divert",
        "fd",
        "json",
        "least",
        "sink",
    )

    def __init__(self) -> None:
        # Takes level and message in the place of all else, or returns False: the library sets this,
        # for the records of its own calls. A command line in the same process leaves it alone.
        self.divert: Callable[[str, str], bool] | None = None
        self.reset()

    def reset(self) -> None:
        self.fd = -1
        self.json = False
        self.least = LEVELS["info"]
        self.debugging = False
        self.configured = False
        self.began_ns = 0
        self.common: Mapping[str, str] = {}
        self.sink: Sink | None = None
        self._last = ("", "")
        self._room = MAX_FILE

    def configure(
        self,
        *,
        path: str,
        json: bool,
        level: str,
        debugging: bool,
        common: Mapping[str, str] | None = None,
        sink: Sink | None = None,
    ) -> None:
        """Take the options of a command line; HostError when the file cannot be opened.

        `common` are fields of every JSON record, `sink` takes records in the place of a file.
        """
        self.configured = True
        self.common = common or {}
        self.sink = sink
        self.json = json
        self.debugging = debugging
        self.least = LEVELS[level] if level else LEVELS["debug" if debugging else "info"]
        if self.least == LEVELS["debug"]:
            self.began_ns = time.monotonic_ns()
        if path:
            self.fd, size = _open(path)
            self._room = MAX_FILE - size

    def debug(self, message: str) -> None:
        if self.least == 0:
            self.write("debug", message)

    def step(self, text: str, *values: object) -> None:
        """Log a decision or a step for debugging, with the time since the command began.

        `values` fill the text as % does, only when it is asked for.
        """
        if self.least == 0:
            passed_ms = (time.monotonic_ns() - self.began_ns) / 1e6
            self.write("debug", f"{passed_ms:7.2f} ms  " + (text % values if values else text))

    def warning(self, message: str) -> None:
        self.write("warning", message)

    def write(self, level: str, message: str, **fields: str) -> None:
        """Write one record to the log file, or to standard error when there is none.

        `fields` go into JSON records and the journal. What was said last is not said again.
        """
        if self.divert is not None and self.divert(level, message):
            return
        if LEVELS[level] >= self.least and self._last != (level, message):
            self._last = (level, message)
            self._put(level, message, fields)

    def problem(self, problem: Problem) -> None:
        """Warn of a doubt about the configuration."""
        self.write("warning", problem.line(), pointer=problem.pointer, hint=problem.hint)

    def _put(self, level: str, message: str, fields: Mapping[str, str]) -> None:
        if self.sink is not None:
            self.sink(level, _bounded(message, MAX_MESSAGE), {**self.common, **fields})
            return
        record = self._record(level, message, fields)
        if self.fd >= 0:
            room, self._room = self._room, self._room - len(record)
            limit = -MAX_FILE if LEVELS[level] >= LEVELS["error"] else 0
            if self._room < limit:
                if room < 0:
                    return
                record = self._record("warning", FULL, {})  # the last one, but for errors
        _write(STDERR if self.fd < 0 else self.fd, record)

    def misspelt(self, warnings: Iterable[Problem]) -> None:
        """Warn of properties that are ignored and whose names are near to known ones."""
        for problem in warnings:
            if problem.misspelt:
                self.problem(problem)

    def tell(self, lines: Iterable[str]) -> None:
        """Print lines that the user has asked for on standard error."""
        _write(STDERR, "".join(printable(line) + "\n" for line in lines))

    def error(self, first: str, *, more: str = "", **fields: str) -> None:
        """Report the error that ends the command.

        The log gets a record with the first line and the fields, standard error all lines.
        """
        if self.fd >= 0 or self.json or self.sink is not None:
            self._put("error", first, fields)
        if self.fd >= 0 and self.sink is None:
            if not _same_file(self.fd, STDERR):
                _write(STDERR, _bounded(printable(first) + "\n" + more, MAX_STDERR))
        elif not self.json or self.sink is not None:
            _write(STDERR, _bounded(printable(first) + "\n" + more, MAX_STDERR))

    def _record(self, level: str, message: str, fields: Mapping[str, str]) -> str:
        now = f"{utc(time.time_ns() // 10**9)}Z"
        message = _bounded(message, MAX_MESSAGE)
        if self.json:
            more = "".join(
                f',"{name}":{quote_json(_bounded(value, MAX_FIELD))}'
                for name, value in (*self.common.items(), *fields.items())
                if value
            )
            return f'{{"level":"{level}","msg":{quote_json(message)},"time":"{now}"{more}}}\n'
        return f"time={quote(now)} level={level} msg={quote(printable(message))}\n"


def _open(path: str) -> tuple[int, int]:
    """Open the log file, with care (LG-2), and return its size, too.

    The process never becomes a terminal's owner, never waits for a pipe's reader, never writes
    to a disk device.
    """
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
    try:
        fd = os.open(path, flags, 0o644)
        status = os.fstat(fd)
    except OSError as error:
        raise HostError(f"cannot open the log file {path}", errno=error.errno or 0) from error
    mode = status.st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)):
        raise HostError(f"the log file {path} is neither a regular file nor a pipe")
    return fd, status.st_size


def _same_file(fd: int, other: int) -> bool:
    try:
        one, two = os.fstat(fd), os.fstat(other)
    except OSError:  # standard error may be closed
        return False
    return (one.st_dev, one.st_ino) == (two.st_dev, two.st_ino)


def _write(fd: int, text: str) -> None:
    try:
        os.write(fd, text.encode("utf-8", "surrogateescape"))
    except OSError as error:
        # A full disk, a closed standard error or a reader that went away must not change the
        # outcome.
        if error.errno not in (
            errno.ENOSPC,
            errno.EDQUOT,
            errno.EPIPE,
            errno.EBADF,
            errno.EAGAIN,
            errno.EIO,
            errno.EFBIG,
        ):
            raise Failure("cannot write a log record", errno=error.errno or 0) from error


def _bounded(text: str, limit: int) -> str:
    if len(text) <= limit // 4:
        return text
    data = text.encode("utf-8", "surrogateescape")
    if len(data) <= limit:
        return text
    mark = " [cut]\n" if text.endswith("\n") else " [cut]"
    return data[: limit - len(mark)].decode("utf-8", "replace") + mark


def printable(text: str) -> str:
    """Return the text on one line: control and reordering characters are shown as escapes."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escape(char) for char in text)


def _escape(char: str) -> str:
    code = ord(char)
    if code < 0x20 or 0x7F <= code < 0xA0 or char in _BIDI:
        return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
    return char


def quote(text: str) -> str:
    """Return a double-quoted word as Go's log packages write it."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def quote_json(text: str) -> str:
    """Return a JSON string of ASCII characters.

    A byte that is no UTF-8 stays a lone surrogate (surrogateescape).
    """
    parts = ['"']
    for char in text:
        code = ord(char)
        if char in '"\\':
            parts.append("\\" + char)
        elif 0x20 <= code < 0x7F:
            parts.append(char)
        elif code > 0xFFFF:
            code -= 0x10000
            parts.append(f"\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}")
        elif char == "\n":
            parts.append("\\n")
        else:
            parts.append(f"\\u{code:04x}")
    parts.append('"')
    return "".join(parts)


def utc(seconds: int) -> str:
    """Return ISO 8601 of seconds since 1970, without a zone.

    The C library would first read the time zone of the machine, for gmtime too.
    """
    days, second = divmod(seconds, 86400)
    # Years begin in March here, so that the leap day ends one; an era of 400 years has 146097 days.
    era, day = divmod(days + 719468, 146097)
    year = (day - day // 1460 + day // 36524 - day // 146096) // 365
    day -= 365 * year + year // 4 - year // 100
    month = (5 * day + 2) // 153
    day -= (153 * month + 2) // 5 - 1
    year += 400 * era + (month > 9)
    month += 3 if month < 10 else -9
    clock = f"{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}"
    return f"{year:04}-{month:02}-{day:02}T{clock}"


log = Log()
