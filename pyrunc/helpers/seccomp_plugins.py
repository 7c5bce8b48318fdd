# SPDX-License-Identifier: Apache-2.0
"""A program of its own: answers the system calls of a container with plugins in crun's format.

Usage: python3 -I seccomp_plugins.py PLUGIN[:PLUGIN...] STATE-ROOT ID BUNDLE CONFIG, with a socket
as standard input. It writes `ok` or what is wrong to the socket, gets the listener there, and ends
with the last process under the filter. A plugin is a shared object, so it is loaded here and never
into the runtime.

A plugin has `run_oci_seccomp_notify_handle_request`, and may have `.._start`, `.._stop` and
`.._plugin_version`, which then must return 1.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import select
import socket
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PREFIX = "run_oci_seccomp_notify_"
VERSION = 1
# linux/seccomp.h
NOTIF_RECV, NOTIF_SEND = 0xC0502100, 0xC0182101
FLAG_CONTINUE = 1
NOTIFICATION_SIZE, RESPONSE_SIZE, DATA_SIZE = 80, 24, 64
# What a plugin says about a request.
NOT_HANDLED, SEND, DELAYED, SEND_AND_CONTINUE = 0, 1, 2, 3
MAX_MESSAGE = 1 << 20


class Configuration(ctypes.Structure):
    """What `start` is told."""

    _fields_ = [
        (name, ctypes.c_char_p)
        for name in ("runtime_root_path", "name", "bundle_path", "oci_config_path")
    ]


class Sizes(ctypes.Structure):
    """struct seccomp_notif_sizes: those that our ioctl numbers carry."""

    _fields_ = [(name, ctypes.c_uint16) for name in ("notification", "response", "data")]


class Response(ctypes.Structure):
    """struct seccomp_notif_resp."""

    _fields_ = [
        ("id", ctypes.c_uint64),
        ("value", ctypes.c_int64),
        ("error", ctypes.c_int32),
        ("flags", ctypes.c_uint32),
    ]


class Plugin:
    """A loaded plugin that was started."""

    def __init__(self, path: str, configuration: Configuration) -> None:
        self.path = path
        self._library = ctypes.CDLL(path)
        self._opaque = ctypes.c_void_p()
        version = self._function("plugin_version")
        if version is not None and version() != VERSION:
            raise OSError(errno.ENOTSUP, f"{path}: it is for another version than {VERSION}")
        self._handle = self._function("handle_request")
        if self._handle is None:
            raise OSError(errno.ENOEXEC, f"{path}: it has no {PREFIX}handle_request")
        start = self._function("start")
        if start is not None:
            size = ctypes.c_size_t(ctypes.sizeof(configuration))
            result = start(ctypes.byref(self._opaque), ctypes.byref(configuration), size)
            if result:
                raise OSError(-result, f"{path}: it does not start: {os.strerror(-result)}")

    def _function(self, name: str) -> Any:
        try:
            return getattr(self._library, PREFIX + name)
        except AttributeError:
            return None

    def handle(self, request: Any, response: Response, listener: int) -> int:
        """Let the plugin handle a request; its failure becomes the error of the system call."""
        handled = ctypes.c_int(NOT_HANDLED)
        sizes = Sizes(NOTIFICATION_SIZE, RESPONSE_SIZE, DATA_SIZE)
        result = self._handle(
            self._opaque,
            ctypes.byref(sizes),
            request,
            ctypes.byref(response),
            listener,
            ctypes.byref(handled),
        )
        if result:
            response.error = -abs(result)
            return SEND
        return handled.value

    def stop(self) -> None:
        stop = self._function("stop")
        if stop is not None:
            stop(self._opaque)


def answer(plugins: list[Plugin], listener: int) -> None:
    """Take one notification and answer it; the caller may have been killed meanwhile."""
    request = ctypes.create_string_buffer(NOTIFICATION_SIZE)
    try:
        fcntl.ioctl(listener, NOTIF_RECV, request)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.EINTR):
            return
        raise
    response = Response(id=int.from_bytes(request.raw[:8], sys.byteorder))
    done = NOT_HANDLED
    for plugin in plugins:
        done = plugin.handle(request, response, listener)
        if done != NOT_HANDLED:
            break
    if done == DELAYED:
        return
    if done == NOT_HANDLED:
        response.error, response.flags = -errno.ENOTSUP, 0
    if done == SEND_AND_CONTINUE:
        response.flags |= FLAG_CONTINUE
    response.id = int.from_bytes(request.raw[:8], sys.byteorder)
    try:
        fcntl.ioctl(listener, NOTIF_SEND, response)
    except OSError as error:
        if error.errno != errno.ENOENT:
            raise


def serve(plugins: list[Plugin], listener: int) -> None:
    """Until no process has the filter any more."""
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    while True:
        for _fd, events in poll.poll():
            if events & select.POLLIN:
                answer(plugins, listener)
            elif events:
                return


def receive(connection: socket.socket) -> int:
    """Receive the listener; -1 when the container was not made."""
    _text, fds, _flags, _address = socket.recv_fds(connection, MAX_MESSAGE, 1)
    return fds[0] if fds else -1


def main() -> int:
    names, *words = sys.argv[1:]
    connection = socket.socket(fileno=0)
    configuration = Configuration(*(os.fsencode(word) for word in words))
    try:
        plugins = [Plugin(name, configuration) for name in names.split(":") if name]
    except OSError as error:
        connection.send(str(error.strerror or error).encode())
        return 1
    connection.send(b"ok")
    listener = receive(connection)
    connection.close()
    if listener >= 0:
        serve(plugins, listener)
    for plugin in plugins:
        plugin.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
