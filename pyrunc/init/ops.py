# SPDX-License-Identifier: Apache-2.0
"""The ops of a plan. Generated from optable.py by csrc/generate.py: do not edit. PURE."""

from __future__ import annotations

from struct import pack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

DIGEST = 0x2882C061F399734D

RENDEZVOUS_NAMESPACES = 1
RENDEZVOUS_MOUNTS = 2
RENDEZVOUS_HOOKS = 3
RENDEZVOUS_CONSOLE = 4
RENDEZVOUS_SECCOMP = 5
RENDEZVOUS_READY = 6
RENDEZVOUS_MOUNTED = 7
RENDEZVOUS_CGROUPS = 8
RENDEZVOUS_SOURCE = 9
RENDEZVOUS_MAP = 10
RENDEZVOUS = (
    "namespaces",
    "mounts",
    "hooks",
    "console",
    "seccomp",
    "ready",
    "mounted",
    "cgroups",
    "source",
    "map",
)

PROC_PIDS = 0
PROC_FULL = 1
PROC_HOST = 2
ATTACH_KEEP = 1
ATTACH_REAL_DIRECTORY = 2
ATTACH_PROC_ALLOWED = 4
ATTACH_NOFOLLOW = 8
LISTENER_SENT = 2
SLOT_LIMIT = 4096
NO_INDEX = 4294967295


def _str(value: str) -> bytes:
    data = value.encode("utf-8", "surrogateescape")
    if b"\0" in data:
        raise ValueError("a string of a plan holds a NUL")
    return pack("<I", len(data)) + data + b"\0"


def _bytes(value: bytes, before: int) -> bytes:
    return pack("<I", len(value)) + bytes(-(before + 4) % 8) + value + bytes(-len(value) % 8)


def _strs(values: Sequence[str], before: int) -> bytes:
    if not values:
        data = b""
    else:
        data = "\0".join(values).encode("utf-8", "surrogateescape") + b"\0"
        if data.count(b"\0") != len(values):
            raise ValueError("a string of a plan holds a NUL")
    head = pack("<II", len(values), len(data))
    return head + bytes(-(before + 8) % 8 + 8 * (len(values) + 1)) + data


def _op(code: int, body: bytes) -> bytes:
    padding = -len(body) % 8
    return pack("<II", code, 8 + len(body) + padding) + body + bytes(padding)


class Op:
    """One operation. `pointer` and `action` serve messages and are not encoded."""

    __slots__ = ("action", "pointer")
    NAME = ""
    CODE = 0
    FIELDS: tuple[str, ...] = ()
    STEPS: tuple[str, ...] = ()
    pointer: str
    action: str

    def encode(self) -> bytes:
        """Encode the op as the init reads it: code, size, fields, padding to 8 bytes."""
        raise NotImplementedError


class TraceTimes(Op):
    """Map the memory file in a slot: when an op has ended, the time (CLOCK_REALTIME, ns, u64) goes to the place of its index.

    For --trace.
    """

    __slots__ = ("slot",)
    NAME = "trace_times"
    CODE = 1
    FIELDS = ("slot",)
    STEPS = ("map",)

    def __init__(
        self,
        *,
        slot: int,
        pointer: str = "",
        action: str = "",
    ) -> None:
        self.slot = slot
        self.pointer = pointer
        self.action = action

    def encode(self) -> bytes:
        return _op(1, pack("<I", self.slot))


class SetDumpable(Op):
    """PR_SET_DUMPABLE: 0 hides /proc/PID of the init from everybody but root."""

    __slots__ = ("value",)
    NAME = "set_dumpable"
    CODE = 2
    FIELDS = ("value",)
    STEPS = ("prctl",)

    def __init__(
        self,
        *,
        value: int,
        pointer: str = "",
        action: str = "",
    ) -> None:
        self.value = value
        self.pointer = pointer
        self.action = action

    def encode(self) -> bytes:
        return _op(2, pack("<I", self.value))


class SetSession(Op):
    """setsid: no controlling terminal of the caller is inherited."""

    __slots__ = ()
    NAME = "set_session"
    CODE = 3
    FIELDS = ()
    STEPS = ("setsid",)

    def __init__(
        self,
        *,
        pointer: str = "",
        action: str = "",
    ) -> None:
        self.pointer = pointer
        self.action = action

    def encode(self) -> bytes:
        return _op(3, b"")


class OpenProc(Op):
    """Open a procfs into a slot: a new detached one (PROC_PIDS, PROC_FULL) or the one at /proc (PROC_HOST)."""

    __slots__ = ("kind", "slot")
    NAME = "open_proc"
    CODE = 4
    FIELDS = ("slot", "kind")
    STEPS = ("open", "verify")

    def __init__(
        self,
        *,
        slot: int,
        kind: int,
        pointer: str = "",
        action: str = "",
    ) -> None:
        self.slot = slot
        self.kind = kind
        self.pointer = pointer
        self.action = action

    def encode(self) -> bytes:
        return _op(4, pack("<II", self.slot, self.kind))


class WriteProc(Op):
    """Write a value with one write(2) to a file of a verified procfs.

    `tolerate` is an errno of open or write, or 0. Unless `readback` is empty, the file must
    then read as `readback`, alone or followed by ` (MODE)`, up to a newline.
    """

    __slots__ = ("path", "proc", "readback", "tolerate", "value")
    NAME = "write_proc"
    CODE = 5
    FIELDS = ("proc", "path", "value", "readback", "tolerate")
    STEPS = ("open", "verify", "write", "readback")

    def __init__(
        self,
        *,
        proc: int,
        path: str,
        value: str,
        readback: str,
        tolerate: int,
        pointer: str = "",
        action: str = "",
    ) -> None:
        self.proc = proc
        self.path = path
        self.value = value
        self.readback = readback
        self.tolerate = tolerate
        self.pointer = pointer
        self.action = action

    def encode(self) -> bytes:
        body = pack("<I", self.proc)
        body += _str(self.path)
        body += _str(self.value)
        body += _str(self.readback)
        body += pack("<I", self.tolerate)
        return _op(5, body)


class CloseSlot(Op):
    """Close a slot."""

    __slots__ = ("slot",)
    NAME = "close_slot"
    CODE = 6
    FIELDS = ("slot",)
    STEPS = ("close",)

    def __init__(
        self,
        *,
        slot: int,
        pointer: str = "",
        action: str = "",
    ) -> None:
        self.slot = slot
        self.pointer = pointer
        self.action = action

    def encode(self) -> bytes:
        return _op(6, pack("<I", self.slot))


class Await(Op):
    """Tell the parent and wait for its answer.

    Descriptors that come with it fill up to `count` slots from `slot`; the rest stays empty.
    """

    __slots__ = ("count", "name", "slot")
    NAME = "await"
    CODE = 7
    FIELDS = ("name", "slot", "count")
    STEPS = ("send", "receive")

    def __init__(
        self,
        *,
        name: int,
        slot: int,
        count: int,
        pointer: str = "",
        action: str = "",
    ) -> None:
        self.name = name
        self.slot = slot
        self.count = count
        self.pointer = pointer
        self.action = action

    def encode(self) -> bytes:
        return _op(7, pack("<III", self.name, self.slot, self.count))


class OpenNamespace(Op):
    """Open a namespace file (host path) and verify that it is one of the given kind (a CLONE_NEW* flag)."""

    __slots__ = ("kind", "path", "slot")
    NAME = "open_namespace"
    CODE = 8
    FIELDS = ("slot", "path", "kind")
    STEPS = ("open", "verify")

    def __init__(
        self,
        *,
        slot: int,
        path: str,
        kind: int,
        pointer: str = "",
        action: str = "",
    ) -> None:
        self.slot = slot
        self.path = path
        self.kind = kind
        self.pointer = pointer
        self.action = action

    def encode(self) -> bytes:
        body = pack("<I", self.slot)
        body += _str(self.path)
        body += pack("<I", self.kind)
        return _op(8, body)


