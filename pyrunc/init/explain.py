# SPDX-License-Identifier: Apache-2.0
"""The text of a plan: what `pyrunc explain` prints and plan snapshots hold.

Fields that are 0 or empty are left out.

PURE.
"""

from __future__ import annotations

from pyrunc.init import ops
from pyrunc.spec import options
from pyrunc.spec.constants import NAMESPACES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.init.plan import Plan

CLONE = {flag: kind for kind, flag in sorted(NAMESPACES.items(), key=lambda item: item[1])}
MOUNT_ATTR = {
    options.MOUNT_ATTR_RDONLY: "ro",
    options.MOUNT_ATTR_NOSUID: "nosuid",
    options.MOUNT_ATTR_NODEV: "nodev",
    options.MOUNT_ATTR_NOEXEC: "noexec",
    options.MOUNT_ATTR_NOATIME: "noatime",
    options.MOUNT_ATTR_STRICTATIME: "strictatime",
    0x40: "atime-bits",  # the third bit of MOUNT_ATTR__ATIME, which has no name
    options.MOUNT_ATTR_NODIRATIME: "nodiratime",
    options.MOUNT_ATTR_IDMAP: "idmap",
    options.MOUNT_ATTR_NOSYMFOLLOW: "nosymfollow",
}
ATIME_BITS = options.MOUNT_ATTR__ATIME  # three bits, in `clear` always as a whole
MS = {
    options.MS_RDONLY: "ro",
    options.MS_NOSUID: "nosuid",
    options.MS_NODEV: "nodev",
    options.MS_NOEXEC: "noexec",
    options.MS_SYNCHRONOUS: "sync",
    options.MS_REMOUNT: "remount",
    options.MS_MANDLOCK: "mand",
    options.MS_DIRSYNC: "dirsync",
    options.MS_NOATIME: "noatime",
    options.MS_NODIRATIME: "nodiratime",
    options.MS_BIND: "bind",
    options.MS_REC: "rec",
    options.MS_SILENT: "silent",
    options.MS_UNBINDABLE: "unbindable",
    options.MS_PRIVATE: "private",
    options.MS_SLAVE: "slave",
    options.MS_SHARED: "shared",
    options.MS_RELATIME: "relatime",
    options.MS_I_VERSION: "iversion",
    options.MS_STRICTATIME: "strictatime",
    options.MS_LAZYTIME: "lazytime",
}
ATTACH = {
    ops.ATTACH_KEEP: "keep",
    ops.ATTACH_REAL_DIRECTORY: "real-directory",
    ops.ATTACH_PROC_ALLOWED: "proc-allowed",
    ops.ATTACH_NOFOLLOW: "nofollow",
}
PROC = {ops.PROC_PIDS: "pids", ops.PROC_FULL: "full", ops.PROC_HOST: "host"}
TYPES = {0o010000: "fifo", 0o020000: "char", 0o040000: "directory", 0o060000: "block"}
OCTAL = ("mode", "mask")
MASKS = (
    "keep",
    "effective",
    "permitted",
    "inheritable",
    "ambient",
    "persona",
    "permissions",
    "fs",
    "net",
    "scoped",
    "access",
)
RENDEZVOUS = {number: name for number, name in enumerate(ops.RENDEZVOUS, 1)}

# Zero means something in these.
ALWAYS = frozenset(
    (
        ("set_dumpable", "value"),
        ("set_umask", "mask"),
        ("become", "uid"),
        ("become", "gid"),
        ("own_stdio", "uid"),
        ("set_ids", "uid"),
        ("set_ids", "gid"),
        ("limit_bounding_set", "keep"),
        ("set_capabilities", "effective"),
        ("set_capabilities", "permitted"),
        ("set_personality", "persona"),
        ("open_proc", "kind"),
    )
)

