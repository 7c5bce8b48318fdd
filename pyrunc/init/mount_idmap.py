# SPDX-License-Identifier: Apache-2.0
"""Id-mapped mounts, from the properties or the option `idmap=uids=0-1-10#..;gids=..`. PURE."""

from __future__ import annotations

from pyrunc.spec.readers import is_decimal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyrunc.init.context import Context
    from pyrunc.spec.model import Mount
    from pyrunc.spec.model_linux import IdMapping
    from pyrunc.spec.options import MountOptions

MAX_ID = 2**32 - 1
SYNTAX = "uids=FILE-HOST-COUNT#...;gids=FILE-HOST-COUNT#..."


class Range:
    """As a line of uid_map: `container_id` is the id on disk, `host_id` the one that is seen."""

    __slots__ = ("container_id", "host_id", "size")

    def __init__(self, container_id: int, host_id: int, size: int) -> None:
        self.container_id = container_id
        self.host_id = host_id
        self.size = size


class MountRequest:
    """A mount that the parent makes: a detached clone of `source`, id-mapped.

    Without ranges the container's user namespace is the map. The parent sends the descriptors of
    all requests in their order at the rendezvous `mounts`.
    """

    __slots__ = ("gids", "map_recursive", "nofollow", "pointer", "recursive", "source", "uids")

    def __init__(
        self,
        *,
        source: str,
        recursive: bool,
        nofollow: bool,
        map_recursive: bool,
        uids: Sequence[Range | IdMapping],
        gids: Sequence[Range | IdMapping],
        pointer: str,
    ) -> None:
        self.source = source
        self.recursive = recursive  # clone what is mounted below, too
        self.nofollow = nofollow
        self.map_recursive = map_recursive  # and map it
        self.uids = tuple(uids)
        self.gids = tuple(gids)
        self.pointer = pointer

    def line(self) -> str:
        """For the text of a plan."""
        maps = "container" if not self.uids else f"{show(self.uids)} {show(self.gids)}"
        words = [
            f"request: source={self.source} map={maps}",
            "recursive" if self.recursive else "",
            "map-recursive" if self.map_recursive else "",
            "nofollow" if self.nofollow else "",
            f"-> {self.pointer}",
        ]
        return " ".join(word for word in words if word)


def show(ranges: Sequence[Range | IdMapping]) -> str:
    return "#".join(f"{entry.container_id}-{entry.host_id}-{entry.size}" for entry in ranges)


def wanted(mount: Mount, options: MountOptions) -> bool:
    return bool(options.idmap or mount.uid_mappings or mount.gid_mappings)


def request(
    context: Context, mount: Mount, options: MountOptions, *, sys_admin: bool
) -> MountRequest:
    """Return what the parent has to do; refuse what is impossible."""
    uids: Sequence[Range | IdMapping] = mount.uid_mappings
    gids: Sequence[Range | IdMapping] = mount.gid_mappings
    if options.idmap_text:
        uids, gids = _parse(context, mount, options.idmap_text)
    elif not uids and not context.userns:
        context.problem(
            mount.pointer,
            "an id-mapped mount without mappings needs a user namespace to take them from",
            hint="give uidMappings and gidMappings",
        )
    if context.host.rootless:
        context.problem(
            mount.pointer, "id-mapped mounts need root of the machine", hint="drop the option idmap"
        )
    if context.userns and sys_admin:
        # The parent's clone carries no locks (UN-10): with CAP_SYS_ADMIN in its user namespace
        # the container could clear the flags that the host put on the mount.
        context.problem(
            mount.pointer,
            "an id-mapped mount in a user namespace needs a bounding set without CAP_SYS_ADMIN",
            hint="remove CAP_SYS_ADMIN from process.capabilities.bounding",
        )
    return MountRequest(
        source=mount.source or "",
        recursive=options.recursive,
        nofollow=options.src_nofollow,
        map_recursive=options.idmap == "ridmap",
        uids=uids,
        gids=gids,
        pointer=mount.pointer,
    )


def _parse(context: Context, mount: Mount, text: str) -> tuple[list[Range], list[Range]]:
    by_kind: dict[str, list[Range]] = {"uids": [], "gids": []}
    wrong = len(context.problems)
    maps = {"uids": context.uid_mappings, "gids": context.gid_mappings}
    for part in text.split(";"):
        name, _, ranges = part.partition("=")
        if name not in by_kind:
            _refuse(context, mount, part)
            continue
        for triplet in ranges.split("#"):
            entry = _range(triplet, maps[name])
            if entry is None:
                _refuse(context, mount, triplet)
            else:
                by_kind[name].append(entry)
    if len(context.problems) == wrong and not (by_kind["uids"] and by_kind["gids"]):
        _refuse(context, mount, text)
    return by_kind["uids"], by_kind["gids"]


def _range(text: str, container: Sequence[IdMapping]) -> Range | None:
    """With a leading `@` the second number is an id of the container's user namespace."""
    numbers = text.removeprefix("@").split("-")
    if len(numbers) != 3 or not all(is_decimal(number, digits=10) for number in numbers):
        return None
    first, second, size = map(int, numbers)
    if text.startswith("@"):
        for entry in container:
            if 0 <= second - entry.container_id < entry.size:
                second += entry.host_id - entry.container_id
                break
        else:
            return None
    fits = size > 0 and first + size <= MAX_ID and second + size <= MAX_ID
    return Range(first, second, size) if fits else None


def _refuse(context: Context, mount: Mount, part: str) -> None:
    context.problem(
        mount.pointer + "/options",
        "wrong mapping of an id-mapped mount",
        value=part,
        allowed=SYNTAX,
    )