class JoinNamespace(Op):
    """setns to an opened namespace.

    `tolerate` is an errno or 0.
    """

    __slots__ = ("kind", "slot", "tolerate")
    NAME = "join_namespace"
    CODE = 9
    FIELDS = ("slot", "kind", "tolerate")
    STEPS = ("setns",)

    def __init__(
        self,
        *,
        slot: int,
        kind: int,
        tolerate: int,
        pointer: str = "",
        action: str = "",
    ) -> None:
        self.slot = slot
        self.kind = kind
        self.tolerate = tolerate
        self.pointer = pointer
        self.action = action

    def encode(self) -> bytes:
        return _op(9, pack("<III", self.slot, self.kind, self.tolerate))


class JoinProcess(Op):
    """setns to the namespaces (CLONE_NEW* flags) of the process behind a pidfd, all or none."""

    __slots__ = ("flags", "slot")
    NAME = "join_process"
    CODE = 10
    FIELDS = ("slot", "flags")
    STEPS = ("setns",)

    def __init__(
        self,
        *,
        slot: int,
        flags: int,
        pointer: str = "",
        action: str = "",
    ) -> None:
        self.slot = slot
        self.flags = flags
        self.pointer = pointer
        self.action = action

    def encode(self) -> bytes:
        return _op(10, pack("<II", self.slot, self.flags))


class Unshare(Op):
    """Unshare the namespaces given as CLONE_NEW* flags."""

    __slots__ = ("flags",)
    NAME = "unshare"
    CODE = 11
    FIELDS = ("flags",)
    STEPS = ("unshare",)

    def __init__(
        self,
        *,
        flags: int,
        pointer: str = "",
        action: str = "",
    ) -> None:
        self.flags = flags
        self.pointer = pointer
        self.action = action

    def encode(self) -> bytes:
        return _op(11, pack("<I", self.flags))


class Become(Op):
    """Take the ids that the user namespace maps: setgroups([]) unless `keep_groups`, setresgid, setresuid.

    `tolerate` is an errno of setgroups or 0.
    """

    __slots__ = ("gid", "keep_groups", "tolerate", "uid")
    NAME = "become"
    CODE = 12
    FIELDS = ("uid", "gid", "keep_groups", "tolerate")
    STEPS = ("setgroups", "setgid", "setuid")

    def __init__(
        self,
        *,
        uid: int,
        gid: int,
        keep_groups: int,
        tolerate: int,
        pointer: str = "",
        action: str = "",
    ) -> None:
        self.uid = uid
        self.gid = gid
        self.keep_groups = keep_groups
        self.tolerate = tolerate
        self.pointer = pointer
        self.action = action

    def encode(self) -> bytes:
        return _op(12, pack("<IIII", self.uid, self.gid, self.keep_groups, self.tolerate))


class JoinCgroup(Op):
    """Write 0 to each of `count` slots from `slot` that is not empty: the calling thread enters the cgroups; the slots are closed."""

    __slots__ = ("count", "slot")
    NAME = "join_cgroup"
    CODE = 13
    FIELDS = ("slot", "count")
    STEPS = ("write",)

    def __init__(
        self,
        *,
        slot: int,
        count: int,
        pointer: str = "",
        action: str = "",
    ) -> None:
        self.slot = slot
        self.count = count
        self.pointer = pointer
        self.action = action

    def encode(self) -> bytes:
        return _op(13, pack("<II", self.slot, self.count))


class Fork(Op):
    """clone3 a sibling that goes on with the plan; the caller reports its pid and exits.

    A cgroup2 directory in `cgroup`, unless that is empty, is entered.
    """

    __slots__ = ("cgroup",)
    NAME = "fork"
    CODE = 14
    FIELDS = ("cgroup",)
    STEPS = ("clone", "report")

    def __init__(
        self,
        *,
        cgroup: int,
        pointer: str = "",
        action: str = "",
    ) -> None:
        self.cgroup = cgroup
        self.pointer = pointer
        self.action = action

    def encode(self) -> bytes:
        return _op(14, pack("<I", self.cgroup))


class RaiseLoopback(Op):
    """Set the interface lo up."""

    __slots__ = ()
    NAME = "raise_loopback"
    CODE = 15
    FIELDS = ()
    STEPS = ("socket", "up")

    def __init__(
        self,
        *,
        pointer: str = "",
        action: str = "",
    ) -> None:
        self.pointer = pointer
        self.action = action

    def encode(self) -> bytes:
        return _op(15, b"")


class PropagateRoot(Op):
    """mount(NULL, /, NULL, flags): MS_REC and one of the propagation flags."""

    __slots__ = ("flags",)
    NAME = "propagate_root"
    CODE = 16
    FIELDS = ("flags",)
    STEPS = ("mount",)

    def __init__(
        self,
        *,
        flags: int,
        pointer: str = "",
        action: str = "",
    ) -> None:
        self.flags = flags
        self.pointer = pointer
        self.action = action

    def encode(self) -> bytes:
        return _op(16, pack("<Q", self.flags))


class CloneTree(Op):
    """open_tree(OPEN_TREE_CLONE) of a host path into a slot.

    `type` (S_IFMT bits, 0: any) and `rdev` are verified. With `ask`, EACCES of a directory on
    the way and EINVAL (locked mounts below) are answered by asking the parent for the clone
    (rendezvous source).
    """

    __slots__ = ("ask", "nofollow", "path", "rdev", "recursive", "slot", "type")
    NAME = "clone_tree"
    CODE = 17
    FIELDS = ("slot", "path", "recursive", "nofollow", "type", "rdev", "ask")
    STEPS = ("open", "clone", "verify")

    def __init__(
        self,
        *,
        slot: int,
        path: str,
        recursive: int,
        nofollow: int,
        type: int,
        rdev: int,
        ask: int,
        pointer: str = "",
        action: str = "",
    ) -> None:
        self.slot = slot
        self.path = path
        self.recursive = recursive
        self.nofollow = nofollow
        self.type = type
        self.rdev = rdev
        self.ask = ask
        self.pointer = pointer
        self.action = action

    def encode(self) -> bytes:
        body = pack("<I", self.slot)
        body += _str(self.path)
        body += pack("<IIIQI", self.recursive, self.nofollow, self.type, self.rdev, self.ask)
        return _op(17, body)


class NewMount(Op):
    """fsopen, fsconfig for each option (`key` or `key=value`), fsmount with MOUNT_ATTR_* flags into a slot."""

    __slots__ = ("attributes", "fstype", "options", "slot", "source")
    NAME = "new_mount"
    CODE = 18
    FIELDS = ("slot", "fstype", "source", "options", "attributes")
    STEPS = ("open", "option", "create", "mount")

    def __init__(
        self,
        *,
        slot: int,
        fstype: str,
        source: str,
        options: Sequence[str],
        attributes: int,
        pointer: str = "",
        action: str = "",
    ) -> None:
        self.slot = slot
        self.fstype = fstype
        self.source = source
        self.options = options
        self.attributes = attributes
        self.pointer = pointer
        self.action = action

    def encode(self) -> bytes:
        body = pack("<I", self.slot)
        body += _str(self.fstype)
        body += _str(self.source)
        body += _strs(self.options, len(body))
        body += pack("<Q", self.attributes)
        return _op(18, body)


