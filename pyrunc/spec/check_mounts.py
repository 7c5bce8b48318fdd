# SPDX-License-Identifier: Apache-2.0
"""Rules of mounts and of id mappings. What depends on the file systems is the planner's. PURE."""

from __future__ import annotations

from pyrunc.spec.limits import MAX_DATA, MAX_MAPPINGS, MAX_MOUNTS, MAX_PATH
from pyrunc.spec.options import (
    BINDS,
    MISSPELT,
    MS_I_VERSION,
    MS_REMOUNT,
    names,
    parse_mount_options,
)
from pyrunc.spec.problems import Problems, show, suggestion
from pyrunc.spec.readers import has_control

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.spec.model import Mount
    from pyrunc.spec.model_linux import IdMapping
    from pyrunc.spec.options import MountOptions

LAYERS = frozenset(("lowerdir", "lowerdir+", "datadir+", "upperdir", "workdir"))  # of an overlay
UNITS = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}  # of tmpfs
MAX_SIZE_DIGITS = 15
# What shows the kernel and not files.
KERNEL_VIEWS = frozenset(("proc", "sysfs", "cgroup", "cgroup2", "mqueue", "devpts"))

# The own options of file systems, of any kernel: what else is given may be a misspelt flag.
DATA: dict[str, tuple[str, ...]] = {
    "tmpfs": (
        "size", "nr_blocks", "nr_inodes", "mode", "uid", "gid", "mpol", "huge", "inode32",
        "inode64", "noswap", "quota", "usrquota", "grpquota", "casefold", "strict_encoding",
    ),
    "proc": ("gid", "hidepid", "subset", "pidns"),
    "devpts": ("uid", "gid", "mode", "ptmxmode", "newinstance", "max"),
    "sysfs": (),
    "mqueue": (),
}  # fmt: skip


def check_mounts(mounts: tuple[Mount, ...], problems: Problems, *, in_user_namespace: bool) -> None:
    if len(mounts) > MAX_MOUNTS:
        problems.add("/mounts", f"{len(mounts)} are too many", allowed=f"at most {MAX_MOUNTS}")
    for mount in mounts:
        if mount.has("destination"):
            _destination(mount, problems)
        options = parse_mount_options(mount)
        _options(mount, options, problems)
        if mount.has("destination") and mount.destination and not components(mount.destination):
            _on_root(mount, options, problems, first=mount is mounts[0])
        if mount.type == "overlay" and not options.bind:
            _layers(mount, options, problems)
        if options.upper_size:
            _upper_size(mount, options, problems)
        if options.bind:
            _bind(mount, options, problems)
        else:
            _data(mount, options, problems)
        if (
            not options.bind
            and not (mount.type or options.flags or options.propagation)
            and not problems.touches(mount.pointer + "/type")
        ):
            problems.add(
                mount.pointer,
                "a mount needs a type",
                hint="a bind mount has the option 'bind' or 'rbind'",
            )
        _idmap(mount, options, problems)
        if options.idmap and not (in_user_namespace or options.idmap_text or mount.uid_mappings):
            _without_mappings(mount, problems)


def components(path: str) -> list[str]:
    """Return a path without empty and `.` components, `..` resolved, for comparisons."""
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del parts[-1:]
        elif part and part != ".":
            parts.append(part)
    return parts


def _destination(mount: Mount, problems: Problems) -> None:
    path, pointer = mount.destination, mount.pointer + "/destination"
    if not path:
        problems.add(pointer, "the destination must not be empty", allowed="an absolute path")
    elif len(path.encode()) > MAX_PATH:
        problems.add(pointer, "the path is too long", allowed=f"at most {MAX_PATH} bytes")
    elif not path.startswith("/"):
        problems.warn(
            pointer,
            "a relative destination is deprecated; it is taken as below /",
            value=show(path),
        )


