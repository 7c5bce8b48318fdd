# SPDX-License-Identifier: Apache-2.0
"""linux.netDevices: interfaces of the caller's network namespace that move into the container's.

The messages to the kernel are written by pyroute2 in a short-lived child: move_devices.py, run by
the stock interpreter. It gets the names and the path of a namespace, nothing of the container.

When the network namespace ends, the kernel gives physical interfaces back; it removes virtual ones.
"""

from __future__ import annotations

import os

from pyrunc import jsontext, outside, syscalls
from pyrunc.errors import Failure, HostError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from pyrunc.spec.model_linux import NetDevice

POINTER = "/linux/netDevices"
MAX_ANSWER = 65536


def move(devices: Mapping[str, NetDevice], *, pid: int) -> None:
    """Move them all into the network namespace of a process; addresses and state are kept."""
    environment = outside.find("pyroute2", purpose="linux.netDevices")
    namespace = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        request = {
            # The child outlives none of this: we wait for it.
            "namespace": f"/proc/{os.getpid()}/fd/{namespace}",
            "devices": [{"from": name, "to": one.name or name} for name, one in devices.items()],
        }
        answer = _ask(environment, request)
    finally:
        os.close(namespace)
    if answer.get("error"):
        name = str(answer.get("device", ""))
        raise Failure(
            f"cannot move the network device {name}: {answer['error']}",
            errno=int(answer.get("errno", 0)),
            pointer=f"{POINTER}/{name}" if name else POINTER,
            hint=str(answer.get("hint", "")),
        )


def _ask(environment: outside.Environment, request: Mapping[str, Any]) -> dict[str, Any]:
    stdin = syscalls.memfd_sealed(b"pyrunc-request", jsontext.encode(request).encode())
    read, write = os.pipe2(os.O_CLOEXEC)
    script = f"{environment.package}/move_devices.py"
    argv = [environment.python, "-ISBXutf8", script, environment.libraries]
    try:
        os.lseek(stdin, 0, os.SEEK_SET)
        _pid, pidfd = syscalls.run_program(
            os.fsencode(environment.python),
            [os.fsencode(word) for word in argv],
            [],
            stdin_fd=stdin,
            stdout_fd=write,
            stderr_fd=write,
            cwd=b"/",
        )
    finally:
        os.close(stdin)
        os.close(write)
    data = b""
    while part := os.read(read, MAX_ANSWER):
        data = (data + part)[-MAX_ANSWER:]
    os.close(read)
    ended = syscalls.waitid_pidfd(pidfd)
    os.close(pidfd)
    last = (data.decode("utf-8", "replace").strip().splitlines() or [""])[-1]
    if ended != (syscalls.CLD_EXITED, 0):
        raise HostError(f"cannot move network devices: {last or ended}", pointer=POINTER)
    found = jsontext.decode(last)
    return found if isinstance(found, dict) else {}