class NewJoinedProc(Op):
    """A new procfs in a slot, of the pid namespace that the task has joined but is not in itself: with the option pidns (Linux 6.17), or else made by a child."""

    __slots__ = ("attributes", "options", "slot", "source")
    NAME = "new_joined_proc"
    CODE = 19
    FIELDS = ("slot", "source", "options", "attributes")
    STEPS = ("open", "option", "create", "mount", "namespace", "child")

    def __init__(
        self,
        *,
        slot: int,
        source: str,
        options: Sequence[str],
        attributes: int,
        pointer: str = "",
        action: str = "",
    ) -> None:
        self.slot = slot
        self.source = source
        self.options = options
        self.attributes = attributes
        self.pointer = pointer
        self.action = action

    def encode(self) -> bytes:
        body = pack("<I", self.slot)
        body += _str(self.source)
        body += _strs(self.options, len(body))
        body += pack("<Q", self.attributes)
        return _op(19, body)


class SetAttributes(Op):
    """mount_setattr on a slot.

    With `keep_locked`, EPERM is answered by keeping the flags that a user namespace locks,
    except that a flag in `explicit` which cannot be cleared is an error.
    """

    __slots__ = ("clear", "explicit", "keep_locked", "recursive", "set", "slot")
    NAME = "set_attributes"
    CODE = 20
    FIELDS = ("slot", "set", "clear", "recursive", "keep_locked", "explicit")
    STEPS = ("setattr", "locked")

    def __init__(
        self,
        *,
        slot: int,
        set: int,
        clear: int,
        recursive: int,
        keep_locked: int,
        explicit: int,
        pointer: str = "",
        action: str = "",
    ) -> None:
        self.slot = slot
        self.set = set
        self.clear = clear
        self.recursive = recursive
        self.keep_locked = keep_locked
        self.explicit = explicit
        self.pointer = pointer
        self.action = action

    def encode(self) -> bytes:
        return _op(20, pack("<IQQIIQ", self.slot, self.set, self.clear, self.recursive, self.keep_locked, self.explicit))


class ResetAtime(Op):
    """mount_setattr on a slot: a mount with one of the access time rules in `rules` (1 << rule / 16 for MOUNT_ATTR_NOATIME and MOUNT_ATTR_STRICTATIME) gets the kernel's default, any other keeps its own.

    With `keep_locked` one that a user namespace locks stays.
    """

    __slots__ = ("keep_locked", "rules", "slot")
    NAME = "reset_atime"
    CODE = 21
    FIELDS = ("slot", "rules", "keep_locked")
    STEPS = ("look", "setattr")

    def __init__(
        self,
        *,
        slot: int,
        rules: int,
        keep_locked: int,
        pointer: str = "",
        action: str = "",
    ) -> None:
        self.slot = slot
        self.rules = rules
        self.keep_locked = keep_locked
        self.pointer = pointer
        self.action = action

    def encode(self) -> bytes:
        return _op(21, pack("<III", self.slot, self.rules, self.keep_locked))


class SetPropagation(Op):
    """mount_setattr with a propagation flag (MS_SHARED, MS_SLAVE, MS_PRIVATE, MS_UNBINDABLE) on a slot."""

    __slots__ = ("flags", "recursive", "slot")
    NAME = "set_propagation"
    CODE = 22
    FIELDS = ("slot", "flags", "recursive")
    STEPS = ("setattr",)

    def __init__(
        self,
        *,
        slot: int,
        flags: int,
        recursive: int,
        pointer: str = "",
        action: str = "",
    ) -> None:
        self.slot = slot
        self.flags = flags
        self.recursive = recursive
        self.pointer = pointer
        self.action = action

    def encode(self) -> bytes:
        return _op(22, pack("<IQI", self.slot, self.flags, self.recursive))


class AttachRoot(Op):
    """Clone the rootfs (host path) with all below it and attach the clone over it; the slot is the container's root.

    With `ask`, EACCES of a directory on the way is answered by asking the parent to do it in
    the task's mount namespace (rendezvous source).
    """

    __slots__ = ("ask", "path", "slot")
    NAME = "attach_root"
    CODE = 23
    FIELDS = ("slot", "path", "ask")
    STEPS = ("open", "clone", "attach")

    def __init__(
        self,
        *,
        slot: int,
        path: str,
        ask: int,
        pointer: str = "",
        action: str = "",
    ) -> None:
        self.slot = slot
        self.path = path
        self.ask = ask
        self.pointer = pointer
        self.action = action

    def encode(self) -> bytes:
        body = pack("<I", self.slot)
        body += _str(self.path)
        body += pack("<I", self.ask)
        return _op(23, body)


class EnterRoot(Op):
    """Keep / in slot `host` and make slot `root` the root of the calling task (fchdir, chroot)."""

    __slots__ = ("host", "root")
    NAME = "enter_root"
    CODE = 24
    FIELDS = ("root", "host")
    STEPS = ("open", "chdir", "chroot")

    def __init__(
        self,
        *,
        root: int,
        host: int,
        pointer: str = "",
        action: str = "",
    ) -> None:
        self.root = root
        self.host = host
        self.pointer = pointer
        self.action = action

    def encode(self) -> bytes:
        return _op(24, pack("<II", self.root, self.host))


class LeaveRoot(Op):
    """Make slot `host` the root again."""

    __slots__ = ("host",)
    NAME = "leave_root"
    CODE = 25
    FIELDS = ("host",)
    STEPS = ("chdir", "chroot")

    def __init__(
        self,
        *,
        host: int,
        pointer: str = "",
        action: str = "",
    ) -> None:
        self.host = host
        self.pointer = pointer
        self.action = action

    def encode(self) -> bytes:
        return _op(25, pack("<I", self.host))


class CoverRoot(Op):
    """move_mount the slot over the root of the calling task and make it the root; it takes the place of slot `root`, too."""

    __slots__ = ("root", "slot")
    NAME = "cover_root"
    CODE = 26
    FIELDS = ("slot", "root")
    STEPS = ("verify", "attach", "chdir", "chroot")

    def __init__(
        self,
        *,
        slot: int,
        root: int,
        pointer: str = "",
        action: str = "",
    ) -> None:
        self.slot = slot
        self.root = root
        self.pointer = pointer
        self.action = action

    def encode(self) -> bytes:
        return _op(26, pack("<II", self.slot, self.root))


class Attach(Op):
    """Resolve a path, create what is missing (a directory or an empty file, as the mounted object is), move_mount the slot there."""

    __slots__ = ("flags", "path", "slot")
    NAME = "attach"
    CODE = 27
    FIELDS = ("slot", "path", "flags")
    STEPS = ("resolve", "create", "verify", "attach")

    def __init__(
        self,
        *,
        slot: int,
        path: str,
        flags: int,
        pointer: str = "",
        action: str = "",
    ) -> None:
        self.slot = slot
        self.path = path
        self.flags = flags
        self.pointer = pointer
        self.action = action

    def encode(self) -> bytes:
        body = pack("<I", self.slot)
        body += _str(self.path)
        body += pack("<I", self.flags)
        return _op(27, body)


