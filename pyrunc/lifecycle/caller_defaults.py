# SPDX-License-Identifier: Apache-2.0
"""What the caller's surroundings add to a configuration before it is checked and saved.

* A user namespace without mappings, asked for by a user who is not root: its own id as 0, then all
  ids that /etc/subuid and /etc/subgid give.
* `run.oci.seccomp.receiver` and the variable RUN_OCI_SECCOMP_RECEIVER: the listenerPath of a
  profile that has none. With `run.oci.seccomp.plugins` it is a name that nobody listens on: the
  plugins are reached without one.

Most configurations are left as they are, without being read here.
"""

from __future__ import annotations

import os

from pyrunc import jsontext
from pyrunc.seccomp.names import PLUGINS
from pyrunc.spec import strict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

RECEIVER: Final = "run.oci.seccomp.receiver"
PLUGINS_SOCKET: Final = "/run/pyrunc-seccomp-plugins"
RECEIVER_VARIABLE: Final = "RUN_OCI_SECCOMP_RECEIVER"
MAX_RANGES: Final = 64


def amend(data: bytes, *, source: str) -> bytes:
    """Amend a configuration with the defaults of the caller."""
    receiver = os.environ.get(RECEIVER_VARIABLE, "")
    maps = os.geteuid() != 0 and b'"uidMappings"' not in data and b'"user"' in data
    # `run.oci.seccomp.receiver` and `.plugins`
    if not (maps or receiver or b'"run.oci.seccomp.' in data):
        return data
    raw = strict.decode(data, source=source)
    linux = raw.get("linux") if isinstance(raw, dict) else None
    if not isinstance(linux, dict):
        return data
    changed = maps and _add_maps(linux)
    annotations = raw.get("annotations")
    if isinstance(annotations, dict):
        receiver = annotations.get(RECEIVER, receiver)
        receiver = PLUGINS_SOCKET if annotations.get(PLUGINS) else receiver
    changed = _add_receiver(linux, receiver) or changed
    return jsontext.encode(raw).encode("utf-8", "surrogateescape") if changed else data


def _add_receiver(linux: dict[str, Any], path: object) -> bool:
    seccomp = linux.get("seccomp")
    if not path or not isinstance(seccomp, dict) or seccomp.get("listenerPath"):
        return False
    seccomp["listenerPath"] = path
    return True


def _add_maps(linux: dict[str, Any]) -> bool:
    namespaces = linux.get("namespaces")
    if not isinstance(namespaces, list) or linux.get("gidMappings"):
        return False
    if not any(
        isinstance(one, dict) and one.get("type") == "user" and not one.get("path")
        for one in namespaces
    ):
        return False
    names = _own_names(os.geteuid())
    linux["uidMappings"] = mappings(os.geteuid(), ranges(_read("/etc/subuid"), names))
    linux["gidMappings"] = mappings(os.getegid(), ranges(_read("/etc/subgid"), names))
    return True


def mappings(own_id: int, ranges: list[tuple[int, int]]) -> list[dict[str, int]]:
    """Map the own id to 0, and the ranges behind it."""
    result = [{"containerID": 0, "hostID": own_id, "size": 1}]
    next_id = 1
    for start, count in ranges:
        result.append({"containerID": next_id, "hostID": start, "size": count})
        next_id += count
    return result


def ranges(text: str, names: tuple[str, ...]) -> list[tuple[int, int]]:
    """(first id, how many) that subuid(5) gives to one of the names."""
    delegated = []
    for line in text.splitlines():
        fields = line.split(":")
        if len(fields) == 3 and fields[0] in names and fields[1].isdigit() and fields[2].isdigit():
            delegated.append((int(fields[1]), int(fields[2])))
    return delegated[:MAX_RANGES]


def _own_names(uid: int) -> tuple[str, ...]:
    """Return the number and the name of a user, as the two may stand in subuid."""
    for line in _read("/etc/passwd").splitlines():
        fields = line.split(":")
        if len(fields) > 2 and fields[2] == str(uid):
            return (str(uid), fields[0])
    return (str(uid),)


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except OSError:  # not there: nothing is given
        return ""
