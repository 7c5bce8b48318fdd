# SPDX-License-Identifier: Apache-2.0
"""Bundles for tests: a busybox root file system and a config.json that is a plain dictionary."""

from __future__ import annotations

import copy
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

BUSYBOX = Path("/bin/busybox")
MOST_LINKS = 60000
DIRECTORIES = ("proc", "sys", "dev", "tmp", "etc", "root", "bin", "home", "var", "mnt")
PASSWD = "root:x:0:0:root:/root:/bin/sh\nworker:x:1000:1000::/home/worker:/bin/sh\n"
GROUP = "root:x:0:\nworker:x:1000:\n"
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
DEFAULT_CAPABILITIES = ("CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE")
CAPABILITY_SETS = ("bounding", "effective", "inheritable", "permitted", "ambient")

MOUNTS: tuple[dict[str, Any], ...] = (
    {"destination": "/proc", "type": "proc", "source": "proc"},
    {
        "destination": "/dev",
        "type": "tmpfs",
        "source": "tmpfs",
        "options": ["nosuid", "strictatime", "mode=755", "size=65536k"],
    },
    {
        "destination": "/dev/pts",
        "type": "devpts",
        "source": "devpts",
        "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
    },
    {
        "destination": "/dev/shm",
        "type": "tmpfs",
        "source": "shm",
        "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"],
    },
    {
        "destination": "/sys",
        "type": "sysfs",
        "source": "sysfs",
        "options": ["nosuid", "noexec", "nodev", "ro"],
    },
)


class Config(dict[str, Any]):
    """The config.json of one bundle as a dictionary, with the bundle's place and short cuts."""

    def __init__(self, bundle: Path, values: dict[str, Any]) -> None:
        super().__init__(values)
        self.bundle = bundle
        self.rootfs = bundle / "rootfs"

    @property
    def process(self) -> dict[str, Any]:
        found: dict[str, Any] = self["process"]
        return found

    @property
    def linux(self) -> dict[str, Any]:
        found: dict[str, Any] = self["linux"]
        return found

    def write(self) -> None:
        """Write config.json."""
        (self.bundle / "config.json").write_text(json.dumps(self, indent=1))

    def file(self, path: str, content: str = "", *, mode: int = 0o644) -> Path:
        """A file in the root file system, never one that other bundles share by a hard link."""
        target = self.rootfs / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        target.write_text(content)
        target.chmod(mode)
        return target

    def mount(
        self, destination: str, type: str, source: str | Path = "none", *options: str
    ) -> None:
        """One more mount."""
        entry = {"destination": destination, "type": type, "source": str(source)}
        self["mounts"].append({**entry, "options": list(options)} if options else entry)

    def bind(self, source: str | Path, destination: str, *options: str) -> None:
        """One more bind mount."""
        self.mount(destination, "bind", source, *(options or ("bind",)))

    def without_mount(self, destination: str) -> None:
        """Drop the mounts on a destination."""
        self["mounts"] = [entry for entry in self["mounts"] if entry["destination"] != destination]

    def namespace(self, kind: str, path: str | Path = "") -> None:
        """Ask for a namespace, a new one or one to join."""
        self.without_namespace(kind)
        self.linux["namespaces"].append(
            {"type": kind, "path": str(path)} if path else {"type": kind}
        )

    def without_namespace(self, *kinds: str) -> None:
        """Share these namespaces with the host."""
        kept = [entry for entry in self.linux["namespaces"] if entry["type"] not in kinds]
        self.linux["namespaces"] = kept

    def user_namespace(self, host_id: int = 100000, size: int = 65536) -> None:
        """A user namespace with ids 0.. at host_id..; the root file system is given to its root."""
        self.namespace("user")
        mapping = [{"containerID": 0, "hostID": host_id, "size": size}]
        self.linux["uidMappings"] = self.linux["gidMappings"] = mapping
        for directory, names, files in os.walk(self.rootfs):
            own = (name for name in names + files if Path(directory).name != "bin")
            for path in (directory, *(os.path.join(directory, name) for name in own)):
                os.chown(path, host_id, host_id, follow_symlinks=False)

    def capabilities(self, *names: str, **sets: list[str]) -> None:
        """The same names in bounding, effective and permitted, or each set by its name."""
        usual = {kind: list(names) for kind in ("bounding", "effective", "permitted")}
        self.process["capabilities"] = sets or usual

    def hook(self, kind: str, *args: str | Path, **more: Any) -> None:
        """One more hook; the first argument is its path."""
        argv = [str(arg) for arg in args]
        hooks = self.setdefault("hooks", {}).setdefault(kind, [])
        hooks.append({"path": argv[0], "args": argv, **more})


def make_base(directory: Path) -> Path:
    """The root file system that bundles are linked from: busybox and its applets."""
    for name in DIRECTORIES:
        (directory / name).mkdir(parents=True)
    shutil.copy(BUSYBOX, directory / "bin/busybox")
    applets = subprocess.run([BUSYBOX, "--list"], capture_output=True, text=True, check=True).stdout
    for name in applets.split():
        if name != "busybox":
            os.link(directory / "bin/busybox", directory / "bin" / name)
    return directory


def make_bundle(base: Path, directory: Path) -> Config:
    """A bundle with a root file system of its own; only busybox is shared, by hard links."""
    rootfs = directory / "rootfs"
    for name in DIRECTORIES:
        (rootfs / name).mkdir(parents=True)
    (rootfs / "tmp").chmod(0o1777)
    for path in (directory, rootfs):
        path.chmod(0o755)
    link_busybox(base / "bin", rootfs / "bin")
    config = Config(directory, default_values())
    config.file("etc/passwd", PASSWD)
    config.file("etc/group", GROUP)
    return config


def link_busybox(source: Path, target: Path) -> None:
    """Fill a bin directory; an inode takes some 65000 links, then a new copy begins."""
    binary = source / "busybox"
    if binary.stat().st_nlink > MOST_LINKS:
        fresh = source / "busybox.new"
        shutil.copy(BUSYBOX, fresh)
        fresh.replace(binary)
    for name in os.listdir(source):
        os.link(binary, target / name)


def default_values() -> dict[str, Any]:
    """A config as engines write it, without what a test would have to know about."""
    return {
        "ociVersion": "1.0.2",
        "root": {"path": "rootfs"},
        "hostname": "box",
        "process": {
            "terminal": False,
            "user": {"uid": 0, "gid": 0},
            "args": ["true"],
            "env": [PATH],
            "cwd": "/",
            "capabilities": {
                kind: list(DEFAULT_CAPABILITIES) for kind in ("bounding", "effective", "permitted")
            },
            "noNewPrivileges": True,
        },
        "mounts": copy.deepcopy(list(MOUNTS)),
        "linux": {
            "namespaces": [
                {"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount", "cgroup")
            ],
        },
    }