class CloneInside(Op):
    """open_tree(OPEN_TREE_CLONE) of a path into a slot: what earlier ops have attached there is seen.

    `resolve` are RESOLVE_* flags besides the usual ones. Procfs is refused unless `proc`: a
    link of the image could lead to it, past its masks.
    """

    __slots__ = ("nofollow", "path", "proc", "recursive", "resolve", "slot")
    NAME = "clone_inside"
    CODE = 28
    FIELDS = ("slot", "path", "recursive", "nofollow", "resolve", "proc")
    STEPS = ("resolve", "verify", "clone")

    def __init__(
        self,
        *,
        slot: int,
        path: str,
        recursive: int,
        nofollow: int,
        resolve: int,
        proc: int,
        pointer: str = "",
        action: str = "",
    ) -> None:
        self.slot = slot
        self.path = path
        self.recursive = recursive
        self.nofollow = nofollow
        self.resolve = resolve
        self.proc = proc
        self.pointer = pointer
        self.action = action

    def encode(self) -> bytes:
        body = pack("<I", self.slot)
        body += _str(self.path)
        body += pack("<IIII", self.recursive, self.nofollow, self.resolve, self.proc)
        return _op(28, body)


class MapMount(Op):
    """Send the detached mount in a slot to the parent (rendezvous map), which maps its ids."""

    __slots__ = ("slot",)
    NAME = "map_mount"
    CODE = 29
    FIELDS = ("slot",)
    STEPS = ("send",)

    def __init__(
        self,
        *,
        slot: int,
        pointer: str = "",
        action: str = "",
    ) -> None:
        self.slot = slot
        self.pointer = pointer
        self.action = action

    def encode(self) -> bytes:
        return _op(29, pack("<I", self.slot))


class MountClassic(Op):
    """mount(2) on a resolved directory, for flags that the new mount interface does not carry (MS_REMOUNT, MS_I_VERSION, MS_SILENT)."""

    __slots__ = ("data", "flags", "fstype", "path", "source")
    NAME = "mount_classic"
    CODE = 30
    FIELDS = ("path", "fstype", "source", "flags", "data")
    STEPS = ("resolve", "create", "mount")

    def __init__(
        self,
        *,
        path: str,
        fstype: str,
        source: str,
        flags: int,
        data: str,
        pointer: str = "",
        action: str = "",
    ) -> None:
        self.path = path
        self.fstype = fstype
        self.source = source
        self.flags = flags
        self.data = data
        self.pointer = pointer
        self.action = action

    def encode(self) -> bytes:
        body = _str(self.path)
        body += _str(self.fstype)
        body += _str(self.source)
        body += pack("<Q", self.flags)
        body += _str(self.data)
        return _op(30, body)


class InheritMode(Op):
    """Give the root of the detached tmpfs in a slot the permissions of the directory that it is going to cover, if there is one."""

    __slots__ = ("path", "slot")
    NAME = "inherit_mode"
    CODE = 31
    FIELDS = ("slot", "path")
    STEPS = ("resolve", "chmod")

    def __init__(
        self,
        *,
        slot: int,
        path: str,
        pointer: str = "",
        action: str = "",
    ) -> None:
        self.slot = slot
        self.path = path
        self.pointer = pointer
        self.action = action

    def encode(self) -> bytes:
        body = pack("<I", self.slot)
        body += _str(self.path)
        return _op(31, body)


class CopyUp(Op):
    """Copy the tree below a path into the detached tmpfs of a slot (tmpcopyup)."""

    __slots__ = ("path", "slot")
    NAME = "copy_up"
    CODE = 32
    FIELDS = ("slot", "path")
    STEPS = ("open", "copy")

    def __init__(
        self,
        *,
        slot: int,
        path: str,
        pointer: str = "",
        action: str = "",
    ) -> None:
        self.slot = slot
        self.path = path
        self.pointer = pointer
        self.action = action

    def encode(self) -> bytes:
        body = pack("<I", self.slot)
        body += _str(self.path)
        return _op(32, body)


class MakeDirectory(Op):
    """Create a directory and its parents with this mode, owned by uid:gid; an existing directory is left alone."""

    __slots__ = ("gid", "mode", "path", "uid")
    NAME = "make_directory"
    CODE = 33
    FIELDS = ("path", "mode", "uid", "gid")
    STEPS = ("resolve", "create")

    def __init__(
        self,
        *,
        path: str,
        mode: int,
        uid: int,
        gid: int,
        pointer: str = "",
        action: str = "",
    ) -> None:
        self.path = path
        self.mode = mode
        self.uid = uid
        self.gid = gid
        self.pointer = pointer
        self.action = action

    def encode(self) -> bytes:
        body = _str(self.path)
        body += pack("<III", self.mode, self.uid, self.gid)
        return _op(33, body)


class MakeSymlink(Op):
    """Create a symbolic link.

    Something that exists is left alone, or, with `replace`, removed first.
    """

    __slots__ = ("path", "replace", "target")
    NAME = "make_symlink"
    CODE = 34
    FIELDS = ("path", "target", "replace")
    STEPS = ("resolve", "remove", "symlink")

    def __init__(
        self,
        *,
        path: str,
        target: str,
        replace: int,
        pointer: str = "",
        action: str = "",
    ) -> None:
        self.path = path
        self.target = target
        self.replace = replace
        self.pointer = pointer
        self.action = action

    def encode(self) -> bytes:
        body = _str(self.path)
        body += _str(self.target)
        body += pack("<I", self.replace)
        return _op(34, body)


class MakeDevice(Op):
    """mknod with `mode` (type and permissions), verify by descriptor, chmod, chown.

    An existing node must be the same device.
    """

    __slots__ = ("gid", "mode", "path", "rdev", "uid")
    NAME = "make_device"
    CODE = 35
    FIELDS = ("path", "mode", "rdev", "uid", "gid")
    STEPS = ("resolve", "mknod", "verify", "chmod", "chown")

    def __init__(
        self,
        *,
        path: str,
        mode: int,
        rdev: int,
        uid: int,
        gid: int,
        pointer: str = "",
        action: str = "",
    ) -> None:
        self.path = path
        self.mode = mode
        self.rdev = rdev
        self.uid = uid
        self.gid = gid
        self.pointer = pointer
        self.action = action

    def encode(self) -> bytes:
        body = _str(self.path)
        body += pack("<IQII", self.mode, self.rdev, self.uid, self.gid)
        return _op(35, body)


class Mask(Op):
    """Hide a path: a directory under slot `directory` (a read-only tmpfs), anything else under slot `null` (/dev/null).

    ENOENT and ENOTDIR mean nothing to hide.
    """

    __slots__ = ("directory", "null", "path")
    NAME = "mask"
    CODE = 36
    FIELDS = ("path", "null", "directory")
    STEPS = ("resolve", "clone", "attach", "verify")

    def __init__(
        self,
        *,
        path: str,
        null: int,
        directory: int,
        pointer: str = "",
        action: str = "",
    ) -> None:
        self.path = path
        self.null = null
        self.directory = directory
        self.pointer = pointer
        self.action = action

    def encode(self) -> bytes:
        body = _str(self.path)
        body += pack("<II", self.null, self.directory)
        return _op(36, body)


class MakeReadonly(Op):
    """Cover a path with a read-only recursive clone of itself.

    ENOENT and ENOTDIR mean nothing to protect.
    """

    __slots__ = ("path",)
    NAME = "make_readonly"
    CODE = 37
    FIELDS = ("path",)
    STEPS = ("resolve", "clone", "setattr", "attach", "verify")

    def __init__(
        self,
        *,
        path: str,
        pointer: str = "",
        action: str = "",
    ) -> None:
        self.path = path
        self.pointer = pointer
        self.action = action

    def encode(self) -> bytes:
        return _op(37, _str(self.path))


class Pivot(Op):
    """fchdir(slot), pivot_root(., .), detach the old root, chdir(/)."""

    __slots__ = ("slot",)
    NAME = "pivot"
    CODE = 38
    FIELDS = ("slot",)
    STEPS = ("chdir", "pivot", "propagation", "detach", "root")

    def __init__(
        self,
        *,
        slot: int,
        pointer: str = "",
        action: str = "",
    ) -> None:
        self.slot = slot
        self.pointer = pointer
        self.action = action

    def encode(self) -> bytes:
        return _op(38, pack("<I", self.slot))


