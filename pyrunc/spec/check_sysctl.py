# SPDX-License-Identifier: Apache-2.0
"""The allow-list of `linux.sysctl` (PS-6). Pure, so that the planner imports it as well.

The planner calls `sysctl_problem` again with the namespaces that really are the container's own: a
namespace that is joined by path and turns out to be the host's is not. It takes the file to write
from `sysctl_path`.

PURE.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

MAX_VALUE = 4096
MAX_NAME = 255
MAX_SHOWN = 100  # characters of a key in a message

IPC = frozenset(
    "kernel/" + name
    for name in (
        "msgmax",
        "msgmnb",
        "msgmni",
        "sem",
        "shmall",
        "shmmax",
        "shmmni",
        "shm_rmid_forced",
    )
)

# Directories of /proc/sys and the kind of namespace that owns all below them.
TREES = ((("fs", "mqueue"), "ipc"), (("net",), "network"), (("user",), "user"))


def sysctl_path(key: str) -> str:
    """Return the file below /proc/sys: `net.ipv4.conf.eth0/1.x` -> `net/ipv4/conf/eth0.1/x`.

    A key may use dots or slashes; when its first separator is a slash, it is a path already.
    """
    dot, slash = key.find("."), key.find("/")
    if dot < 0 or 0 <= slash < dot:
        return key
    return key.translate({ord("."): "/", ord("/"): "."})


def sysctl_problem(key: str, value: str, *, own: Collection[str]) -> str:
    """Why a sysctl may not be set, or "". `own`: kinds of namespaces that the container owns."""
    path = sysctl_path(key)
    parts = path.split("/")
    key = "".join(char if char.isprintable() else "?" for char in key[:MAX_SHOWN])
    if len(path) > MAX_NAME or any(
        part in ("", ".", "..") or not part.isprintable() for part in parts
    ):
        return f'sysctl "{key}" is not a valid name'
    if len(value.encode()) > MAX_VALUE:
        return f'the value of sysctl "{key}" is longer than {MAX_VALUE} bytes'
    if "\n" in value or "\0" in value:
        return f'the value of sysctl "{key}" has a line break or NUL in it'
    if path == "kernel/hostname":
        return f'sysctl "{key}" is not allowed as it conflicts with the property "hostname"'
    owner = _owner(path, parts)
    if owner is None:
        return f'sysctl "{key}" is not in a separate kernel namespace'
    if owner not in own:
        return f'sysctl "{key}" is not allowed in the hosts {owner} namespace'
    return ""


def _owner(path: str, parts: list[str]) -> str | None:
    if path in IPC:
        return "ipc"
    if path == "kernel/domainname":
        return "uts"
    for tree, kind in TREES:
        if len(parts) > len(tree) and tuple(parts[: len(tree)]) == tree:
            return kind
    return None
