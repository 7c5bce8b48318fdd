# SPDX-License-Identifier: Apache-2.0
"""Log records for the journal (`--log journald:NAME`) and for syslog (`--log syslog:NAME`).

A record is one datagram to a socket of the host. NAME is the container's id unless it is given.
"""

from __future__ import annotations

import os

from pyrunc.errors import HostError
from pyrunc.host import syscalls
from pyrunc.log import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

    from pyrunc.log import Sink

SOCKETS: Final = {"journald": "/run/systemd/journal/socket", "syslog": "/dev/log"}
PRIORITIES: Final = {"debug": 7, "info": 6, "warning": 4, "error": 3, "fatal": 2}  # of syslog(3)
USER: Final = 1 << 3  # LOG_USER


def split(path: str) -> tuple[str, str]:
    """Return the kind of a log and the rest: crun's forms; any other path is a file's."""
    kind, colon, rest = path.partition(":")
    return (kind, rest) if colon and kind in ("file", *SOCKETS) else ("file", path)


def open_sink(kind: str, name: str) -> Sink:
    """Return what takes records; HostError when nobody listens. The socket lives as we do."""
    try:
        fd = syscalls.connect_unix(SOCKETS[kind], syscalls.SOCK_DGRAM)
    except OSError as error:
        raise HostError(
            f"cannot log to {kind}: {SOCKETS[kind]}",
            errno=error.errno or 0,
            hint="--log FILE writes to a file",
        ) from None
    form = _journal if kind == "journald" else _syslog

    def sink(level: str, message: str, fields: Mapping[str, str]) -> None:
        try:
            syscalls.send_message(fd, form(name, PRIORITIES[level], message, fields))
        except OSError:  # the reader has gone: logging changes no outcome
            return

    return sink


def _journal(name: str, priority: int, message: str, fields: Mapping[str, str]) -> bytes:
    rows = {"MESSAGE": message, "PRIORITY": str(priority), "SYSLOG_IDENTIFIER": name}
    rows |= {f"PYRUNC_{key.upper()}": value for key, value in fields.items() if value}
    text = "".join(f"{key}={printable(value)}\n" for key, value in rows.items())
    return text.encode("utf-8", "replace")


def _syslog(name: str, priority: int, message: str, fields: Mapping[str, str]) -> bytes:
    text = f"<{USER | priority}>{printable(name)}[{os.getpid()}]: {printable(message)}"
    return text.encode("utf-8", "replace")