class MoveRoot(Op):
    """--no-pivot: hide the proc and sysfs mounts of the host, MS_MOVE the root slot to /, chroot."""

    __slots__ = ("path", "slot")
    NAME = "move_root"
    CODE = 39
    FIELDS = ("slot", "path")
    STEPS = ("hide", "chdir", "move", "chroot")

    def __init__(
        self,
        *,
        slot: int,
        path: str,
        pointer: str = "",
        action: str = "",
    ) -> None:
        self.slot = slot
        self.path = path
        self.pointer = pointer
        self.action = action

    def encode(self) -> bytes:
        body = pack("<I", self.slot)
        body += _str(self.path)
        return _op(39, body)


class ChangeRoot(Op):
    """chroot into a host path (no mount namespace)."""

    __slots__ = ("path",)
    NAME = "change_root"
    CODE = 40
    FIELDS = ("path",)
    STEPS = ("open", "chroot")

    def __init__(
        self,
        *,
        path: str,
        pointer: str = "",
        action: str = "",
    ) -> None:
        self.path = path
        self.pointer = pointer
        self.action = action

    def encode(self) -> bytes:
        return _op(40, _str(self.path))


class SetRootAttributes(Op):
    """mount_setattr on /."""

    __slots__ = ("clear", "recursive", "set")
    NAME = "set_root_attributes"
    CODE = 41
    FIELDS = ("set", "clear", "recursive")
    STEPS = ("setattr",)

    def __init__(
        self,
        *,
        set: int,
        clear: int,
        recursive: int,
        pointer: str = "",
        action: str = "",
    ) -> None:
        self.set = set
        self.clear = clear
        self.recursive = recursive
        self.pointer = pointer
        self.action = action

    def encode(self) -> bytes:
        return _op(41, pack("<QQI", self.set, self.clear, self.recursive))


class VerifyMount(Op):
    """Check that what is seen at a path has these MOUNT_ATTR_* flags (statvfs) and, unless 0, this file system magic.

    With `index` it must be the mount that the attach or mount_classic (without MS_REMOUNT) of
    this number, from 1, has put there, or one that came later and covers it, whose flags are
    not its own.
    """

    __slots__ = ("attributes", "index", "magic", "path")
    NAME = "verify_mount"
    CODE = 42
    FIELDS = ("path", "attributes", "magic", "index")
    STEPS = ("resolve", "mount", "flags", "magic")

    def __init__(
        self,
        *,
        path: str,
        attributes: int,
        magic: int,
        index: int,
        pointer: str = "",
        action: str = "",
    ) -> None:
        self.path = path
        self.attributes = attributes
        self.magic = magic
        self.index = index
        self.pointer = pointer
        self.action = action

    def encode(self) -> bytes:
        body = _str(self.path)
        body += pack("<QQI", self.attributes, self.magic, self.index)
        return _op(42, body)


class VerifyRoot(Op):
    """Check that / is the mount that attach_root has made."""

    __slots__ = ()
    NAME = "verify_root"
    CODE = 43
    FIELDS = ()
    STEPS = ("look", "compare")

    def __init__(
        self,
        *,
        pointer: str = "",
        action: str = "",
    ) -> None:
        self.pointer = pointer
        self.action = action

    def encode(self) -> bytes:
        return _op(43, b"")


class SendMount(Op):
    """Send the attached mount in a slot to the parent (rendezvous mounted), which notes its id."""

    __slots__ = ("slot",)
    NAME = "send_mount"
    CODE = 44
    FIELDS = ("slot",)
    STEPS = ("send",)

    def __init__(
        self,
        *,
        slot: int,
        pointer: str = "",
        action: str = "",
    ) -> None:
        self.slot = slot
        self.pointer = pointer
        self.action = action

    def encode(self) -> bytes:
        return _op(44, pack("<I", self.slot))


class DetachMount(Op):
    """Unmount what is seen at a path without symbolic links, if it is the mount with this id; what uses it keeps it until it ends."""

    __slots__ = ("id", "path")
    NAME = "detach_mount"
    CODE = 45
    FIELDS = ("path", "id")
    STEPS = ("resolve", "verify", "detach")

    def __init__(
        self,
        *,
        path: str,
        id: int,
        pointer: str = "",
        action: str = "",
    ) -> None:
        self.path = path
        self.id = id
        self.pointer = pointer
        self.action = action

    def encode(self) -> bytes:
        body = _str(self.path)
        body += pack("<Q", self.id)
        return _op(45, body)


class SetHostname(Op):
    """sethostname, read back."""

    __slots__ = ("name",)
    NAME = "set_hostname"
    CODE = 46
    FIELDS = ("name",)
    STEPS = ("sethostname", "verify")

    def __init__(
        self,
        *,
        name: str,
        pointer: str = "",
        action: str = "",
    ) -> None:
        self.name = name
        self.pointer = pointer
        self.action = action

    def encode(self) -> bytes:
        return _op(46, _str(self.name))


class SetDomainname(Op):
    """setdomainname, read back."""

    __slots__ = ("name",)
    NAME = "set_domainname"
    CODE = 47
    FIELDS = ("name",)
    STEPS = ("setdomainname", "verify")

    def __init__(
        self,
        *,
        name: str,
        pointer: str = "",
        action: str = "",
    ) -> None:
        self.name = name
        self.pointer = pointer
        self.action = action

    def encode(self) -> bytes:
        return _op(47, _str(self.name))


class NewKeyring(Op):
    """Join a new anonymous session keyring and let the user namespace's others link it.

    `tolerate` is an errno or 0.
    """

    __slots__ = ("permissions", "tolerate")
    NAME = "new_keyring"
    CODE = 48
    FIELDS = ("permissions", "tolerate")
    STEPS = ("join", "permissions")

    def __init__(
        self,
        *,
        permissions: int,
        tolerate: int,
        pointer: str = "",
        action: str = "",
    ) -> None:
        self.permissions = permissions
        self.tolerate = tolerate
        self.pointer = pointer
        self.action = action

    def encode(self) -> bytes:
        return _op(48, pack("<II", self.permissions, self.tolerate))


class OpenConsole(Op):
    """Open a terminal in the container's devpts, set its size, give it to uid, bind it on /dev/console if asked, send the master to the parent (rendezvous console), make it stdio."""

    __slots__ = ("bind", "columns", "rows", "uid")
    NAME = "open_console"
    CODE = 49
    FIELDS = ("rows", "columns", "uid", "bind")
    STEPS = (
        "open",
        "verify",
        "unlock",
        "peer",
        "size",
        "chown",
        "console",
        "attach",
        "send",
        "stdio",
    )

    def __init__(
        self,
        *,
        rows: int,
        columns: int,
        uid: int,
        bind: int,
        pointer: str = "",
        action: str = "",
    ) -> None:
        self.rows = rows
        self.columns = columns
        self.uid = uid
        self.bind = bind
        self.pointer = pointer
        self.action = action

    def encode(self) -> bytes:
        return _op(49, pack("<IIII", self.rows, self.columns, self.uid, self.bind))


class TakeTerminal(Op):
    """Make the terminal on descriptor 0 the controlling one of the session."""

    __slots__ = ()
    NAME = "take_terminal"
    CODE = 50
    FIELDS = ()
    STEPS = ("take",)

    def __init__(
        self,
        *,
        pointer: str = "",
        action: str = "",
    ) -> None:
        self.pointer = pointer
        self.action = action

    def encode(self) -> bytes:
        return _op(50, b"")


