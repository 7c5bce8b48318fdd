# SPDX-License-Identifier: Apache-2.0
"""The mount options: one table of names, read into what the two mount interfaces of Linux take.

Pure. Later options override earlier ones. What is not in the table is an option of the file system
and goes to `data` in its order. A recursive attribute (`rro`) is kept apart from the plain one
(`ro`): it is applied to the mount and all below it after the mount was made.

PURE.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Protocol

    class MountLike(Protocol):
        """What is read of a spec Mount."""

        @property
        def type(self) -> str | None: ...
        @property
        def options(self) -> Iterable[str]: ...


# fmt: off

# mount(2)
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 0x1, 0x2, 0x4, 0x8
MS_SYNCHRONOUS, MS_REMOUNT, MS_MANDLOCK, MS_DIRSYNC = 0x10, 0x20, 0x40, 0x80
MS_NOSYMFOLLOW, MS_NOATIME, MS_NODIRATIME = 0x100, 0x400, 0x800
MS_BIND, MS_MOVE, MS_REC, MS_SILENT = 0x1000, 0x2000, 0x4000, 0x8000
MS_UNBINDABLE, MS_PRIVATE, MS_SLAVE, MS_SHARED = 1 << 17, 1 << 18, 1 << 19, 1 << 20
MS_RELATIME, MS_I_VERSION, MS_STRICTATIME, MS_LAZYTIME = 1 << 21, 1 << 23, 1 << 24, 1 << 25
MS_ATIMES = MS_NOATIME | MS_RELATIME | MS_STRICTATIME

# mount_setattr(2), fsmount(2)
MOUNT_ATTR_RDONLY, MOUNT_ATTR_NOSUID = 0x1, 0x2
MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC = 0x4, 0x8
MOUNT_ATTR__ATIME = 0x70  # the field of the three values that follow
MOUNT_ATTR_RELATIME, MOUNT_ATTR_NOATIME, MOUNT_ATTR_STRICTATIME = 0x00, 0x10, 0x20
MOUNT_ATTR_NODIRATIME, MOUNT_ATTR_IDMAP, MOUNT_ATTR_NOSYMFOLLOW = 0x80, 0x100000, 0x200000

# (set, flag): what each name does to the flags of mount(2).
FLAGS = {
    "defaults": (True, 0),
    "ro": (True, MS_RDONLY), "rw": (False, MS_RDONLY),
    "nosuid": (True, MS_NOSUID), "suid": (False, MS_NOSUID),
    "nodev": (True, MS_NODEV), "dev": (False, MS_NODEV),
    "noexec": (True, MS_NOEXEC), "exec": (False, MS_NOEXEC),
    "sync": (True, MS_SYNCHRONOUS), "async": (False, MS_SYNCHRONOUS),
    "dirsync": (True, MS_DIRSYNC), "remount": (True, MS_REMOUNT),
    "mand": (True, MS_MANDLOCK), "nomand": (False, MS_MANDLOCK),
    "noatime": (True, MS_NOATIME), "atime": (False, MS_NOATIME),
    "nodiratime": (True, MS_NODIRATIME), "diratime": (False, MS_NODIRATIME),
    "relatime": (True, MS_RELATIME), "norelatime": (False, MS_RELATIME),
    "strictatime": (True, MS_STRICTATIME), "nostrictatime": (False, MS_STRICTATIME),
    "iversion": (True, MS_I_VERSION), "noiversion": (False, MS_I_VERSION),
    "lazytime": (True, MS_LAZYTIME), "nolazytime": (False, MS_LAZYTIME),
    "silent": (True, MS_SILENT), "loud": (False, MS_SILENT),
    "nosymfollow": (True, MS_NOSYMFOLLOW), "symfollow": (False, MS_NOSYMFOLLOW),
    # Properties of the super block know no recursion; the r-forms are the plain ones.
    "rsync": (True, MS_SYNCHRONOUS), "rasync": (False, MS_SYNCHRONOUS),
    "rdirsync": (True, MS_DIRSYNC),
    "rmand": (True, MS_MANDLOCK), "rnomand": (False, MS_MANDLOCK),
}

BINDS = {"bind": MS_BIND, "rbind": MS_BIND | MS_REC}

PROPAGATIONS = {
    "private": MS_PRIVATE, "rprivate": MS_PRIVATE | MS_REC,
    "shared": MS_SHARED, "rshared": MS_SHARED | MS_REC,
    "slave": MS_SLAVE, "rslave": MS_SLAVE | MS_REC,
    "unbindable": MS_UNBINDABLE, "runbindable": MS_UNBINDABLE | MS_REC,
}

# (attributes to set, attributes to clear) of the recursive forms. The three access time values
# share one field of the kernel, so that each of them clears the whole field.
RECURSIVE = {
    "rro": (MOUNT_ATTR_RDONLY, 0), "rrw": (0, MOUNT_ATTR_RDONLY),
    "rnosuid": (MOUNT_ATTR_NOSUID, 0), "rsuid": (0, MOUNT_ATTR_NOSUID),
    "rnodev": (MOUNT_ATTR_NODEV, 0), "rdev": (0, MOUNT_ATTR_NODEV),
    "rnoexec": (MOUNT_ATTR_NOEXEC, 0), "rexec": (0, MOUNT_ATTR_NOEXEC),
    "rnodiratime": (MOUNT_ATTR_NODIRATIME, 0), "rdiratime": (0, MOUNT_ATTR_NODIRATIME),
    "rnosymfollow": (MOUNT_ATTR_NOSYMFOLLOW, 0), "rsymfollow": (0, MOUNT_ATTR_NOSYMFOLLOW),
    "rnoatime": (MOUNT_ATTR_NOATIME, MOUNT_ATTR__ATIME),
    "rstrictatime": (MOUNT_ATTR_STRICTATIME, MOUNT_ATTR__ATIME),
    "rrelatime": (MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME),
    "ratime": (MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME),
    "rnorelatime": (MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME),
    "rnostrictatime": (MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME),
}

# What people write for an option; only for hints.
MISSPELT = {
    "rdonly": "ro", "readonly": "ro", "read-only": "ro", "rdwr": "rw", "readwrite": "rw",
    "no-suid": "nosuid", "no-dev": "nodev", "no-exec": "noexec", "recursive": "rbind",
}

# Options that pyrunc carries out itself.
EXTRAS = ("tmpcopyup", "idmap", "ridmap", "copy-symlink", "src-nofollow", "dest-nofollow")
UPPER_SIZE = "upper-size="

# What the flags of mount(2) are called in the two halves of the new interface.
ATTRIBUTES = (
    (MS_RDONLY, MOUNT_ATTR_RDONLY), (MS_NOSUID, MOUNT_ATTR_NOSUID),
    (MS_NODEV, MOUNT_ATTR_NODEV), (MS_NOEXEC, MOUNT_ATTR_NOEXEC),
    (MS_NODIRATIME, MOUNT_ATTR_NODIRATIME), (MS_NOSYMFOLLOW, MOUNT_ATTR_NOSYMFOLLOW),
)
SUPERBLOCK = (  # flag, key of fsconfig that sets it, key that clears it
    (MS_RDONLY, "ro", "rw"), (MS_SYNCHRONOUS, "sync", "async"), (MS_DIRSYNC, "dirsync", ""),
    (MS_MANDLOCK, "mand", "nomand"), (MS_LAZYTIME, "lazytime", "nolazytime"),
)
OF_SUPERBLOCK = MS_SYNCHRONOUS | MS_DIRSYNC | MS_MANDLOCK | MS_LAZYTIME | MS_I_VERSION
CLASSIC_ONLY = MS_REMOUNT | MS_I_VERSION  # what the new interface cannot do
# fmt: on


def names() -> list[str]:
    """Every option that is understood, as `features` lists them."""
    return sorted([*FLAGS, *BINDS, *PROPAGATIONS, *RECURSIVE, *EXTRAS])


class MountOptions:
    """What the options of one mount ask for."""

    __slots__ = (
        "atime_given",
        "bind",
        "cleared",
        "copy_symlink",
        "data",
        "dest_nofollow",
        "flags",
        "idmap",
        "idmap_text",
        "propagation",
        "recursive",
        "recursive_clear",
        "recursive_set",
        "src_nofollow",
        "tmpcopyup",
        "upper_size",
    )

    def __init__(self) -> None:
        self.flags = 0  # MS_* that are set, without MS_BIND and MS_REC
        self.cleared = 0  # MS_* that an option asks to clear
        self.atime_given = False  # an option names an access time rule
        self.bind = False
        self.recursive = False  # rbind
        self.propagation: tuple[int, ...] = ()  # MS_* in the order given, one call each
        self.recursive_set = 0  # MOUNT_ATTR_*
        self.recursive_clear = 0
        self.data: tuple[str, ...] = ()
        self.tmpcopyup = False
        self.idmap = ""  # "", "idmap" or "ridmap"
        self.idmap_text = ""  # the mappings of `idmap=uids=...;gids=...`
        self.copy_symlink = False
        self.src_nofollow = False
        self.dest_nofollow = False
        self.upper_size = ""  # of a tmpfs for the layers of an overlay that are written to

    @property
    def attributes(self) -> int:
        """MOUNT_ATTR_* that are set, with the access time rule that mount(2) would choose."""
        value = self.atime
        for flag, attribute in ATTRIBUTES:
            if self.flags & flag:
                value |= attribute
        return value

    @property
    def attributes_cleared(self) -> int:
        """MOUNT_ATTR_* that an option asks to clear."""
        value = MOUNT_ATTR__ATIME if self.atime_given else 0
        for flag, attribute in ATTRIBUTES:
            if self.cleared & flag:
                value |= attribute
        return value

    @property
    def atime_set(self) -> bool:
        """Whether an option asks for a rule, and not only for the absence of one."""
        return bool(self.flags & MS_ATIMES)

    @property
    def atime_reset(self) -> int:
        """Access time rules that the mount shall not have, as a bit for each (`reset_atime`)."""
        if self.atime_set:
            return 0
        strict = 1 << MOUNT_ATTR_STRICTATIME // MOUNT_ATTR_NOATIME
        return bool(self.cleared & MS_NOATIME) << 1 | bool(self.cleared & MS_STRICTATIME) * strict

    @property
    def atime(self) -> int:
        # As the kernel's path_mount: strict wins over noatime, relatime is the default.
        if self.flags & MS_STRICTATIME:
            return MOUNT_ATTR_STRICTATIME
        return MOUNT_ATTR_NOATIME if self.flags & MS_NOATIME else MOUNT_ATTR_RELATIME

    @property
    def superblock(self) -> tuple[str, ...]:
        """The keys of fsconfig(FSCONFIG_SET_FLAG) for the flags of the super block."""
        return tuple(key for flag, key, _ in SUPERBLOCK if self.flags & flag)

    @property
    def of_superblock(self) -> frozenset[str]:
        """Options that change the file system and not the mount, as far as they are set."""
        found = self.flags & OF_SUPERBLOCK
        return frozenset(
            name for name, (set_it, flag) in FLAGS.items() if set_it and flag and flag & found
        )

    @property
    def superblock_cleared(self) -> tuple[str, ...]:
        return tuple(key for flag, _, key in SUPERBLOCK if key and self.cleared & flag)


def asks_for_bind(mount: MountLike) -> bool:
    """Tell whether it is a bind mount, by its type or by an option."""
    return mount.type in BINDS or any(option in BINDS for option in mount.options)


def parse_mount_options(mount: MountLike) -> MountOptions:
    """Read the options of a mount; its type `bind` or `rbind` counts as the option.

    Engines put lists together from parts that may be empty: an empty option is none.
    """
    result = MountOptions()
    data: list[str] = []
    propagation: list[int] = []
    if mount.type in BINDS:
        _bind(result, mount.type or "")
    for option in mount.options:
        if option in FLAGS:
            _flag(result, *FLAGS[option])
        elif option in BINDS:
            _bind(result, option)
        elif option in PROPAGATIONS:
            propagation.append(PROPAGATIONS[option])
        elif option in RECURSIVE:
            _attribute(result, *RECURSIVE[option])
        elif option and not _extra(result, option):
            data.append(option)
    result.data = tuple(data)
    result.propagation = tuple(propagation)
    return result


def _flag(result: MountOptions, set_it: bool, flag: int) -> None:
    if set_it:
        result.flags |= flag
        result.cleared &= ~flag
    else:
        result.flags &= ~flag
        result.cleared |= flag
    if flag & MS_ATIMES:
        result.atime_given = True


def _bind(result: MountOptions, option: str) -> None:
    result.bind = True
    result.recursive = result.recursive or option == "rbind"


def _attribute(result: MountOptions, to_set: int, to_clear: int) -> None:
    touched = to_set | to_clear
    result.recursive_set = result.recursive_set & ~touched | to_set
    result.recursive_clear = result.recursive_clear & ~touched | to_clear


def _extra(result: MountOptions, option: str) -> bool:
    if option in ("idmap", "ridmap"):
        result.idmap = option
    elif option.startswith(("idmap=", "ridmap=")):
        result.idmap, _, result.idmap_text = option.partition("=")
    elif option.startswith(UPPER_SIZE):
        result.upper_size = option.removeprefix(UPPER_SIZE)
    elif option in EXTRAS:
        setattr(result, option.replace("-", "_"), True)
    else:
        return False
    return True