def _on_root(mount: Mount, options: MountOptions, problems: Problems, *, first: bool) -> None:
    """Check a mount on `/`, which covers the image and is the root from then on.

    Masked and read-only paths name files of /proc and /sys: these may not be somewhere else.
    """
    pointer = mount.pointer + "/destination"
    if options.flags & (MS_REMOUNT | MS_I_VERSION):
        hint = "root.readonly makes the root read-only"
        problems.add(pointer, "the root of the container cannot be remounted", hint=hint)
    elif not options.bind and mount.type in KERNEL_VIEWS:
        problems.add(
            pointer,
            f"{mount.type} cannot be the root of the container",
            value=show(mount.destination),
            hint="the root file system is the property 'root'",
        )
    if not first:
        message = "a mount on / hides those that are listed before it"
        problems.warn(pointer, message, hint="list it first")


def _options(mount: Mount, options: MountOptions, problems: Problems) -> None:
    pointer = mount.pointer + "/options"
    for index, option in enumerate(mount.options):
        if has_control(option):
            problems.add(f"{pointer}/{index}", "control character in an option", value=show(option))
    if sum(len(option.encode()) + 1 for option in options.data) > MAX_DATA:
        problems.add(pointer, "the options are too long", allowed=f"at most {MAX_DATA} bytes")


def _data(mount: Mount, options: MountOptions, problems: Problems) -> None:
    """Refuse a misspelt flag of a file system whose own options are known.

    A name without a similar one is left to the kernel, which may be newer than the table.
    """
    known = DATA.get(mount.type or "")
    if known is None:
        return
    for option in options.data:
        word, _, value = option.partition("=")
        if word in known or problems.full():
            continue
        hint = suggestion(MISSPELT.get(word.lower(), word), [*names(), *known])
        if hint and not value:
            pointer = f"{mount.pointer}/options/{mount.options.index(option)}"
            problems.add(pointer, f"unknown option {show(option)}", hint=hint)


def upper_directory(options: MountOptions) -> str:
    """Return the directory that a tmpfs for the upper layer of an overlay covers, or ""."""
    layers = dict(option.partition("=")[::2] for option in options.data)
    upper, work = layers.get("upperdir", ""), layers.get("workdir", "")
    above, _, name = upper.rpartition("/")
    apart = upper != work and work.rpartition("/")[0] == above
    named = all(part not in ("", ".", "..") for part in (name, work.rpartition("/")[2]))
    return above if components(above) and apart and named else ""


def upper_bytes(size: str) -> int:
    """Return the size that `upper-size` gives; 0 for what is none."""
    digits, unit = size[:-1], UNITS.get(size[-1:].lower(), 0)
    if not unit:
        digits, unit = size, 1
    plain = digits.isascii() and digits.isdigit() and len(digits) <= MAX_SIZE_DIGITS
    return int(digits) * unit if plain else 0


def _upper_size(mount: Mount, options: MountOptions, problems: Problems) -> None:
    """Refuse layers that a tmpfs cannot be made for: it covers the directory of both."""
    pointer, value = mount.pointer + "/options", f"upper-size={options.upper_size}"
    if mount.type != "overlay" or options.bind:
        problems.add(pointer, "only an overlay has an upper layer", value=value)
    elif not upper_bytes(options.upper_size):
        problems.kind(pointer, value, "a number of bytes, or with k, m or g, such as 64m")
    elif not upper_directory(options):
        problems.add(
            pointer,
            "upperdir and workdir must lie in one directory, which the tmpfs covers",
            value=value,
            hint="such as upperdir=/run/x/upper and workdir=/run/x/work",
        )


def _layers(mount: Mount, options: MountOptions, problems: Problems) -> None:
    """Refuse relative layers of an overlay.

    The kernel would take them from the working directory of whoever mounts, which no configuration
    names.
    """
    for option in options.data:
        name, _, value = option.partition("=")
        if name not in LAYERS:
            continue
        layers = value.replace("\\:", "").split(":") if name == "lowerdir" else [value]
        if not all(layer.startswith("/") for layer in layers if layer):
            problems.add(
                f"{mount.pointer}/options/{mount.options.index(option)}",
                "a layer of an overlay has a relative path",
                value=show(option),
                allowed="absolute paths",
            )


def _bind(mount: Mount, options: MountOptions, problems: Problems) -> None:
    if not mount.source:
        problems.add(mount.pointer, "a bind mount needs a source", allowed="a path on the host")
    _data_of_bind(mount, options, problems)
    if mount.type and mount.type not in BINDS and mount.type != "none":
        problems.warn(
            mount.pointer + "/type", "a bind mount has no file system type", value=show(mount.type)
        )