class OwnStdio(Op):
    """Give the descriptors 0-2 to a uid where they are pipes or sockets, with `files` also files.

    Whoever may not is not an error.
    """

    __slots__ = ("files", "uid")
    NAME = "own_stdio"
    CODE = 51
    FIELDS = ("uid", "files")
    STEPS = ("chown",)

    def __init__(
        self,
        *,
        uid: int,
        files: int,
        pointer: str = "",
        action: str = "",
    ) -> None:
        self.uid = uid
        self.files = files
        self.pointer = pointer
        self.action = action

    def encode(self) -> bytes:
        return _op(51, pack("<II", self.uid, self.files))


class ReopenNull(Op):
    """Replace those of the descriptors 0-2 that are the host's /dev/null by the container's."""

    __slots__ = ()
    NAME = "reopen_null"
    CODE = 52
    FIELDS = ()
    STEPS = ("open", "verify")

    def __init__(
        self,
        *,
        pointer: str = "",
        action: str = "",
    ) -> None:
        self.pointer = pointer
        self.action = action

    def encode(self) -> bytes:
        return _op(52, b"")


class SetUmask(Op):
    """umask."""

    __slots__ = ("mask",)
    NAME = "set_umask"
    CODE = 53
    FIELDS = ("mask",)
    STEPS = ("umask",)

    def __init__(
        self,
        *,
        mask: int,
        pointer: str = "",
        action: str = "",
    ) -> None:
        self.mask = mask
        self.pointer = pointer
        self.action = action

    def encode(self) -> bytes:
        return _op(53, pack("<I", self.mask))


class SetLimit(Op):
    """setrlimit of the calling task, where the parent would lack the right to do it from outside."""

    __slots__ = ("hard", "resource", "soft")
    NAME = "set_limit"
    CODE = 54
    FIELDS = ("resource", "soft", "hard")
    STEPS = ("setrlimit",)

    def __init__(
        self,
        *,
        resource: int,
        soft: int,
        hard: int,
        pointer: str = "",
        action: str = "",
    ) -> None:
        self.resource = resource
        self.soft = soft
        self.hard = hard
        self.pointer = pointer
        self.action = action

    def encode(self) -> bytes:
        return _op(54, pack("<IQQ", self.resource, self.soft, self.hard))


class SetAffinity(Op):
    """sched_setaffinity with a bit mask; empty means every processor."""

    __slots__ = ("mask",)
    NAME = "set_affinity"
    CODE = 55
    FIELDS = ("mask",)
    STEPS = ("affinity",)

    def __init__(
        self,
        *,
        mask: bytes,
        pointer: str = "",
        action: str = "",
    ) -> None:
        self.mask = mask
        self.pointer = pointer
        self.action = action

    def encode(self) -> bytes:
        return _op(55, _bytes(self.mask, 0))


class SetScheduler(Op):
    """sched_setattr."""

    __slots__ = ("deadline", "flags", "nice", "period", "policy", "priority", "runtime")
    NAME = "set_scheduler"
    CODE = 56
    FIELDS = ("policy", "flags", "nice", "priority", "runtime", "deadline", "period")
    STEPS = ("setattr",)

    def __init__(
        self,
        *,
        policy: int,
        flags: int,
        nice: int,
        priority: int,
        runtime: int,
        deadline: int,
        period: int,
        pointer: str = "",
        action: str = "",
    ) -> None:
        self.policy = policy
        self.flags = flags
        self.nice = nice
        self.priority = priority
        self.runtime = runtime
        self.deadline = deadline
        self.period = period
        self.pointer = pointer
        self.action = action

    def encode(self) -> bytes:
        return _op(56, pack("<IQiIQQQ", self.policy, self.flags, self.nice, self.priority, self.runtime, self.deadline, self.period))


class SetIoPriority(Op):
    """ioprio_set of the calling process."""

    __slots__ = ("value",)
    NAME = "set_io_priority"
    CODE = 57
    FIELDS = ("value",)
    STEPS = ("ioprio",)

    def __init__(
        self,
        *,
        value: int,
        pointer: str = "",
        action: str = "",
    ) -> None:
        self.value = value
        self.pointer = pointer
        self.action = action

    def encode(self) -> bytes:
        return _op(57, pack("<I", self.value))


class SetPersonality(Op):
    """personality(2)."""

    __slots__ = ("persona",)
    NAME = "set_personality"
    CODE = 58
    FIELDS = ("persona",)
    STEPS = ("personality",)

    def __init__(
        self,
        *,
        persona: int,
        pointer: str = "",
        action: str = "",
    ) -> None:
        self.persona = persona
        self.pointer = pointer
        self.action = action

    def encode(self) -> bytes:
        return _op(58, pack("<Q", self.persona))


class SetMemoryPolicy(Op):
    """set_mempolicy with a node bit mask."""

    __slots__ = ("mode", "nodes")
    NAME = "set_memory_policy"
    CODE = 59
    FIELDS = ("mode", "nodes")
    STEPS = ("mempolicy",)

    def __init__(
        self,
        *,
        mode: int,
        nodes: bytes,
        pointer: str = "",
        action: str = "",
    ) -> None:
        self.mode = mode
        self.nodes = nodes
        self.pointer = pointer
        self.action = action

    def encode(self) -> bytes:
        body = pack("<I", self.mode)
        body += _bytes(self.nodes, len(body))
        return _op(59, body)


class SetNoNewPrivileges(Op):
    """PR_SET_NO_NEW_PRIVS."""

    __slots__ = ()
    NAME = "set_no_new_privileges"
    CODE = 60
    FIELDS = ()
    STEPS = ("prctl",)

    def __init__(
        self,
        *,
        pointer: str = "",
        action: str = "",
    ) -> None:
        self.pointer = pointer
        self.action = action

    def encode(self) -> bytes:
        return _op(60, b"")


class LimitBoundingSet(Op):
    """Drop every capability of the bounding set that is not in `keep`; `last` is the last that the kernel knows.

    Read back.
    """

    __slots__ = ("keep", "last")
    NAME = "limit_bounding_set"
    CODE = 61
    FIELDS = ("keep", "last")
    STEPS = ("read", "drop")

    def __init__(
        self,
        *,
        keep: int,
        last: int,
        pointer: str = "",
        action: str = "",
    ) -> None:
        self.keep = keep
        self.last = last
        self.pointer = pointer
        self.action = action

    def encode(self) -> bytes:
        return _op(61, pack("<QI", self.keep, self.last))


class SetGroups(Op):
    """setgroups to exactly these gids (u32 each), read back."""

    __slots__ = ("gids",)
    NAME = "set_groups"
    CODE = 62
    FIELDS = ("gids",)
    STEPS = ("setgroups", "verify")

    def __init__(
        self,
        *,
        gids: bytes,
        pointer: str = "",
        action: str = "",
    ) -> None:
        self.gids = gids
        self.pointer = pointer
        self.action = action

    def encode(self) -> bytes:
        return _op(62, _bytes(self.gids, 0))


class SetIds(Op):
    """setresgid, setresuid with the capabilities kept for set_capabilities; all four ids are verified."""

    __slots__ = ("gid", "uid")
    NAME = "set_ids"
    CODE = 63
    FIELDS = ("uid", "gid")
    STEPS = ("keepcaps", "setgid", "setuid", "hide", "verify")

    def __init__(
        self,
        *,
        uid: int,
        gid: int,
        pointer: str = "",
        action: str = "",
    ) -> None:
        self.uid = uid
        self.gid = gid
        self.pointer = pointer
        self.action = action

    def encode(self) -> bytes:
        return _op(63, pack("<II", self.uid, self.gid))


