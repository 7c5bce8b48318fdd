# SPDX-License-Identifier: Apache-2.0
"""The bundles: small ones, and one as Docker writes it (seccomp profile, masks, devices)."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

BUSYBOX = Path("/bin/busybox")
PROFILE = Path(__file__).parent.parent / "tests/seccomp/profiles/docker-default.json"
CAPABILITIES = [
    "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW",
    "CAP_SETGID", "CAP_SETUID", "CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT", "CAP_KILL", "CAP_AUDIT_WRITE",
]  # fmt: skip
MASKED = [
    "/proc/asound", "/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
    "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware",
    "/sys/devices/virtual/powercap",
]  # fmt: skip
READONLY = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]


def mount(destination: str, kind: str, *options: str) -> dict[str, Any]:
    return {"destination": destination, "type": kind, "source": kind, "options": list(options)}


MOUNTS = [
    mount("/proc", "proc", "nosuid", "noexec", "nodev"),
    mount("/dev", "tmpfs", "nosuid", "strictatime", "mode=755", "size=65536k"),
    mount("/dev/pts", "devpts", "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"),
    mount("/sys", "sysfs", "nosuid", "noexec", "nodev", "ro"),
    mount("/sys/fs/cgroup", "cgroup", "ro", "nosuid", "noexec", "nodev"),
    mount("/dev/mqueue", "mqueue", "nosuid", "noexec", "nodev"),
    mount("/dev/shm", "tmpfs", "nosuid", "noexec", "nodev", "mode=1777", "size=65536k"),
]  # fmt: skip


def configuration(*, arguments: list[str], docker: bool) -> dict[str, Any]:
    capabilities = {kind: CAPABILITIES for kind in ("bounding", "effective", "permitted")}
    linux: dict[str, Any] = {
        "namespaces": [{"type": kind} for kind in ("mount", "network", "uts", "pid", "ipc")],
        "maskedPaths": MASKED if docker else MASKED[:3],
        "readonlyPaths": READONLY,
        "resources": {"devices": [{"allow": False, "access": "rwm"}]},
    }
    if docker:
        linux["seccomp"] = json.loads(PROFILE.read_text())
        linux["resources"]["devices"] += [
            {"allow": True, "type": "c", "major": major, "minor": minor, "access": "rwm"}
            for major, minor in ((1, 5), (1, 3), (1, 9), (1, 8), (5, 0), (5, 1))
        ]
        linux["resources"]["memory"] = {"disableOOMKiller": False}
        linux["resources"]["pids"] = {"limit": 4096}
    return {
        "ociVersion": "1.0.2",
        "process": {
            "user": {"uid": 0, "gid": 0},
            "args": arguments,
            "env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOSTNAME=bench"],
            "cwd": "/",
            "capabilities": capabilities,
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
            "noNewPrivileges": True,
        },
        "root": {"path": "rootfs", "readonly": not docker},
        "hostname": "bench",
        "mounts": MOUNTS if docker else MOUNTS[:4],
        "linux": linux,
    }


def make(directory: Path) -> dict[str, Path]:
    """``sleep``, ``true`` and ``docker``: name -> bundle."""
    rootfs = directory / "rootfs"
    for name in ("bin", "proc", "sys", "dev", "tmp", "etc"):
        (rootfs / name).mkdir(parents=True)
    shutil.copy(BUSYBOX, rootfs / "bin/busybox")
    for name in ("true", "sleep", "sh"):
        (rootfs / "bin" / name).symlink_to("busybox")
    bundles = {}
    wanted = (
        ("sleep", "sleep 3600", False),
        ("true", "true", False),
        ("docker", "sleep 3600", True),
    )
    for name, arguments, docker in wanted:
        bundle = directory / name
        bundle.mkdir()
        config = configuration(arguments=arguments.split(), docker=docker)
        config["root"]["path"] = str(rootfs)
        # Indented as engines' pretty printers do: some 45 KB with the profile.
        (bundle / "config.json").write_text(json.dumps(config, indent=8 if docker else 1))
        bundles[name] = bundle
    return bundles