# The flag names of a field, by (op, field) or by field alone.
FLAG_FIELDS = {
    ("unshare", "flags"): CLONE,
    ("join_process", "flags"): CLONE,
    ("open_namespace", "kind"): CLONE,
    ("join_namespace", "kind"): CLONE,
    ("attach", "flags"): ATTACH,
    ("propagate_root", "flags"): MS,
    ("set_propagation", "flags"): MS,
    ("mount_classic", "flags"): MS,
    ("", "attributes"): MOUNT_ATTR,
    ("", "set"): MOUNT_ATTR,
    ("", "clear"): MOUNT_ATTR,
    ("", "explicit"): MOUNT_ATTR,
}
ENUM_FIELDS = {
    ("open_proc", "kind"): PROC,
    ("await", "name"): RENDEZVOUS,
    ("clone_tree", "type"): TYPES,
}


def text(plan: Plan) -> str:
    """Return the whole plan as text."""
    lines = [line(index, op) for index, op in enumerate(plan.ops)]
    lines += [f"object {slot}: {name}" for slot, name in enumerate(plan.object_names, 1)]
    lines += [request.line() for request in plan.requests]
    lines += [f"rlimit {number}: {soft} {hard}" for number, soft, hard in plan.rlimits]
    lines += [f"warning: {problem.line()}" for problem in plan.warnings]
    return "\n".join(lines) + "\n"


def line(index: int, op: ops.Op) -> str:
    """One op: its number, name, fields, and what it serves in config.json."""
    parts = [f"{index:3} {op.NAME:21}"]
    if op.NAME == "make_device":
        parts.append(_device(op))
    else:
        for field in op.FIELDS:
            value = getattr(op, field)
            if (value and value != ops.NO_INDEX) or (op.NAME, field) in ALWAYS:
                parts.append(f"{field}={show(op.NAME, field, value)}")
    if op.pointer:
        parts.append(f"-> {op.pointer}")
    return " ".join(parts).rstrip()


def show(name: str, field: str, value: object) -> str:
    """Return the value of a field as people write it."""
    enum = ENUM_FIELDS.get((name, field))
    if enum is not None:
        return enum.get(value, str(value))  # type: ignore[call-overload,no-any-return]
    if isinstance(value, int):
        table = FLAG_FIELDS.get((name, field)) or FLAG_FIELDS.get(("", field))
        if table is not None:
            return _flags(value, table)
        if field in OCTAL:
            return f"{value:04o}"
        if field in MASKS:
            return f"{value:#x}"
        if field == "rdev":
            return device_numbers(value)
        return str(value)
    if isinstance(value, bytes):
        return value.hex() if len(value) <= 32 else f"({len(value)} bytes)"
    if isinstance(value, str):
        return _quote(value)
    return "[" + ", ".join(_quote(item) for item in value) + "]"  # type: ignore[attr-defined]


def device_numbers(rdev: int) -> str:
    """Unpack major and minor from the kernel's number."""
    major = (rdev >> 8) & 0xFFF | (rdev >> 32) & 0xFFFFF000
    minor = rdev & 0xFF | (rdev >> 12) & 0xFFFFFF00
    return f"{major}:{minor}"


def _device(op: ops.Op) -> str:
    mode = op.mode  # type: ignore[attr-defined]
    kind = TYPES.get(mode & 0o170000, "?")
    rdev = "" if kind == "fifo" else f" rdev={device_numbers(op.rdev)}"  # type: ignore[attr-defined]
    owner = f"{op.uid}:{op.gid}"  # type: ignore[attr-defined]
    path = op.path  # type: ignore[attr-defined]
    return f"path={path} type={kind}{rdev} mode={mode & 0o7777:04o} owner={owner}"


def _flags(value: int, table: dict[int, str]) -> str:
    names = []
    if table is MOUNT_ATTR and value & ATIME_BITS == ATIME_BITS:
        names.append("atime")
        value &= ~ATIME_BITS
    names += [name for bit, name in table.items() if value & bit]
    known = sum(bit for bit in table if value & bit)
    if value != known:
        names.append(f"{value & ~known:#x}")
    return ",".join(names)


def _quote(value: str) -> str:
    plain = value and value.isprintable() and not any(char in value for char in " \"',[]")
    return value if plain else repr(value)
