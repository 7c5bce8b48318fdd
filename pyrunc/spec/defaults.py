# SPDX-License-Identifier: Apache-2.0
"""What `pyrunc spec` writes, and its conversion for a user without privileges. PURE."""

from __future__ import annotations

from pyrunc.spec.constants import VERSION_MAX

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

CAPABILITIES = ("CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE")

# destination, type, source, options
MOUNTS = (
    ("/proc", "proc", "proc", ""),
    ("/dev", "tmpfs", "tmpfs", "nosuid,strictatime,mode=755,size=65536k"),
    ("/dev/pts", "devpts", "devpts", "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5"),
    ("/dev/shm", "tmpfs", "shm", "nosuid,noexec,nodev,mode=1777,size=65536k"),
    ("/dev/mqueue", "mqueue", "mqueue", "nosuid,noexec,nodev"),
    ("/sys", "sysfs", "sysfs", "nosuid,noexec,nodev,ro"),
    ("/sys/fs/cgroup", "cgroup", "cgroup", "nosuid,noexec,nodev,relatime,ro"),
)
ROOTLESS_SYS = ("/sys", "none", "/sys", "rbind,nosuid,noexec,nodev,ro")

NAMESPACES = ("pid", "network", "ipc", "uts", "mount")

MASKED_PATHS = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/sys/firmware",
    "/proc/scsi",
    # Power readings and interrupt counts are side channels; the engines mask these as well.
    "/proc/interrupts",
    "/sys/devices/virtual/powercap",
)
READONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")


def default_config(*, hostname: str = "pyrunc", cgroup_version: int = 2) -> dict[str, Any]:
    """Return the template, as JSON values; with cgroup v2 it has a cgroup namespace."""
    namespaces = [*NAMESPACES, *(("cgroup",) if cgroup_version == 2 else ())]
    return {
        "ociVersion": VERSION_MAX,
        "process": {
            "terminal": True,
            "user": {"uid": 0, "gid": 0},
            "args": ["sh"],
            "env": [PATH, "TERM=xterm"],
            "cwd": "/",
            "capabilities": {
                kind: list(CAPABILITIES) for kind in ("bounding", "effective", "permitted")
            },
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
            "noNewPrivileges": True,
        },
        "root": {"path": "rootfs", "readonly": True},
        "hostname": hostname,
        "mounts": [_mount(*row) for row in MOUNTS],
        "linux": {
            "resources": {"devices": [{"allow": False, "access": "rwm"}]},
            "namespaces": [{"type": kind} for kind in namespaces],
            "maskedPaths": list(MASKED_PATHS),
            "readonlyPaths": list(READONLY_PATHS),
        },
    }


def rootless_config(config: dict[str, Any], *, euid: int, egid: int) -> dict[str, Any]:
    """Return the template for a user without privileges.

    One id is mapped, and the host's network is shared.

    A network namespace would have no interface but lo, and a sysfs may only be mounted by who owns
    the network namespace: the host's /sys is bound instead. Group 5 (tty) is not mapped.
    """
    linux = dict(config["linux"])
    kinds = [entry for entry in linux["namespaces"] if entry.get("type") not in ("network", "user")]
    linux["namespaces"] = [*kinds, {"type": "user"}]
    linux["uidMappings"] = [{"containerID": 0, "hostID": euid, "size": 1}]
    linux["gidMappings"] = [{"containerID": 0, "hostID": egid, "size": 1}]
    linux.pop("resources", None)
    mounts = [_rootless_mount(mount) for mount in config["mounts"]]
    return {**config, "mounts": mounts, "linux": linux}


def _mount(destination: str, kind: str, source: str, options: str) -> dict[str, Any]:
    mount: dict[str, Any] = {"destination": destination, "type": kind, "source": source}
    if options:
        mount["options"] = options.split(",")
    return mount


def _rootless_mount(mount: dict[str, Any]) -> dict[str, Any]:
    if mount.get("destination") == "/sys":
        return _mount(*ROOTLESS_SYS)
    options = [
        option for option in mount.get("options") or () if not option.startswith(("uid=", "gid="))
    ]
    return {**mount, "options": options} if options else mount
