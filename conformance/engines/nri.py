# SPDX-License-Identifier: Apache-2.0
"""A plugin of containerd's Node Resource Interface, which adjusts every container that is made.

NRI (https://github.com/containerd/nri) carries two ttrpc connections over one socket: frames of
(connection, size), in which ttrpc has its own of (size, stream, type, flags).
"""

from __future__ import annotations

import socket
import struct
import threading
from pathlib import Path
from typing import Any

from pyrunc.checkpoint import wire
from pyrunc.checkpoint.wire import INT, TEXT

PLUGIN, RUNTIME = 1, 2  # connections: the plugin serves the first
REQUEST, RESPONSE = 1, 2
CREATE_CONTAINER = 1 << 3  # of the mask of events
ANSWER: dict[str, Any] = {"code": (1, INT), "message": (2, TEXT)}
ASKED: dict[str, Any] = {"service": (1, TEXT), "method": (2, TEXT), "payload": (3, TEXT)}
ANSWERED: dict[str, Any] = {"status": (1, ANSWER), "payload": (2, TEXT)}
REGISTRATION: dict[str, Any] = {"name": (1, TEXT), "index": (2, TEXT)}
CONFIGURED: dict[str, Any] = {"events": (2, INT)}
NUMBER: dict[str, Any] = {"value": (1, INT)}
PAIR: dict[str, Any] = {"key": (1, TEXT), "value": (2, TEXT)}
MOUNT: dict[str, Any] = {
    "destination": (1, TEXT), "type": (2, TEXT), "source": (3, TEXT), "options": (4, TEXT),
}  # fmt: skip
RLIMIT: dict[str, Any] = {"type": (1, TEXT), "hard": (2, INT), "soft": (3, INT)}
RESOURCES: dict[str, Any] = {
    "memory": (1, {"limit": (1, NUMBER)}),
    "pids": (8, {"limit": (1, INT)}),
}
LINUX: dict[str, Any] = {"resources": (2, RESOURCES), "oom_score_adj": (4, NUMBER)}
ADJUSTMENT: dict[str, Any] = {
    "annotations": (2, PAIR), "mounts": (3, MOUNT), "env": (4, PAIR), "linux": (6, LINUX),
    "rlimits": (7, RLIMIT),
}  # fmt: skip
CREATED: dict[str, Any] = {"adjust": (1, ADJUSTMENT)}


class Plugin:
    """Connects, registers, and answers from a thread until it is closed."""

    def __init__(self, path: Path, adjustment: dict[str, Any]):
        self.adjustment = adjustment
        self.asked: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(path))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        registration = wire.encode({"name": "conformance", "index": "10"}, REGISTRATION)
        request = {
            "service": "nri.pkg.api.v1alpha1.Runtime",
            "method": "RegisterPlugin",
            "payload": _text(registration),
        }
        self._send(RUNTIME, 1, REQUEST, wire.encode(request, ASKED))

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(20)
        self._socket.close()

    def _send(self, connection: int, stream: int, kind: int, data: bytes) -> None:
        frame = struct.pack(">IIBB", len(data), stream, kind, 0) + data
        self._socket.sendall(struct.pack(">II", connection, len(frame)) + frame)

    def _serve(self) -> None:
        waiting = {PLUGIN: b"", RUNTIME: b""}
        with self._socket.makefile("rb") as stream:
            while len(head := stream.read(8)) == 8:
                connection, size = struct.unpack(">II", head)
                waiting[connection] += stream.read(size)
                while (rest := self._take(connection, waiting[connection])) is not None:
                    waiting[connection] = rest

    def _take(self, connection: int, data: bytes) -> bytes | None:
        """Answer the first message, if it is whole; returns what follows it."""
        if len(data) < 10:
            return None
        size, stream, kind, _ = struct.unpack(">IIBB", data[:10])
        if len(data) < 10 + size:
            return None
        if connection == PLUGIN and kind == REQUEST:
            method = wire.decode(data[10 : 10 + size], ASKED)["method"]
            self.asked.append(method)
            answer = {"status": {"code": 0}, "payload": _text(self._answer(method))}
            self._send(PLUGIN, stream, RESPONSE, wire.encode(answer, ANSWERED))
        return data[10 + size :]

    def _answer(self, method: str) -> bytes:
        if method == "Configure":
            return wire.encode({"events": CREATE_CONTAINER}, CONFIGURED)
        if method == "CreateContainer":
            return wire.encode({"adjust": self.adjustment}, CREATED)
        return b""


def _text(data: bytes) -> str:
    """Return bytes as the text that wire encodes to the same bytes."""
    return data.decode("utf-8", "surrogateescape")
