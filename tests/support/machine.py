# SPDX-License-Identifier: Apache-2.0
"""What a test may leave on the machine: nothing.

Snapshots of everything that a container can leave, and their difference. The test process has a
mount namespace of its own and is a child subreaper, so a mount that is new in it and a process
that has become its child were left by the test and by nobody else. Names of cgroups and files
carry the session's token; with ``CI`` set the machine is ours alone and every new name counts.
"""

from __future__ import annotations

import ctypes
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from conformance import hierarchies

TOKEN = f"pt{os.getpid()}"

OTHER_SESSION = re.compile(r"\bpt[0-9]+-[0-9]+\b")

CLONE_NEWNS = 0x20000
MS_REC, MS_PRIVATE = 0x4000, 1 << 18
PR_SET_CHILD_SUBREAPER = 36
CGROUPS = Path("/sys/fs/cgroup")
SHARED_DIRECTORIES = ("/tmp", "/var/tmp", "/run", "/dev/shm", "/run/pyrunc", "/run/netns")
LIBC = ctypes.CDLL(None, use_errno=True)


def check(result: int, what: str) -> None:
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{what}: {os.strerror(error)}")


def mount(
    source: str, target: str | Path, fstype: str = "", flags: int = 0, data: str = ""
) -> None:
    """mount(2)."""
    check(
        LIBC.mount(
            source.encode(),
            str(target).encode(),
            fstype.encode() or None,
            flags,
            data.encode() or None,
        ),
        f"mount {target}",
    )


def unmount(target: str | Path) -> None:
    """umount2(2), lazily."""
    check(LIBC.umount2(str(target).encode(), 2), f"umount {target}")


def is_mount_point(target: Path) -> bool:
    """Whether something is mounted on exactly this path, even a bind of itself."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return any(line.split()[4] == str(target) for line in lines)


def isolate() -> None:
    """Give this process a private mount namespace and make orphans of containers its children."""
    check(LIBC.unshare(CLONE_NEWNS), "unshare")
    mount("none", "/", flags=MS_REC | MS_PRIVATE)
    check(LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "prctl")
    hierarchies.mount_here()


def rejoin() -> None:
    """Give up the hierarchy that only this session has used."""
    hierarchies.unmount_here()


def children() -> dict[int, str]:
    """The living children of this process with the program that each runs."""
    found = {}
    for pid in Path("/proc/self/task", str(os.getpid()), "children").read_text().split():
        try:
            state = Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()[0]
            if state not in "ZX":
                found[int(pid)] = Path("/proc", pid, "comm").read_text().strip()
        except (FileNotFoundError, ProcessLookupError):  # it ended while we looked
            continue
    return found


def children_and_dead() -> set[int]:
    """All children of this process, also those that have ended."""
    text = Path("/proc/self/task", str(os.getpid()), "children").read_text()
    return {int(pid) for pid in text.split()}


def descriptors() -> set[tuple[int, str]]:
    """The open descriptors of this process with what each is; those of the listing are gone."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):
            found.add((int(name), os.readlink(f"/proc/self/fd/{name}")))
    return found


def reap() -> None:
    """Collect the dead that have become our children."""
    for pid in Path("/proc/self/task", str(os.getpid()), "children").read_text().split():
        try:
            os.waitpid(int(pid), os.WNOHANG)
        except ChildProcessError:
            continue


