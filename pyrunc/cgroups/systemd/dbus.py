# SPDX-License-Identifier: Apache-2.0
"""A connection to systemd over D-Bus: jeepney for the messages, every wait with a deadline.

The system bus, or systemd's private socket where no bus runs; for a rootless caller the user bus.
Authentication is EXTERNAL without a name: the peer takes the uid from the socket, which is right in
a user namespace, too.
"""

from __future__ import annotations

import os
import select
import socket
import time

from jeepney import (  # type: ignore[import-untyped]
    DBusAddress,
    HeaderFields,
    Message,
    MessageType,
    Parser,
    new_method_call,
)

from pyrunc.errors import HostError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

CALL_S = 10.0
CONNECT_S = 5.0
MAX_LINE = 4096
SYSTEM_BUS = "/run/dbus/system_bus_socket"
SYSTEM_PRIVATE = "/run/systemd/private"
SERVICE = "org.freedesktop.systemd1"
SESSION = (
    "a user's systemd runs in a login session, which sudo and su do not make: log in, or"
    " `loginctl enable-linger USER`, and set XDG_RUNTIME_DIR and DBUS_SESSION_BUS_ADDRESS"
)
HINTS = {"org.freedesktop.DBus.Error.InteractiveAuthorizationRequired": SESSION}
BUS = DBusAddress(
    "/org/freedesktop/DBus", bus_name="org.freedesktop.DBus", interface="org.freedesktop.DBus"
)


class BusError(HostError):
    """An error that the peer answered with; `name` is its D-Bus name."""

    def __init__(self, action: str, *, name: str = "", hint: str = "") -> None:
        super().__init__(action, hint=hint)
        self.name = name


def addresses(*, user: bool, environment: Mapping[str, str], uid: int) -> list[tuple[str, bool]]:
    """(socket, whether it is systemd's private one), in the order in which to try."""
    if not user:
        given = _unix_path(environment.get("DBUS_SYSTEM_BUS_ADDRESS", ""))
        known = [(given or SYSTEM_BUS, False)]
        return [*known, (SYSTEM_PRIVATE, True)] if uid == 0 else known
    runtime = environment.get("XDG_RUNTIME_DIR") or f"/run/user/{uid}"
    given = _unix_path(environment.get("DBUS_SESSION_BUS_ADDRESS", ""))
    known = [(given, False)] if given else []
    return [*known, (f"{runtime}/bus", False), (f"{runtime}/systemd/private", True)]


def _unix_path(address: str) -> str:
    """Return the first unix socket of a D-Bus address; an abstract one begins with NUL."""
    for part in address.split(";"):
        transport, _, rest = part.partition(":")
        for pair in rest.split(",") if transport == "unix" else ():
            key, _, value = pair.partition("=")
            if key in ("path", "abstract"):
                return ("\0" if key == "abstract" else "") + _percent(value)
    return ""


def _percent(text: str) -> str:
    head, *parts = text.split("%")
    return head + "".join(chr(int(part[:2], 16)) + part[2:] for part in parts)