def _data_of_bind(mount: Mount, options: MountOptions, problems: Problems) -> None:
    """Warn of the data of a bind mount and of flags of the super block, which mount(2) ignores.

    A single word is a misspelt flag and no data, and so is a flag with a value: the mount would
    lack what it names.
    """
    data = [option for option in mount.options if option in options.of_superblock]
    for option in options.data:
        word, equals, _ = option.partition("=")
        if equals and word and not (word.lower() in MISSPELT or word.lower() in names()):
            data.append(option)
        elif not problems.full():
            problems.add(
                f"{mount.pointer}/options/{mount.options.index(option)}",
                "bind mounts cannot have any filesystem-specific options applied",
                value=show(option),
                hint=suggestion(MISSPELT.get(word, word), names()),
            )
    if data:
        problems.warn(
            mount.pointer + "/options",
            "a bind mount shows the file system of its source as it is: these options do nothing",
            value=show(",".join(data)),
            hint="set them on the source's own mount, or use the type tmpfs",
        )


def _idmap(mount: Mount, options: MountOptions, problems: Problems) -> None:
    given = [option for option in mount.options if option.partition("=")[0] in ("idmap", "ridmap")]
    has_maps = bool(mount.uid_mappings or mount.gid_mappings)
    if not given and not has_maps:
        return
    pointer = mount.pointer
    if len({option.partition("=")[0] for option in given}) > 1:
        problems.add(pointer + "/options", "idmap and ridmap exclude each other")
    if not options.bind:
        problems.add(
            pointer, "id-mapped mounts must be bind mounts", hint="add the option 'bind' or 'rbind'"
        )
    if options.idmap_text and has_maps:
        problems.add(pointer, "mappings are given twice: as properties and in the option idmap=")
    if not options.idmap_text and bool(mount.uid_mappings) != bool(mount.gid_mappings):
        missing = "gidMappings" if mount.uid_mappings else "uidMappings"
        problems.add(pointer, f"an id-mapped mount needs both mappings: '{missing}' is missing")
    check_mappings(mount.uid_mappings, pointer + "/uidMappings", problems)
    check_mappings(mount.gid_mappings, pointer + "/gidMappings", problems)


def _without_mappings(mount: Mount, problems: Problems) -> None:
    """Without mappings of its own, a mount takes those of the container's user namespace."""
    if not problems.touches(mount.pointer) and not problems.touches("/linux/namespaces"):
        problems.add(
            mount.pointer,
            "an id-mapped mount needs uidMappings and gidMappings",
            hint="only in a user namespace they may be left out",
        )


def check_mappings(mappings: tuple[IdMapping, ...], pointer: str, problems: Problems) -> None:
    """Refuse mappings that the kernel would answer with EINVAL (UN-1)."""
    if len(mappings) > MAX_MAPPINGS:
        problems.add(
            pointer,
            f"{len(mappings)} ranges of ids are too many for the kernel",
            allowed=f"at most {MAX_MAPPINGS}",
            hint="make one range of neighbouring ones",
        )
        return
    whole = [
        entry
        for entry in mappings
        if entry.has("container_id", "host_id", "size")  # else reported already
    ]
    for entry in whole:
        if entry.size == 0:
            problems.add(entry.pointer + "/size", "the size must not be 0")
        elif max(entry.container_id, entry.host_id) + entry.size > 2**32 - 1:
            problems.add(entry.pointer, "the range ends above the last id", allowed="4294967294")
    for side, start in (("container", "container_id"), ("host", "host_id")):
        ordered = sorted(whole, key=lambda entry: int(getattr(entry, start)))
        # zip, because itertools is not loaded at start-up
        for lower, upper in zip(ordered, ordered[1:], strict=False):  # noqa: RUF007
            if getattr(lower, start) + lower.size > getattr(upper, start):
                message = f"the {side} ids overlap those of {lower.pointer}"
                problems.add(upper.pointer, message, hint="each id may be in one range only")
