#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Answer the system calls of containers whose profile says SCMP_ACT_NOTIFY: an example agent.

    seccomp-agent.py SOCKET [--errno N] [--connections N]

The profile names the socket:

    "seccomp": {
        "defaultAction": "SCMP_ACT_ALLOW",
        "listenerPath": "/run/seccomp-agent.sock",
        "listenerMetadata": "hello",
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_NOTIFY"}]
    }

Start the agent first: a runtime refuses to start a container whose agent is absent. Every process
of a container (the first one, and one for each exec) comes with one connection: a JSON text, the
*container process state*, and with it the descriptor on which the kernel tells of calls. Each call
is printed and then let through, or refused with --errno.

What a real agent must know: letting a call through (FLAG_CONTINUE) is no security decision, because
another thread can change the memory behind the arguments after the agent has looked at it; a pid is
only sure to be the caller's while the notification is valid (NOTIF_ID_VALID, after opening
/proc/PID/...).
"""

import argparse
import errno
import fcntl
import json
import os
import select
import socket
import struct
import threading

# linux/seccomp.h
NOTIF_RECV, NOTIF_SEND = 0xC0502100, 0xC0182101
FLAG_CONTINUE = 1
NOTIFICATION = struct.Struct(
    "=QII iIQ 6Q"
)  # id, pid, flags; number, architecture, pointer; arguments
RESPONSE = struct.Struct("=QqiI")  # id, value, error, flags


def receive(connection):
    """Receive the container process state and the descriptors that its "fds" names."""
    text, descriptors = b"", []
    while True:
        data, ancillary, _, _ = connection.recvmsg(
            65536, socket.CMSG_SPACE(4 * 8), socket.MSG_CMSG_CLOEXEC
        )
        for level, kind, content in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                descriptors += struct.unpack(f"={len(content) // 4}i", content)
        if not data:
            break
        text += data
    state = json.loads(text)
    return state, dict(zip(state["fds"], descriptors, strict=True))


def answer(listener, name, refusal):
    """One notification. False when the last process with the filter is gone."""
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    if not poll.poll()[0][1] & select.POLLIN:
        return False
    request = bytearray(NOTIFICATION.size)
    try:
        fcntl.ioctl(listener, NOTIF_RECV, request)
        cookie, pid, _, number, _, _, *arguments = NOTIFICATION.unpack(request)
        words = " ".join(hex(argument) for argument in arguments)
        print(f"{name}: pid {pid}: call {number} ({words})", flush=True)
        flags = 0 if refusal else FLAG_CONTINUE
        fcntl.ioctl(listener, NOTIF_SEND, RESPONSE.pack(cookie, 0, -refusal, flags))
    except OSError as error:
        # The caller was killed, or a signal ended its call.
        if error.errno not in (errno.ENOENT, errno.EINTR, errno.EINPROGRESS):
            raise
    return True


def serve(connection, refusal):
    with connection:
        state, descriptors = receive(connection)
    container = state["state"]
    name = container["id"]
    metadata = state.get("metadata", "")
    print(f"{name}: {container['status']}: pid {state['pid']}: metadata {metadata!r}", flush=True)
    listener = descriptors["seccompFd"]
    while answer(listener, name, refusal):
        pass
    os.close(listener)
    print(f"{name}: pid {state['pid']}: no process is left", flush=True)


def main():
    parser = argparse.ArgumentParser(description="answer the notifications of seccomp filters")
    parser.add_argument("socket")
    parser.add_argument("--errno", type=int, default=0, help="refuse every call with this error")
    parser.add_argument("--connections", type=int, default=0, help="stop after so many processes")
    arguments = parser.parse_args()
    threads = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(arguments.socket)
        os.chmod(arguments.socket, 0o600)
        try:
            listening.listen()
            print(f"listening on {arguments.socket}", flush=True)
            while not arguments.connections or len(threads) < arguments.connections:
                connection, _ = listening.accept()
                threads.append(threading.Thread(target=serve, args=(connection, arguments.errno)))
                threads[-1].start()
            for thread in threads:
                thread.join()
        finally:
            os.unlink(arguments.socket)


if __name__ == "__main__":
    main()
