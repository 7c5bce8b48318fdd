# SPDX-License-Identifier: Apache-2.0
"""A program of its own: moves network interfaces into another network namespace with pyroute2.

Usage: python3 -I move_devices.py LIBRARIES <REQUEST, where the request is
`{"namespace": PATH, "devices": [{"from": NAME, "to": NAME}]}`. Answers one line: `{}`, or an error
with the device.
"""

from __future__ import annotations

import json
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

OWN = "/proc/self/ns/net"
UP = 1  # IFF_UP
GLOBAL = 0  # RT_SCOPE_UNIVERSE
PERMANENT = 0x80  # IFA_F_PERMANENT


class Refused(Exception):
    """What could not be done to which device."""

    def __init__(self, device: str, text: str, *, errno: int = 0, hint: str = "") -> None:
        super().__init__(text)
        self.answer = {"device": device, "error": text, "errno": errno, "hint": hint}


class Device:
    """An interface as it was in the old namespace."""

    def __init__(self, name: str, target: str, *, link: Any, addresses: list[Any]) -> None:
        self.name = name
        self.target = target
        self.index = int(link["index"])
        self.was_up = bool(link["flags"] & UP)
        self.addresses = addresses


def look_up(route: Any, name: str, target: str) -> Device:
    links = [one for one in route.get_links() if one.get_attr("IFLA_IFNAME") == name]
    if not links:
        raise Refused(name, "no such interface", hint="`ip link` shows what there is")
    index = links[0]["index"]
    kept = [
        one
        for one in route.get_addr()
        if one["index"] == index and one["scope"] == GLOBAL and flags(one) & PERMANENT
    ]
    return Device(name, target, link=links[0], addresses=kept)


def flags(address: Any) -> int:
    """Return the 32-bit flags of an address; the header has room for eight."""
    return int(address.get_attr("IFA_FLAGS") or address["flags"])


def send_away(route: Any, device: Device, namespace: int) -> None:
    """Down first: the kernel renames no interface that is up. One message moves and renames."""
    route.link("set", index=device.index, state="down")
    route.link("set", index=device.index, net_ns_fd=namespace, ifname=device.target)


def settle(route: Any, device: Device) -> None:
    """In the new namespace, where the index may be another and %d has become a number."""
    pattern = device.target
    for link in route.get_links():
        name = link.get_attr("IFLA_IFNAME")
        if name == pattern or ("%d" in pattern and matches(name, pattern)):
            index = link["index"]
            break
    else:
        raise Refused(device.name, f"it did not arrive as {pattern}")
    for address_row in device.addresses:
        more = (
            {"local": address_row.get_attr("IFA_LOCAL")}
            if address_row.get_attr("IFA_LOCAL")
            else {}
        )
        broadcast = address_row.get_attr("IFA_BROADCAST")
        if broadcast:
            more["broadcast"] = broadcast
        address = address_row.get_attr("IFA_ADDRESS")
        route.addr("add", index=index, address=address, prefixlen=address_row["prefixlen"], **more)
    route.link("set", index=index, state="up")


def check_free(route: Any, wanted: list[dict[str, str]]) -> None:
    """Names that are in use in the new namespace."""
    taken = {one.get_attr("IFLA_IFNAME") for one in route.get_links()}
    for one in wanted:
        if one["to"] in taken:
            raise Refused(one["from"], f"{one['to']} exists in the container already", errno=17)


def matches(name: str, pattern: str) -> bool:
    """Whether a name is the pattern with a number for %d."""
    head, _, tail = pattern.partition("%d")
    middle = name[len(head) : len(name) - len(tail)]
    return name.startswith(head) and name.endswith(tail) and middle.isdigit()


def move(request: dict[str, Any]) -> None:
    from pyroute2 import IPRoute  # type: ignore[import-untyped]
    from pyroute2.netns import setns  # type: ignore[import-untyped]

    # A descriptor of ours: the path goes through the caller's table.
    wanted = request["devices"]
    with open(request["namespace"], "rb") as namespace, open(OWN, "rb") as own:
        # Afterwards is too late: the kernel renames what it has moved already.
        setns(namespace.fileno())
        with IPRoute() as route:
            check_free(route, wanted)
        setns(own.fileno())
    with open(request["namespace"], "rb") as namespace, IPRoute() as route:
        devices = [look_up(route, one["from"], one["to"]) for one in wanted]
        for device in devices:
            attempt(send_away, route, device, namespace.fileno())
        setns(namespace.fileno())
    with IPRoute() as route:
        for device in devices:
            attempt(settle, route, device)


def attempt(action: Any, route: Any, device: Device, *more: Any) -> None:
    """Act on a device, and name it when the kernel refuses."""
    from pyroute2.netlink.exceptions import NetlinkError  # type: ignore[import-untyped]

    try:
        action(route, device, *more)
    except NetlinkError as error:
        attempt = "moving and renaming" if action is send_away else "setting it up"
        raise Refused(device.name, attempt, errno=error.code) from None


def main() -> int:
    if sys.argv[1]:  # empty: all is in this program
        sys.path.append(sys.argv[1])
    try:
        move(json.load(sys.stdin))
    except Refused as refused:
        print(json.dumps(refused.answer))
        return 0
    print("{}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