class Bus:
    """One connection. Signals that arrive while an answer is awaited are kept."""

    def __init__(self, peer: socket.socket, *, private: bool, where: str) -> None:
        self.peer = peer
        self.private = private
        self.where = where
        self.parser = Parser()
        self.serial = 0
        self.signals: list[Message] = []

    def close(self) -> None:
        self.peer.close()

    # -- the wire ----------------------------------------------------------------------------------

    def _wait(self, deadline: float, action: str, *, write: bool = False) -> None:
        poll = select.poll()
        poll.register(self.peer.fileno(), select.POLLOUT if write else select.POLLIN)
        left = deadline - time.monotonic()
        if left <= 0 or not poll.poll(int(left * 1000) + 1):
            raise BusError(
                f"{self.where} did not answer in time: {action}",
                name="timeout",
                hint="is systemd busy or stuck? see `systemctl list-jobs` and the journal",
            )

    def _send(self, data: bytes, deadline: float, action: str) -> None:
        view = memoryview(data)
        while view:
            self._wait(deadline, action, write=True)
            try:
                view = view[self.peer.send(view) :]
            except OSError as error:
                raise self._lost(action, error) from error

    def _receive(self, deadline: float, action: str, size: int = 65536) -> bytes:
        self._wait(deadline, action)
        try:
            data = self.peer.recv(size)
        except OSError as error:
            raise self._lost(action, error) from error
        if not data:
            raise BusError(f"{self.where} closed the connection: {action}", name="closed")
        return data

    def _lost(self, action: str, error: OSError) -> BusError:
        return BusError(f"the connection to {self.where} failed: {action}: {error.strerror}")

    def authenticate(self, deadline: float) -> None:
        """Authenticate in one write.

        systemd reads ahead while it authenticates: a call that it gets
        together with BEGIN waits in its buffer until something else arrives. OK is its answer to
        what it has read, so BEGIN has been read by then.
        """
        self._send(b"\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n", deadline, "authenticate")
        answer = self._line(deadline)
        if answer.startswith(b"DATA"):
            answer = self._line(deadline)
        if not answer.startswith(b"OK"):
            raise BusError(f"{self.where} refuses this user: {answer.decode('ascii', 'replace')}")

    def _line(self, deadline: float) -> bytes:
        line = bytearray()
        while not line.endswith(b"\r\n") and len(line) < MAX_LINE:
            line += self._receive(deadline, "authenticate", 1)
        return bytes(line.strip())

    def _next(self, deadline: float, action: str) -> Message:
        while (message := self.parser.get_next_message()) is None:
            self.parser.add_data(self._receive(deadline, action))
        return message

    # -- calls -------------------------------------------------------------------------------------

    def call(
        self,
        target: DBusAddress,
        method: str,
        signature: str | None = None,
        body: tuple[Any, ...] = (),
        *,
        action: str,
        limit_s: float = CALL_S,
    ) -> tuple[Any, ...]:
        """Call a method and wait for its answer. `what` says in an error what was attempted."""
        deadline = time.monotonic() + limit_s
        self.serial += 1
        message = new_method_call(target, method, signature, body)
        self._send(message.serialise(serial=self.serial), deadline, action)
        while True:
            answer = self._next(deadline, action)
            kind = answer.header.message_type
            if kind is MessageType.signal:
                self.signals.append(answer)
            elif answer.header.fields.get(HeaderFields.reply_serial) != self.serial:
                continue
            elif kind is MessageType.error:
                name = str(answer.header.fields.get(HeaderFields.error_name, ""))
                text = answer.body[0] if answer.body else name
                raise BusError(f"cannot {action}: {text}", name=name, hint=HINTS.get(name, ""))
            else:
                return tuple(answer.body)

    def wait_signal(
        self,
        member: str,
        accept: Callable[[tuple[Any, ...]], bool],
        *,
        deadline: float,
        action: str,
    ) -> tuple[Any, ...]:
        """Wait for the first accepted signal of a name, early ones included; return its body."""
        while True:
            waiting, self.signals = self.signals, []
            for message in waiting:
                if message.header.fields.get(HeaderFields.member) == member and accept(
                    tuple(message.body)
                ):
                    return tuple(message.body)
            message = self._next(deadline, action)
            if message.header.message_type is MessageType.signal:
                self.signals.append(message)


def connect(
    *, user: bool, environment: Mapping[str, str] | None = None, limit_s: float = CONNECT_S
) -> Bus:
    """Connect to the first bus of systemd that answers; the error lists the places that were tried.

    A socket without a daemon behind it (it has ended, or cannot start) is passed over, too.
    """
    known = os.environ if environment is None else environment
    tried = []
    for path, private in addresses(user=user, environment=known, uid=os.geteuid()):
        where = path.replace("\0", "@")
        peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        bus = Bus(peer, private=private, where=where)
        try:
            peer.settimeout(limit_s)
            peer.connect(path)
            bus.authenticate(time.monotonic() + limit_s)
            if not private:
                bus.call(BUS, "Hello", action="log in to the bus", limit_s=limit_s)
        except BusError as error:
            bus.close()
            tried.append(str(error))
        except OSError as error:
            bus.close()
            tried.append(f"{where}: {(error.strerror or str(error)).lower()}")
        else:
            return bus
    raise HostError(
        f"cannot connect to the {'user' if user else 'system'} bus of systemd: {'; '.join(tried)}",
        hint="is systemd running? else use --cgroup-manager=cgroupfs"
        + (f"; {SESSION}" if user else ""),
    )
