# SPDX-License-Identifier: Apache-2.0
"""linux.netDevices: interfaces of the caller's network namespace that move into the container's.

The messages to the kernel are written by pyroute2 in a short-lived child: helpers/move_devices.py,
run by the stock interpreter. It gets the names and the path of a namespace, nothing of the
container.

When the network namespace ends, the kernel gives physical interfaces back; it removes virtual ones.
"""

from __future__ import annotations

import os

from pyrunc.errors import Failure
from pyrunc.helpers import run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyrunc.spec.model_linux import NetDevice

POINTER = "/linux/netDevices"


def move(devices: Mapping[str, NetDevice], *, pid: int) -> None:
    """Move them all into the network namespace of a process; addresses and state are kept."""
    environment = run.find("pyroute2", purpose="linux.netDevices")
    namespace = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        request = {
            # The child outlives none of this: we wait for it.
            "namespace": f"/proc/{os.getpid()}/fd/{namespace}",
            "devices": [{"from": name, "to": one.name or name} for name, one in devices.items()],
        }
        answer = run.ask(environment, "move_devices", request, pointer=POINTER)
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