class SetCapabilities(Op):
    """capset of the three sets, clear the ambient set, raise `ambient`, verify."""

    __slots__ = ("ambient", "effective", "inheritable", "permitted")
    NAME = "set_capabilities"
    CODE = 64
    FIELDS = ("effective", "permitted", "inheritable", "ambient")
    STEPS = ("keepcaps", "capset", "clear", "ambient", "verify")

    def __init__(
        self,
        *,
        effective: int,
        permitted: int,
        inheritable: int,
        ambient: int,
        pointer: str = "",
        action: str = "",
    ) -> None:
        self.effective = effective
        self.permitted = permitted
        self.inheritable = inheritable
        self.ambient = ambient
        self.pointer = pointer
        self.action = action

    def encode(self) -> bytes:
        return _op(64, pack("<QQQQ", self.effective, self.permitted, self.inheritable, self.ambient))


class AdjustCapabilities(Op):
    """capset and nothing else, within what is permitted: the one call that a filter loaded without no_new_privs must allow."""

    __slots__ = ("effective", "inheritable", "permitted")
    NAME = "adjust_capabilities"
    CODE = 65
    FIELDS = ("effective", "permitted", "inheritable")
    STEPS = ("capset",)

    def __init__(
        self,
        *,
        effective: int,
        permitted: int,
        inheritable: int,
        pointer: str = "",
        action: str = "",
    ) -> None:
        self.effective = effective
        self.permitted = permitted
        self.inheritable = inheritable
        self.pointer = pointer
        self.action = action

    def encode(self) -> bytes:
        return _op(65, pack("<QQQ", self.effective, self.permitted, self.inheritable))


class CloseDescriptors(Op):
    """Close every descriptor above stdio and the `preserved` ones, except the channel to the parent and the slots `gate`, `report`, `out`, `err` and `program` (0: none).

    Before a filter, which may forbid it; nothing is opened later.
    """

    __slots__ = ("err", "gate", "out", "preserved", "program", "report")
    NAME = "close_descriptors"
    CODE = 66
    FIELDS = ("preserved", "gate", "report", "out", "err", "program")
    STEPS = ("close",)

    def __init__(
        self,
        *,
        preserved: int,
        gate: int,
        report: int,
        out: int,
        err: int,
        program: int,
        pointer: str = "",
        action: str = "",
    ) -> None:
        self.preserved = preserved
        self.gate = gate
        self.report = report
        self.out = out
        self.err = err
        self.program = program
        self.pointer = pointer
        self.action = action

    def encode(self) -> bytes:
        return _op(66, pack("<IIIIII", self.preserved, self.gate, self.report, self.out, self.err, self.program))


class LoadSeccomp(Op):
    """seccomp(SECCOMP_SET_MODE_FILTER).

    With `listener` the parent fetches the notification descriptor (rendezvous seccomp, value
    = its number) before the init closes it.
    """

    __slots__ = ("filter", "flags", "listener")
    NAME = "load_seccomp"
    CODE = 67
    FIELDS = ("flags", "filter", "listener")
    STEPS = ("load", "listener")

    def __init__(
        self,
        *,
        flags: int,
        filter: bytes,
        listener: int,
        pointer: str = "",
        action: str = "",
    ) -> None:
        self.flags = flags
        self.filter = filter
        self.listener = listener
        self.pointer = pointer
        self.action = action

    def encode(self) -> bytes:
        body = pack("<I", self.flags)
        body += _bytes(self.filter, len(body))
        body += pack("<I", self.listener)
        return _op(67, body)


class ChangeDirectory(Op):
    """Open a path as a directory (created with its parents if `create`), fchdir, verify that it is inside the root.

    With `retry_later` EACCES and EPERM are left to the next change_directory, which does
    nothing if this one has succeeded.
    """

    __slots__ = ("create", "path", "retry_later")
    NAME = "change_directory"
    CODE = 68
    FIELDS = ("path", "create", "retry_later")
    STEPS = ("open", "create", "chdir", "verify")

    def __init__(
        self,
        *,
        path: str,
        create: int,
        retry_later: int,
        pointer: str = "",
        action: str = "",
    ) -> None:
        self.path = path
        self.create = create
        self.retry_later = retry_later
        self.pointer = pointer
        self.action = action

    def encode(self) -> bytes:
        body = _str(self.path)
        body += pack("<II", self.create, self.retry_later)
        return _op(68, body)


class FindHome(Op):
    """Look up the home directory of a uid in /etc/passwd for execute."""

    __slots__ = ("uid",)
    NAME = "find_home"
    CODE = 69
    FIELDS = ("uid",)
    STEPS = ("read",)

    def __init__(
        self,
        *,
        uid: int,
        pointer: str = "",
        action: str = "",
    ) -> None:
        self.uid = uid
        self.pointer = pointer
        self.action = action

    def encode(self) -> bytes:
        return _op(69, pack("<I", self.uid))


class FindExecutable(Op):
    """Look a program up as execve would: a name with a slash as it is, else along `search` (the value of PATH)."""

    __slots__ = ("name", "search")
    NAME = "find_executable"
    CODE = 70
    FIELDS = ("name", "search")
    STEPS = ("path", "stat", "directory", "permission")

    def __init__(
        self,
        *,
        name: str,
        search: str,
        pointer: str = "",
        action: str = "",
    ) -> None:
        self.name = name
        self.search = search
        self.pointer = pointer
        self.action = action

    def encode(self) -> bytes:
        body = _str(self.name)
        body += _str(self.search)
        return _op(70, body)


class CreateRuleset(Op):
    """landlock_create_ruleset into a slot, with the rights that it handles."""

    __slots__ = ("fs", "net", "scoped", "slot")
    NAME = "create_ruleset"
    CODE = 71
    FIELDS = ("slot", "fs", "net", "scoped")
    STEPS = ("create",)

    def __init__(
        self,
        *,
        slot: int,
        fs: int,
        net: int,
        scoped: int,
        pointer: str = "",
        action: str = "",
    ) -> None:
        self.slot = slot
        self.fs = fs
        self.net = net
        self.scoped = scoped
        self.pointer = pointer
        self.action = action

    def encode(self) -> bytes:
        return _op(71, pack("<IQQQ", self.slot, self.fs, self.net, self.scoped))


class AllowPath(Op):
    """Resolve a path and allow rights below it (LANDLOCK_RULE_PATH_BENEATH) in the rule set of a slot."""

    __slots__ = ("access", "path", "slot")
    NAME = "allow_path"
    CODE = 72
    FIELDS = ("slot", "path", "access")
    STEPS = ("resolve", "rule")

    def __init__(
        self,
        *,
        slot: int,
        path: str,
        access: int,
        pointer: str = "",
        action: str = "",
    ) -> None:
        self.slot = slot
        self.path = path
        self.access = access
        self.pointer = pointer
        self.action = action

    def encode(self) -> bytes:
        body = pack("<I", self.slot)
        body += _str(self.path)
        body += pack("<Q", self.access)
        return _op(72, body)


class AllowPort(Op):
    """Allow rights for a TCP port (LANDLOCK_RULE_NET_PORT) in the rule set of a slot."""

    __slots__ = ("access", "port", "slot")
    NAME = "allow_port"
    CODE = 73
    FIELDS = ("slot", "port", "access")
    STEPS = ("rule",)

    def __init__(
        self,
        *,
        slot: int,
        port: int,
        access: int,
        pointer: str = "",
        action: str = "",
    ) -> None:
        self.slot = slot
        self.port = port
        self.access = access
        self.pointer = pointer
        self.action = action

    def encode(self) -> bytes:
        return _op(73, pack("<IIQ", self.slot, self.port, self.access))


