# SPDX-License-Identifier: Apache-2.0
"""/dev: the default nodes and links, and linux.devices.

Made by mknod, or bound from the host where mknod is refused.

PURE.
"""

from __future__ import annotations

from pyrunc.init import ops, paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyrunc.init.context import Context
    from pyrunc.init.ops import Op
    from pyrunc.spec.model_linux import Device

S_IFIFO, S_IFCHR, S_IFBLK = 0o010000, 0o020000, 0o060000
TYPES = {"c": S_IFCHR, "u": S_IFCHR, "b": S_IFBLK, "p": S_IFIFO}
PERMISSIONS = 0o7777
DEFAULT_MODE = 0o666

DEFAULTS = (
    ("/dev/null", 1, 3),
    ("/dev/zero", 1, 5),
    ("/dev/full", 1, 7),
    ("/dev/random", 1, 8),
    ("/dev/urandom", 1, 9),
    ("/dev/tty", 5, 0),
)
LINKS = (
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"),
)


def makedev(major: int, minor: int) -> int:
    """Pack major and minor as the kernel does (the C library's makedev)."""
    return (minor & 0xFF) | (major & 0xFFF) << 8 | (minor & ~0xFF) << 12 | (major & ~0xFFF) << 32


class Node:
    """One device node."""

    __slots__ = ("gid", "mode", "path", "pointer", "rdev", "uid")

    def __init__(
        self, path: str, mode: int, rdev: int, *, uid: int, gid: int, pointer: str = ""
    ) -> None:
        self.path = path
        self.mode = mode  # type and permissions
        self.rdev = rdev
        self.uid = uid
        self.gid = gid
        self.pointer = pointer


class Devices:
    """What is needed before the root is entered, and what is made inside."""

    __slots__ = ("inside", "sources")

    def __init__(self) -> None:
        self.sources: list[Op] = []
        self.inside: list[Op] = []


def plan(context: Context, devices: Sequence[Device], *, dev_mounted: bool) -> Devices:
    """Plan the device nodes; those of linux.devices replace default ones.

    A new ptmx is always that of devpts.
    """
    planned = Devices()
    owner = (context.root_uid, context.root_gid)
    if not dev_mounted:
        planned.inside.append(_directory("/dev", owner, pointer=""))
    nodes = _wanted(context, devices)
    made: set[tuple[str, ...]] = {("dev",)}
    for node in nodes:
        parent = paths.components(node.path)[:-1]
        if parent and parent not in made:
            made.add(parent)
            planned.inside.append(_directory("/" + "/".join(parent), owner, pointer=node.pointer))
        if context.confined and node.mode & S_IFCHR:  # also in S_IFBLK; a fifo needs no right
            _bind(context, planned, node)
        else:
            planned.inside.append(_make(node))
    planned.inside += _links(context)
    return planned


def _wanted(context: Context, devices: Sequence[Device]) -> list[Node]:
    """Return the default nodes, then those of the configuration.

    The same path twice must be the same device (DV-2).
    """
    nodes: dict[tuple[str, ...], Node] = {}
    uid, gid = context.root_uid, context.root_gid
    for path, major, minor in DEFAULTS:
        mode = S_IFCHR | DEFAULT_MODE
        nodes[paths.components(path)] = Node(path, mode, makedev(major, minor), uid=uid, gid=gid)
    seen: set[tuple[str, ...]] = set()
    for device in devices:
        key = paths.components(device.path)
        if key == ("dev", "ptmx"):
            continue
        mode = TYPES[device.type] | (
            DEFAULT_MODE if device.file_mode is None else device.file_mode & PERMISSIONS
        )
        node = Node(
            device.path,
            mode,
            0 if device.type == "p" else makedev(device.major or 0, device.minor or 0),
            uid=uid if device.uid is None else device.uid,
            gid=gid if device.gid is None else device.gid,
            pointer=device.pointer,
        )
        _check(context, node, key, nodes.get(key) if key in seen else None)
        seen.add(key)
        nodes[key] = node
    return list(nodes.values())


def _check(context: Context, node: Node, key: tuple[str, ...], other: Node | None) -> None:
    if key[:1] in (("proc",), ("sys",)):
        pointer = node.pointer + "/path"
        context.problem(pointer, "devices below /proc and /sys are refused", value=node.path)
    if other is not None and (node.mode ^ other.mode) >> 12 | (node.rdev ^ other.rdev):
        context.problem(
            node.pointer + "/path", f"another device than that of {other.pointer}", value=node.path
        )


def _directory(path: str, owner: tuple[int, int], *, pointer: str) -> Op:
    uid, gid = owner
    action = f"make the directory {path}"
    return ops.MakeDirectory(
        path=path, mode=0o755, uid=uid, gid=gid, pointer=pointer, action=action
    )


def _make(node: Node) -> Op:
    return ops.MakeDevice(
        path=node.path,
        mode=node.mode,
        rdev=node.rdev,
        uid=node.uid,
        gid=node.gid,
        pointer=node.pointer,
        action=f"make the device {node.path}",
    )


def _bind(context: Context, planned: Devices, node: Node) -> None:
    """Plan to bind a node of the host, since a user namespace may not make nodes.

    The host's one is verified and keeps its owner and mode (DV-4).
    """
    slot, action = context.slot(), f"bind the device {node.path} of the host"
    planned.sources.append(
        ops.CloneTree(
            slot=slot,
            path=node.path,
            recursive=0,
            nofollow=0,
            type=node.mode & 0o170000,
            rdev=node.rdev,
            ask=0,
            pointer=node.pointer,
            action=action,
        )
    )
    planned.inside.append(
        ops.Attach(slot=slot, path=node.path, flags=0, pointer=node.pointer, action=action)
    )


def _links(context: Context) -> list[Op]:
    links = list(LINKS)
    if context.host.kcore:
        links.append(("/dev/core", "/proc/kcore"))
    planned: list[Op] = [_link(path, target, replace=0) for path, target in links]
    # The ptmx of an image would be that of another devpts.
    return [*planned, _link("/dev/ptmx", "pts/ptmx", replace=1)]


def _link(path: str, target: str, *, replace: int) -> Op:
    return ops.MakeSymlink(
        path=path, target=target, replace=replace, action=f"make the link {path}"
    )
