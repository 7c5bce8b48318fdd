# SPDX-License-Identifier: Apache-2.0
"""Which mounts of a container CRIU must not save, because they come from the host. PURE.

CRIU saves what a file system contains unless the mount is *external*: ``mnt[MOUNT POINT]:NAME``
when it saves, ``mnt[NAME]:PATH OF THE HOST`` when it restores. The names are the mount points, so
that nothing but the configuration says which paths of the host a restored container sees: the
images decide nothing (CK-1). runc uses the same names.
"""

from __future__ import annotations

from pyrunc.errors import Failure
from pyrunc.init import mount_idmap
from pyrunc.spec import options as table
from pyrunc.spec.options import parse_mount_options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Final

    from pyrunc.host.mountinfo import Entry
    from pyrunc.spec.model import Config, Mount

NULL: Final = "/dev/null"
NOTIFY: Final = "/run/notify"
CGROUPS: Final = ("cgroup", "cgroup2")


def binds(config: Config) -> list[Mount]:
    """Return the mounts of the configuration that show a file or directory of the host."""
    bound = []
    for mount in config.mounts:
        options = parse_mount_options(mount)
        if options.bind and not options.flags & table.MS_REMOUNT and not options.copy_symlink:
            bound.append(mount)
    return bound


def check(config: Config) -> None:
    """Failure for what CRIU would bring back as something else, or not at all."""
    if not any(one.type == "mount" and not one.path for one in config.linux.namespaces):
        raise Failure(
            "a container without a mount namespace of its own cannot be saved and restored",
            pointer=f"{config.linux.pointer}/namespaces",
        )
    for mount in config.mounts:
        if mount_idmap.wanted(mount, parse_mount_options(mount)):
            raise Failure(
                f"the id-mapped mount {mount.destination} cannot be restored: CRIU would show "
                "its files with other owners",
                pointer=mount.pointer,
                hint="take the mappings out of the mount to use checkpoints",
            )


def external(name: str, value: str) -> str:
    """Return a name of an external mount as CRIU reads it; its first ``]`` would end the name."""
    if "]" in name:
        raise Failure(f'CRIU cannot handle the mount {name}: its path contains "]"')
    return f"mnt[{name}]:{value}"


# -- checkpoint ------------------------------------------------------------------------------------


def saved(
    config: Config,
    entries: Sequence[Entry],
    *,
    on: Mapping[str, int],
    masks: Mapping[str, int],
) -> list[str]:
    """Return the external mounts of a running container.

    `on`: the id of the mount at each destination of the configuration and each device; `masks`: at
    each masked path that is no directory.
    """
    known = {entry.id: entry for entry in entries}
    names = {
        on[mount.destination]: known[on[mount.destination]].point
        for mount in binds(config)
        if on.get(mount.destination) in known
    }
    _below(entries, names, own=set(on.values()))
    for path, number in masks.items():
        entry = known.get(number)
        if entry is not None and entry.point == path:
            names[number] = NULL
    for entry in entries:
        if entry.id not in names and _from_outside(entry, entries, config):
            names[entry.id] = entry.point
    return [external(known[number].point, name) for number, name in names.items()]


def _below(entries: Sequence[Entry], names: dict[int, str], *, own: set[int]) -> None:
    """Name the mounts that a recursive bind has brought along, without the configured ones."""
    more = True
    while more:
        more = False
        for entry in entries:
            if entry.parent in names and entry.id not in names and entry.id not in own:
                names[entry.id] = entry.point
                more = True


def _from_outside(entry: Entry, entries: Sequence[Entry], config: Config) -> bool:
    """Whether a mount shows a part of a file system of which the container has nothing above it."""
    if entry.point == "/" or entry.root == "/":
        return False
    if entry.type in CGROUPS and _owns_cgroups(config):
        return False
    return not any(
        other.id != entry.id and other.device == entry.device and _within(entry.root, other.root)
        for other in entries
    )


def _within(path: str, directory: str) -> bool:
    return path != directory and f"{path}/".startswith(f"{directory.rstrip('/')}/")


def _owns_cgroups(config: Config) -> bool:
    return any(one.type == "cgroup" for one in config.linux.namespaces)


# -- restore ---------------------------------------------------------------------------------------


def restored(
    config: Config,
    *,
    rootfs: str,
    points: Mapping[str, Iterable[str]],
    below: Mapping[str, Sequence[str]],
    cgroups: Mapping[str, str],
    notify: str,
    devices: Iterable[str],
) -> list[str]:
    """Return the host's path for every name that `saved` may have used; unused names do no harm.

    `points`: where each destination leads in the root; `below`: what the host has mounted below the
    root file system and the sources of binds, as paths from there; `cgroups`: the container's
    cgroup by the name of the directory of its hierarchy, and "" for cgroup2; `notify`: the
    directory of the notification socket.
    """
    sources = {path: rootfs + path for path in below.get(rootfs, ())}
    for mount in binds(config):
        source = mount.source or ""
        for point in points[mount.destination]:
            sources[point] = source
            for path in below.get(source, ()):
                sources[point.rstrip("/") + path] = source.rstrip("/") + path
    if not _owns_cgroups(config):
        sources.update(_cgroup_binds(config, cgroups))
    sources.update((path, path) for path in devices)
    if config.linux.masked_paths:
        sources[NULL] = NULL
    sources[NOTIFY] = notify
    return [external(name, path) for name, path in sources.items()]


def _cgroup_binds(config: Config, cgroups: Mapping[str, str]) -> Iterable[tuple[str, str]]:
    """Without a cgroup namespace a cgroup mount is a row of binds of the container's cgroups."""
    for mount in config.mounts:
        if mount.type not in CGROUPS or parse_mount_options(mount).bind:
            continue
        top = "/" + mount.destination.strip("/")
        for name, path in cgroups.items():
            yield (f"{top}/{name}" if name else top), path