class RestrictSelf(Op):
    """landlock_restrict_self with the rule set of a slot, which is closed."""

    __slots__ = ("flags", "slot")
    NAME = "restrict_self"
    CODE = 74
    FIELDS = ("slot", "flags")
    STEPS = ("restrict",)

    def __init__(
        self,
        *,
        slot: int,
        flags: int,
        pointer: str = "",
        action: str = "",
    ) -> None:
        self.slot = slot
        self.flags = flags
        self.pointer = pointer
        self.action = action

    def encode(self) -> bytes:
        return _op(74, pack("<II", self.slot, self.flags))


class RunHook(Op):
    """Run a hook in the namespaces of the init, in the directory in slot `directory` (0: none) or `cwd` (empty: as it is).

    Its standard input is `head`, the pid of the init, `tail`. The report's errno is the wait
    status for step exit; its detail is the end of the hook's output, which is also written to
    the slots `out` and `err` (0: none). `home` is the index in env that find_home's answer
    replaces, or NO_INDEX. The hook, not the init, gets `filter` (empty: none), with
    `filter_flags`.
    """

    __slots__ = (
        "argv",
        "cwd",
        "directory",
        "env",
        "err",
        "filter",
        "filter_flags",
        "head",
        "home",
        "out",
        "path",
        "tail",
        "timeout_ms",
    )
    NAME = "run_hook"
    CODE = 75
    FIELDS = (
        "path",
        "argv",
        "env",
        "home",
        "timeout_ms",
        "head",
        "tail",
        "directory",
        "cwd",
        "out",
        "err",
        "filter_flags",
        "filter",
    )
    STEPS = ("spawn", "filter", "timeout", "output", "exit")

    def __init__(
        self,
        *,
        path: str,
        argv: Sequence[str],
        env: Sequence[str],
        home: int,
        timeout_ms: int,
        head: str,
        tail: str,
        directory: int,
        cwd: str,
        out: int,
        err: int,
        filter_flags: int,
        filter: bytes,
        pointer: str = "",
        action: str = "",
    ) -> None:
        self.path = path
        self.argv = argv
        self.env = env
        self.home = home
        self.timeout_ms = timeout_ms
        self.head = head
        self.tail = tail
        self.directory = directory
        self.cwd = cwd
        self.out = out
        self.err = err
        self.filter_flags = filter_flags
        self.filter = filter
        self.pointer = pointer
        self.action = action

    def encode(self) -> bytes:
        body = _str(self.path)
        body += _strs(self.argv, len(body))
        body += _strs(self.env, len(body))
        body += pack("<II", self.home, self.timeout_ms)
        body += _str(self.head)
        body += _str(self.tail)
        body += pack("<I", self.directory)
        body += _str(self.cwd)
        body += pack("<III", self.out, self.err, self.filter_flags)
        body += _bytes(self.filter, len(body))
        return _op(75, body)


class WaitAtGate(Op):
    """Wait until `start` writes a byte to the fifo in slot `gate`; reports then go to the fifo in slot `report`."""

    __slots__ = ("gate", "report")
    NAME = "wait_at_gate"
    CODE = 76
    FIELDS = ("gate", "report")
    STEPS = ("wait",)

    def __init__(
        self,
        *,
        gate: int,
        report: int,
        pointer: str = "",
        action: str = "",
    ) -> None:
        self.gate = gate
        self.report = report
        self.pointer = pointer
        self.action = action

    def encode(self) -> bytes:
        return _op(76, pack("<II", self.gate, self.report))


class ExecuteSlot(Op):
    """As execute, but the program is the file in a slot (execveat with AT_EMPTY_PATH)."""

    __slots__ = ("argv", "env", "home", "listen", "preserved", "slot")
    NAME = "execute_slot"
    CODE = 77
    FIELDS = ("slot", "argv", "env", "home", "listen", "preserved")
    STEPS = ("close", "execve")

    def __init__(
        self,
        *,
        slot: int,
        argv: Sequence[str],
        env: Sequence[str],
        home: int,
        listen: int,
        preserved: int,
        pointer: str = "",
        action: str = "",
    ) -> None:
        self.slot = slot
        self.argv = argv
        self.env = env
        self.home = home
        self.listen = listen
        self.preserved = preserved
        self.pointer = pointer
        self.action = action

    def encode(self) -> bytes:
        body = pack("<I", self.slot)
        body += _strs(self.argv, len(body))
        body += _strs(self.env, len(body))
        body += pack("<III", self.home, self.listen, self.preserved)
        return _op(77, body)


class Execute(Op):
    """Unless close_descriptors has done so, close every descriptor above stdio and the `preserved` ones; then execve the program that find_executable found.

    `home` is the index in env that find_home's answer replaces, `listen` that of LISTEN_PID,
    whose value becomes the pid of the task as it sees it itself (asked for before a filter is
    loaded); each may be NO_INDEX.
    """

    __slots__ = ("argv", "env", "home", "listen", "preserved")
    NAME = "execute"
    CODE = 78
    FIELDS = ("argv", "env", "home", "listen", "preserved")
    STEPS = ("close", "execve")

    def __init__(
        self,
        *,
        argv: Sequence[str],
        env: Sequence[str],
        home: int,
        listen: int,
        preserved: int,
        pointer: str = "",
        action: str = "",
    ) -> None:
        self.argv = argv
        self.env = env
        self.home = home
        self.listen = listen
        self.preserved = preserved
        self.pointer = pointer
        self.action = action

    def encode(self) -> bytes:
        body = _strs(self.argv, 0)
        body += _strs(self.env, len(body))
        body += pack("<III", self.home, self.listen, self.preserved)
        return _op(78, body)


OPS: tuple[type[Op], ...] = (
    TraceTimes,
    SetDumpable,
    SetSession,
    OpenProc,
    WriteProc,
    CloseSlot,
    Await,
    OpenNamespace,
    JoinNamespace,
    JoinProcess,
    Unshare,
    Become,
    JoinCgroup,
    Fork,
    RaiseLoopback,
    PropagateRoot,
    CloneTree,
    NewMount,
    NewJoinedProc,
    SetAttributes,
    ResetAtime,
    SetPropagation,
    AttachRoot,
    EnterRoot,
    LeaveRoot,
    CoverRoot,
    Attach,
    CloneInside,
    MapMount,
    MountClassic,
    InheritMode,
    CopyUp,
    MakeDirectory,
    MakeSymlink,
    MakeDevice,
    Mask,
    MakeReadonly,
    Pivot,
    MoveRoot,
    ChangeRoot,
    SetRootAttributes,
    VerifyMount,
    VerifyRoot,
    SendMount,
    DetachMount,
    SetHostname,
    SetDomainname,
    NewKeyring,
    OpenConsole,
    TakeTerminal,
    OwnStdio,
    ReopenNull,
    SetUmask,
    SetLimit,
    SetAffinity,
    SetScheduler,
    SetIoPriority,
    SetPersonality,
    SetMemoryPolicy,
    SetNoNewPrivileges,
    LimitBoundingSet,
    SetGroups,
    SetIds,
    SetCapabilities,
    AdjustCapabilities,
    CloseDescriptors,
    LoadSeccomp,
    ChangeDirectory,
    FindHome,
    FindExecutable,
    CreateRuleset,
    AllowPath,
    AllowPort,
    RestrictSelf,
    RunHook,
    WaitAtGate,
    ExecuteSlot,
    Execute,
)