def mounts() -> frozenset[str]:
    """The mount table without the ids, which move when anything is mounted."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return frozenset(" ".join(line.split()[2:]) for line in lines)


def cgroups() -> frozenset[str]:
    """Every cgroup of every hierarchy."""
    found = []
    for directory, names, _ in os.walk(CGROUPS):
        found += [os.path.join(directory, name) for name in names]
    return frozenset(found)


def names() -> frozenset[str]:
    """The names in the directories that programs share."""
    found = []
    for directory in SHARED_DIRECTORIES:
        if os.path.isdir(directory):
            found += [os.path.join(directory, name) for name in os.listdir(directory)]
    return frozenset(found)


def abstract_sockets() -> frozenset[str]:
    """Names of abstract sockets: any process of the network namespace could connect to one."""
    lines = Path("/proc/net/unix").read_text().splitlines()[1:]
    return frozenset(line.split()[7] for line in lines if len(line.split()) > 7 and " @" in line)


def devices() -> frozenset[str]:
    """Owner and mode of the host's devices that every container is given: none may have changed."""
    found = []
    for name in ("null", "zero", "full", "random", "urandom", "tty"):
        node = os.stat(f"/dev/{name}")
        found.append(f"/dev/{name} {node.st_uid}:{node.st_gid} {node.st_mode:o}")
    return frozenset(found)


def ours(name: str) -> bool:
    """Whether a new name comes from this session: by its token, or because nobody else is here."""
    if TOKEN in name or "pyrunc-init" in name:
        return True
    return bool(os.environ.get("CI")) and not OTHER_SESSION.search(name)


def kept(mount: str) -> bool:
    """Whether only we can have lost a mount; that of another program goes with its directory."""
    return mount.split()[2].startswith(("/sys", "/proc", "/dev", "/tmp/pytest-of-"))


@dataclass
class Snapshot:
    """The state of the machine at one moment."""

    mounts: frozenset[str] = field(default_factory=mounts)
    cgroups: frozenset[str] = field(default_factory=cgroups)
    names: frozenset[str] = field(default_factory=names)
    sockets: frozenset[str] = field(default_factory=abstract_sockets)
    children: dict[int, str] = field(default_factory=children)
    devices: frozenset[str] = field(default_factory=devices)

    def leftovers(self, *, patience_s: float = 2.0) -> list[str]:
        """What is there now and was not then. A process that is just dying gets a moment."""
        deadline = time.monotonic() + patience_s
        while True:
            reap()
            found = self._difference()
            if not found or time.monotonic() > deadline:
                return found
            time.sleep(0.02)

    def _difference(self) -> list[str]:
        now = Snapshot()
        new = [
            *(f"mount {line}" for line in sorted(now.mounts - self.mounts)),
            *(f"lost mount {line}" for line in sorted(self.mounts - now.mounts) if kept(line)),
            *(f"changed device {line}" for line in sorted(now.devices - self.devices)),
            *(f"cgroup {path}" for path in sorted(now.cgroups - self.cgroups) if ours(path)),
            *(f"file {path}" for path in sorted(now.names - self.names) if ours(path)),
            *(
                f"abstract socket {name}"
                for name in sorted(now.sockets - self.sockets)
                if ours(name)
            ),
            *(
                f"process {pid} ({now.children[pid]})"
                for pid in sorted(now.children.keys() - self.children)
            ),
        ]
        return new


@contextmanager
def tidied_peer() -> Iterator[None]:
    """Remove what a peer makes below the cgroup hierarchies and leaves.

    runc leaves cgroups after a create that failed. Where a hierarchy is not mounted at its usual
    place, crun makes directories and files of the tmpfs there. In a user namespace crun 1.8 gives
    the host's /dev/null away when that is its standard input.
    """
    before, null = cgroups(), os.stat("/dev/null")
    try:
        yield
    finally:
        os.chown("/dev/null", null.st_uid, null.st_gid)
        _remove_new(before)


def _remove_new(before: frozenset[str]) -> None:
    for path in sorted(cgroups() - before, key=len, reverse=True):
        with suppress(OSError):  # in a real cgroup no file can be removed
            if TOKEN in path:
                os.unlink(os.path.join(path, "cgroup.procs"))
        with suppress(OSError):  # another program's
            if TOKEN in path or not os.listdir(path):
                os.rmdir(path)


def remove_cgroups(token: str = TOKEN) -> None:
    """Remove the cgroups that a failed test left, deepest first."""
    for path in sorted(cgroups(), key=len, reverse=True):
        if token in path:
            try:
                os.rmdir(path)
            except OSError:  # still populated; the report has named it
                continue
