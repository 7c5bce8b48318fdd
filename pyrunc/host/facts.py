# SPDX-License-Identifier: Apache-2.0
"""Facts about the kernel and the caller, each asked for once, and only when it is needed."""

from __future__ import annotations

import posix

from pyrunc.errors import HostError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

IDENTITY = (0, 0, 4294967295)  # uid_map of the initial user namespace
APPARMOR = "/sys/module/apparmor/parameters/enabled"
APPARMOR_ATTR = "/proc/self/attr/apparmor"  # since Linux 5.1; elsewhere the one place of all labels
SELINUX = "/sys/fs/selinux/enforce"
LSMS = "/sys/kernel/security/lsm"


def read(path: str, *, limit: int = 65536) -> str:
    """Read a small file of the kernel; empty when it is absent or hidden."""
    try:
        fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError:
        return ""
    try:
        return posix.read(fd, limit).decode("utf-8", "surrogateescape")
    except OSError:  # some files of /sys open and refuse to be read
        return ""
    finally:
        posix.close(fd)


def exists(path: str) -> bool:
    try:
        posix.stat(path)
    except OSError:
        return False
    return True


def _in_userns() -> bool:
    """Return whether the caller is in a user namespace; HostError when that cannot be told.

    To take no answer for "yes" would bind the host's devices where nodes were asked for.
    """
    words = read("/proc/self/uid_map").split("\n")[0].split()
    if not words:
        raise HostError("cannot read the caller's user namespace from /proc/self/uid_map")
    return tuple(map(int, words)) != IDENTITY


def _kernel() -> tuple[int, int]:
    major, minor = posix.uname().release.split(".")[:2]
    return int(major), int("".join(char for char in minor if char.isdigit()) or 0)


def _permitted() -> int:
    """Return the caller's permitted capabilities; HostError when they cannot be told.

    To take the answer for "none" would start a container with fewer than it asks for.
    """
    for line in read("/proc/self/status").split("\n"):
        if line.startswith("CapPrm:"):
            return int(line[7:], 16)
    raise HostError("cannot read the caller's capabilities from /proc/self/status")


def _last_cap() -> int:
    return int(read("/proc/sys/kernel/cap_last_cap") or 40)  # 40: CAP_CHECKPOINT_RESTORE, Linux 5.9


def _apparmor_attr() -> str:
    return "attr/apparmor/exec" if exists(APPARMOR_ATTR) else "attr/exec"


def _landlock() -> int:
    from pyrunc.host import syscalls

    try:
        return syscalls.landlock_abi()
    except OSError:  # not built in, or not in lsm= of the command line
        return 0


PROBES: dict[str, Callable[[], object]] = {
    "euid": posix.geteuid,
    "egid": posix.getegid,
    "in_userns": _in_userns,
    "setgroups_denied": lambda: read("/proc/self/setgroups").strip() == "deny",
    "permitted": _permitted,
    "last_cap": _last_cap,
    "kernel": _kernel,
    "apparmor": lambda: read(APPARMOR)[:1] == "Y",
    "selinux": lambda: exists(SELINUX),
    "apparmor_attr": _apparmor_attr,
    "kcore": lambda: exists("/proc/kcore"),
    "landlock": _landlock,
    "lsms": lambda: tuple(read(LSMS).strip().split(",")),
}


class Host:
    """What a plan depends on besides config.json. Given facts make plans for other hosts.

    euid, egid        of the caller
    in_userns         the caller's user namespace is not the initial one
    setgroups_denied  the caller's user namespace forbids setgroups
    permitted         the caller's permitted capabilities, as a bit mask
    last_cap          number of the last capability that the kernel knows
    kernel            (major, minor)
    apparmor, selinux the module is active
    apparmor_attr     the file below /proc/thread-self that takes an AppArmor profile
    kcore             /proc/kcore exists
    landlock          the ABI of Landlock, 0 without it
    """

    __slots__ = ("_facts",)

    if TYPE_CHECKING:
        euid: int
        egid: int
        in_userns: bool
        setgroups_denied: bool
        permitted: int
        last_cap: int
        kernel: tuple[int, int]
        apparmor: bool
        selinux: bool
        apparmor_attr: str
        kcore: bool
        landlock: int
        lsms: tuple[str, ...]

    def __init__(self, **facts: Any) -> None:
        self._facts = facts

    def __getattr__(self, name: str) -> Any:
        facts = self._facts
        if name not in facts:
            if name not in PROBES:
                raise AttributeError(name)
            facts[name] = PROBES[name]()
        return facts[name]

    @property
    def rootless(self) -> bool:
        """The caller is not the machine's root: not root, or root of a user namespace only."""
        return self.euid != 0 or self.in_userns


def probe() -> Host:
    """Return the facts of this host; nothing is read before it is asked for."""
    return Host()
