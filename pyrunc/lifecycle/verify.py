# SPDX-License-Identifier: Apache-2.0
"""Compare a living container with its configuration: what differs from what was asked for.

Everything is read from outside: /proc/PID of the init, its mount table, the files behind its root,
its cgroups. Paths of the container are resolved below its root and opened with O_PATH only. What a
program may give up by itself (capabilities, ids, its hostname) is no difference; what it has beyond
its configuration is one.
"""

from __future__ import annotations

import errno
import os
import stat

from pyrunc.errors import Failure, StateError
from pyrunc.host import mountinfo, syscalls
from pyrunc.lifecycle.container import STOPPED, Container
from pyrunc.lifecycle.exec import saved_config
from pyrunc.lifecycle.in_time import in_time
from pyrunc.log import printable
from pyrunc.spec.constants import CAPABILITIES
from pyrunc.spec.options import (
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_RDONLY,
    parse_mount_options,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Final

    from pyrunc.spec.model import Config

NS_FILES: Final = {"mount": "mnt", "network": "net"}
RESOLVE: Final = syscalls.RESOLVE_IN_ROOT | syscalls.RESOLVE_NO_MAGICLINKS
# The kernel's words in mountinfo for the flags that protect.
PROTECTING: Final = (
    (MS_RDONLY, "ro"),
    (MS_NOSUID, "nosuid"),
    (MS_NODEV, "nodev"),
    (MS_NOEXEC, "noexec"),
)
SETS: Final = (
    ("CapBnd", "bounding"),
    ("CapPrm", "permitted"),
    ("CapEff", "effective"),
    ("CapInh", "inheritable"),
    ("CapAmb", "ambient"),
)
PATIENCE_S: Final = 30.0
FILTERED: Final = "2"  # SECCOMP_MODE_FILTER
# Kinds of files that lead nowhere on the host.
ANONYMOUS: Final = ("pipe:", "socket:", "anon_inode:", "/memfd:")


class Difference:
    """One thing that is not as the configuration says; `pointer` is the property."""

    __slots__ = ("expected", "found", "pointer", "subject")

    def __init__(self, pointer: str, subject: str, *, expected: str, found: str) -> None:
        self.pointer = pointer
        self.subject = subject
        self.expected = expected
        self.found = found

    def line(self) -> str:
        return printable(f"{self.pointer}: {self.subject}: {self.found}, expected {self.expected}")


def verify(container: Container) -> list[Difference]:
    """Return every difference, in the order of the checks; StateError when it has stopped."""
    if container.status() == STOPPED:
        raise StateError(f"container not running: {container.id} has stopped: nothing can differ")
    return in_time(lambda: _compare(container), patience_s=PATIENCE_S)


def _compare(container: Container) -> list[Difference]:
    view = _View(container)
    try:
        return [one for check in CHECKS for one in check(view)]
    except (FileNotFoundError, ProcessLookupError):
        raise StateError(f"container {container.id} has stopped meanwhile") from None
    finally:
        view.close()


class _View:
    """What is read once of a container. `root` is a descriptor of its root directory."""

    __slots__ = ("config", "container", "mounts", "pid", "root", "status")

    def __init__(self, container: Container) -> None:
        self.container = container
        self.config: Config = saved_config(container)
        self.pid = container.pid
        self.mounts = {entry.id: entry for entry in mountinfo.read(self.pid)}
        with open(f"/proc/{self.pid}/status", encoding="ascii", errors="replace") as file:
            rows = (line.partition(":") for line in file)
            self.status = {name: value.strip() for name, _, value in rows}
        self.root = os.open(f"/proc/{self.pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def close(self) -> None:
        os.close(self.root)

    def mount_on(self, path: str) -> mountinfo.Entry | None:
        """Return the mount that a path of the container lies on; None when there is no such path.

        A mount that was made after the table was read counts as none.
        """
        try:
            fd = syscalls.openat2(self.root, path, os.O_PATH | os.O_CLOEXEC, resolve=RESOLVE)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EACCES):
                return None
            raise
        try:
            return self.mounts.get(syscalls.mount_id(fd))
        finally:
            os.close(fd)

    def stat(self, path: str) -> os.stat_result | None:
        try:
            fd = syscalls.openat2(
                self.root, path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, resolve=RESOLVE
            )
        except OSError:
            return None
        try:
            return os.fstat(fd)
        finally:
            os.close(fd)


def _namespaces(view: _View) -> Iterator[Difference]:
    """Compare namespaces: new ones are not ours, joined ones those of the path, others ours."""
    kinds = {one.type: one for one in view.config.linux.namespaces}
    for kind in ("mount", "pid", "network", "ipc", "uts", "cgroup", "user", "time"):
        name = NS_FILES.get(kind, kind)
        theirs = _inode(f"/proc/{view.pid}/ns/{name}")
        ours = _inode(f"/proc/self/ns/{name}")
        if theirs is None or ours is None:  # a kernel without this kind
            continue
        wanted = kinds.get(kind)
        pointer, subject = "/linux/namespaces", f"{kind} namespace"
        if wanted is None:
            if theirs != ours:
                yield Difference(pointer, subject, expected="the caller's", found="another one")
        elif wanted.path:
            path = _inode(wanted.path)
            if path is not None and theirs != path:
                yield Difference(
                    wanted.pointer, subject, expected=f"that of {wanted.path}", found="another one"
                )
        elif theirs == ours:
            yield Difference(wanted.pointer, subject, expected="its own", found="the caller's")


def _inode(path: str) -> tuple[int, int] | None:
    try:
        facts = os.stat(path)
    except OSError:
        return None
    return facts.st_dev, facts.st_ino


def _id_maps(view: _View) -> Iterator[Difference]:
    linux = view.config.linux
    wanted = linux.namespace("user")
    if wanted is None or wanted.path:
        return
    for kind, maps in (("uid", linux.uid_mappings), ("gid", linux.gid_mappings)):
        with open(f"/proc/{view.pid}/{kind}_map", encoding="ascii") as file:
            seen = sorted(tuple(map(int, line.split())) for line in file)
        expected = sorted((one.container_id, one.host_id, one.size) for one in maps)
        if seen != expected:
            yield Difference(
                f"/linux/{kind}Mappings",
                f"{kind} map",
                expected=_rows(expected),
                found=_rows(seen),
            )


def _rows(rows: Sequence[tuple[int, ...]]) -> str:
    return ", ".join(" ".join(map(str, row)) for row in rows) or "none"


def _privileges(view: _View) -> Iterator[Difference]:
    """Find what the program has beyond its configuration.

    Before the start the process is the init, which keeps what it needs for its last steps.
    """
    process, status = view.config.process, view.status
    started = view.container.directory.open_gate()
    if started >= 0:
        os.close(started)
        return
    sets = process.capabilities
    for field, name in SETS:
        names = (getattr(sets, name) if sets is not None else ()) or ()
        allowed = sum(1 << CAPABILITIES[one] for one in names if one in CAPABILITIES)
        more = int(status[field], 16) & ~allowed
        if more:
            surplus = ", ".join(one for one, number in CAPABILITIES.items() if more >> number & 1)
            yield Difference(
                f"/process/capabilities/{name}",
                f"{name} capabilities",
                expected="none but those listed",
                found=f"also {surplus}",
            )
    if process.no_new_privileges and status.get("NoNewPrivs") != "1":
        yield Difference("/process/noNewPrivileges", "no_new_privs", expected="set", found="clear")
    if view.config.linux.seccomp is not None and status.get("Seccomp") != FILTERED:
        yield Difference("/linux/seccomp", "system call filter", expected="loaded", found="none")


def _mounts(view: _View) -> Iterator[Difference]:
    """Compare the last mount on each destination: its type and the flags that protect."""
    last = {os.path.normpath(mount.destination): mount for mount in view.config.mounts}
    for path, mount in last.items():
        entry = view.mount_on(path)
        options = parse_mount_options(mount)
        subject = f"mount on {path}"
        if entry is None:
            yield Difference(mount.pointer, subject, expected="mounted", found="absent")
            continue
        if not options.bind and mount.type and not _same_type(mount.type, entry.type):
            yield Difference(mount.pointer, subject, expected=mount.type, found=entry.type)
            continue
        if path != "/" and not entry.point.rstrip("/").endswith(path.rstrip("/")):
            # A link of the image may lead elsewhere; then at least a mount must begin there.
            resolved = view.stat(path)
            if resolved is not None and not stat.S_ISLNK(resolved.st_mode):
                yield Difference(mount.pointer, subject, expected="mounted", found="nothing")
                continue
        missing = [
            word
            for flag, word in PROTECTING
            if options.flags & flag and word not in (*entry.attributes, *entry.options)
        ]
        if missing:
            yield Difference(
                f"{mount.pointer}/options",
                subject,
                expected=",".join(missing),
                found=",".join(entry.attributes),
            )


def _same_type(wanted: str, found: str) -> bool:
    aliases = {"cgroup": ("cgroup", "cgroup2", "tmpfs"), "cgroup2": ("cgroup2", "cgroup", "tmpfs")}
    return found in aliases.get(wanted, (wanted,)) or found.startswith(f"{wanted}.")


def _root(view: _View) -> Iterator[Difference]:
    root = view.config.root
    if not root.readonly or view.config.linux.namespace("mount") is None:
        return
    entry = view.mount_on("/")
    if entry is not None and "ro" not in entry.attributes:
        yield Difference("/root/readonly", "root file system", expected="ro", found="rw")


def _masks(view: _View) -> Iterator[Difference]:
    """Look for the covers: something empty on a masked path, a read-only mount on the others."""
    linux = view.config.linux
    for kind, paths in (("masked", linux.masked_paths), ("readonly", linux.readonly_paths)):
        for index, path in enumerate(paths):
            entry = view.mount_on(path)
            if entry is None:
                continue
            pointer = f"/linux/{kind}Paths/{index}"
            if kind == "readonly":
                if not {"ro"} & {*entry.attributes, *entry.options}:
                    yield Difference(pointer, path, expected="ro", found="rw")
            elif not _is_mask(view, path, entry):
                yield Difference(pointer, path, expected="masked", found=f"visible ({entry.type})")


def _is_mask(view: _View, path: str, entry: mountinfo.Entry) -> bool:
    facts = view.stat(path)
    if facts is None:
        return True
    if stat.S_ISCHR(facts.st_mode):
        return facts.st_rdev == os.makedev(1, 3)
    return stat.S_ISDIR(facts.st_mode) and entry.type == "tmpfs" and "ro" in entry.attributes


def _devices(view: _View) -> Iterator[Difference]:
    for device in view.config.linux.devices:
        facts = view.stat(device.path)
        subject = f"device {device.path}"
        if facts is None:
            yield Difference(device.pointer, subject, expected="present", found="absent")
        elif device.type in ("b", "c", "u"):
            number = os.makedev(device.major or 0, device.minor or 0)
            kind = stat.S_ISBLK if device.type == "b" else stat.S_ISCHR
            if not kind(facts.st_mode) or facts.st_rdev != number:
                major, minor = os.major(facts.st_rdev), os.minor(facts.st_rdev)
                yield Difference(
                    device.pointer,
                    subject,
                    expected=f"{device.type} {device.major}:{device.minor}",
                    found=f"{major}:{minor}, mode {facts.st_mode:o}",
                )


def _cgroups(view: _View) -> Iterator[Difference]:
    """Values of the control files; `update` has changed what is stored."""
    from pyrunc import jsontext
    from pyrunc.spec.config import parse_resources

    container = view.container
    stored = container.state.get("resources") or {}
    wanted = parse_resources(jsontext.encode(stored).encode(), source="the stored resources")
    manager = container.cgroup()
    try:
        for line in manager.diff(None, wanted):
            path, _, values = line.partition(": ")
            before, arrow, after = values.partition(" -> ")
            if arrow and path.startswith("/"):
                yield Difference("/linux/resources", path, expected=after, found=before or "unset")
        inside = set(manager.pids())
    except (Failure, OSError) as failure:
        yield Difference("/linux/resources", "cgroups", expected="readable", found=str(failure))
        return
    finally:
        manager.close()
    if manager.members and view.pid not in inside:
        yield Difference(
            "/linux/cgroupsPath", "init", expected="in the container's cgroup", found="elsewhere"
        )


def _descriptors(view: _View) -> Iterator[Difference]:
    """Open files of the init that lie on no mount of the container: they lead out of it.

    Standard descriptors may be files of the caller, and those of --preserve-fds are asked for; a
    program of the image cannot open such a file itself.
    """
    if view.config.linux.namespace("mount") is None:
        return
    for name in sorted(os.listdir(f"/proc/{view.pid}/fd"), key=int):
        if int(name) < 3:
            continue
        try:
            target = os.readlink(f"/proc/{view.pid}/fd/{name}")
            with open(f"/proc/{view.pid}/fdinfo/{name}", encoding="ascii") as file:
                rows = dict(line.split(":", 1) for line in file if line.startswith("mnt_id"))
        except FileNotFoundError:  # closed meanwhile
            continue
        mount = int(rows.get("mnt_id", "0"))
        if mount in view.mounts or target.startswith(ANONYMOUS) or _is_ours(view, target):
            continue
        yield Difference(
            "/process", f"descriptor {name}", expected="a file of the container", found=target
        )


def _is_ours(view: _View, target: str) -> bool:
    """Whether it is a fifo of the state directory, which the waiting init holds."""
    return target.endswith(("/exec.fifo", "/report.fifo")) and f"/{view.container.id}/" in target


CHECKS = (
    _namespaces,
    _id_maps,
    _privileges,
    _root,
    _mounts,
    _masks,
    _devices,
    _cgroups,
    _descriptors,
)
