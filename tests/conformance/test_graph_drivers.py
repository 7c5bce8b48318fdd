# SPDX-License-Identifier: Apache-2.0
"""Roots as the graph drivers of engines give them: file systems in loop devices, and layers."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from tests.support.bundle import Config
from tests.support.runtime import Runtime
from tests.support.types import Create, Run
from tests.support.wait import until
from tests.vm import images

PACKAGES = (
    "e2fsprogs",
    "btrfs-progs",
    "xfsprogs",
    "erofs-utils",
    "squashfs-tools",
    "fuse-overlayfs",
    "fuse3",
    "dmsetup",
)
PROGRAMS = (
    "mkfs.ext4",
    "mkfs.btrfs",
    "mkfs.xfs",
    "mkfs.erofs",
    "mksquashfs",
    "fuse-overlayfs",
    "fusermount3",
    "dmsetup",
)
IN_GUEST = bool(os.environ.get("IN_GUEST"))
MODULES = ("loop", "btrfs", "xfs", "erofs", "squashfs", "fuse", "dm-thin-pool")  # a guest's
SIZE_MIB = 320  # the least that xfs accepts is 300
ID = 100000  # of the container's root in a user namespace
MAKERS = {
    "ext4": ("mkfs.ext4", "-q", "-F"),
    "xfs": ("mkfs.xfs", "-q", "-f"),
    "btrfs": ("mkfs.btrfs", "-q", "-f"),
}
LAYERS = ("overlay", "overlay-on-erofs", "overlay-on-squashfs", "fuse-overlayfs")
ALL = (*MAKERS, "btrfs-subvolume", "thin-device", "vfs", *LAYERS)
SECTOR = 512
DMSETUP = ("env", "DM_DISABLE_UDEV=1", "dmsetup")  # which then makes the nodes itself
POOL, THIN = "graphpool", "graphthin"

pytestmark = [pytest.mark.root, pytest.mark.slow]
Mounted = Callable[..., Path]


def printed(*argv: str | Path) -> str:
    """Run a command that must succeed, and return what it prints."""
    words = [str(word) for word in argv]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}{done.stdout}"
    return done.stdout.strip()


def command(*argv: str | Path) -> None:
    """Run a command that must succeed."""
    printed(*argv)


def unmounted(point: Path) -> bool:
    """Whether a file system could be unmounted."""
    return subprocess.run(["umount", point], capture_output=True, check=False).returncode == 0


@pytest.fixture(scope="module", autouse=True)
def _programs() -> None:
    """What makes the file systems."""
    if IN_GUEST:
        for module in MODULES:
            subprocess.run(["modprobe", "-q", module], check=False)
    elif not all(map(shutil.which, PROGRAMS)):
        images.install_on_host(PACKAGES)
    if not all(map(shutil.which, PROGRAMS)):
        pytest.skip("guests have no network to fetch programs")


@pytest.fixture
def mounted(workspace: Path) -> Iterator[Mounted]:
    """Mount; everything is unmounted after the test, the last first."""
    points: list[Path] = []

    def mount(name: str, *argv: str | Path) -> Path:
        """Run a command of which the last word is to be a new directory below the workspace."""
        point = workspace / name
        point.mkdir()
        command(*argv, point)
        points.append(point)
        return point

    yield mount
    for point in reversed(points):
        # What serves a file system of user space ends a little after it, and has its layers open.
        until(partial(unmounted, point), f"{point} is in use by nobody")
    if IN_GUEST:
        for device in (THIN, POOL):
            subprocess.run([*DMSETUP, "remove", device], check=False)
        subprocess.run(["losetup", "-D"], check=False)


@dataclass(frozen=True)
class Drivers:
    """Makes roots from the root of a bundle, as the graph drivers of engines do."""

    mount: Mounted
    workspace: Path
    config: Config

    def use(self, kind: str) -> Path:
        """Give the bundle a root of a kind; returns it."""
        if kind in MAKERS:
            path = self.filled(self.disk(kind))
        elif kind in LAYERS:
            path = self.layered(kind)
        else:
            others = {"btrfs-subvolume": self.subvolume, "thin-device": self.thin}
            path = others.get(kind, self.copied)()
        self.config["root"]["path"] = str(path)
        return path

    def filled(self, root: Path) -> Path:
        command("cp", "-a", f"{self.config.rootfs}/.", root)
        return root

    def copied(self) -> Path:
        (self.workspace / "copy").mkdir()
        return self.filled(self.workspace / "copy")

    def blank(self, name: str, size_mib: int) -> Path:
        file = self.workspace / name
        with file.open("wb") as stream:
            stream.truncate(size_mib << 20)
        return file

    def thin(self) -> Path:
        """Return an ext4 on a thin device of a pool, as the device mapper's driver makes it."""
        if not IN_GUEST:
            pytest.skip("a kernel of our own: pools are the machine's")
        sizes = {"data": SIZE_MIB, "metadata": 8}
        loops = {
            name: printed("losetup", "-f", "--show", self.blank(name, size))
            for name, size in sizes.items()
        }
        length = (SIZE_MIB << 20) // SECTOR
        table = f"0 {length} thin-pool {loops['metadata']} {loops['data']} 128 0"
        command(*DMSETUP, "create", POOL, "--table", table)
        command(*DMSETUP, "message", POOL, "0", "create_thin 0")
        table = f"0 {length} thin /dev/mapper/{POOL} 0"
        command(*DMSETUP, "create", THIN, "--table", table)
        command(*MAKERS["ext4"], f"/dev/mapper/{THIN}")
        return self.filled(self.mount("mounted", "mount", f"/dev/mapper/{THIN}"))

    def disk(self, kind: str) -> Path:
        file = self.blank("disk", SIZE_MIB)
        command(*MAKERS[kind], file)
        return self.mount("mounted", "mount", "-o", "loop", file)

    def subvolume(self) -> Path:
        """Return a snapshot of a layer."""
        top = self.disk("btrfs")
        command("btrfs", "-q", "subvolume", "create", top / "layer")
        self.filled(top / "layer")
        command("btrfs", "-q", "subvolume", "snapshot", top / "layer", top / "container")
        return top / "container"

    def image(self, kind: str) -> Path:
        """Return the root as a file system that cannot be written."""
        file = self.workspace / "image"
        if kind == "erofs":
            command("mkfs.erofs", file, self.config.rootfs)
        else:
            command("mksquashfs", self.config.rootfs, file, "-quiet", "-no-progress")
        return self.mount("image.mounted", "mount", "-t", kind, "-o", "loop,ro", file)

    def layered(self, kind: str) -> Path:
        lower = self.image(kind.rpartition("-")[2]) if "-on-" in kind else self.config.rootfs
        top = self.mount("top", "mount", "-t", "tmpfs", "-o", "mode=755", "top")
        for name in ("upper", "work"):
            (top / name).mkdir()
        options = f"lowerdir={lower},upperdir={top}/upper,workdir={top}/work"
        if kind != "fuse-overlayfs":
            return self.mount("merged", "mount", "-t", "overlay", "-o", options, "overlay")
        if not Path("/dev/fuse").exists():
            pytest.skip("a kernel with /dev/fuse")
        return self.mount("merged", "fuse-overlayfs", "-o", options)


@pytest.fixture
def drivers(mounted: Mounted, workspace: Path, config: Config) -> Drivers:
    return Drivers(mounted, workspace, config)


@pytest.mark.parametrize("kind", ALL)
def test_a_life_with_exec(create: Create, config: Config, drivers: Drivers, kind: str) -> None:
    root = drivers.use(kind)
    container = create(config, "sh", "-c", "echo written >/file; exec sleep 100").start()
    result = container.command("exec", "sh", "-c", "until cat /file; do :; done; id -u")
    assert result.ok().stdout == "written\n0\n"
    container.command("kill", "KILL").ok()
    container.wait()
    assert (root / "file").read_text() == "written\n"


@pytest.mark.parametrize("kind", ALL)
def test_a_user_namespace(run: Run, config: Config, drivers: Drivers, kind: str) -> None:
    """The engine has given the root to the container's ids.

    Not each of busybox's names: every link that is changed is a copy of its own on an overlay.
    """
    root = drivers.use(kind)
    os.chown(root, ID, ID)
    for directory, names, files in os.walk(root):
        for path in (Path(directory, name) for name in (*names, *files)):
            if path.is_dir() or path.name == "busybox" or path.lstat().st_nlink == 1:
                os.chown(path, ID, ID, follow_symlinks=False)
    config.user_namespace(ID)
    script = "echo x >/file; stat -c %u /file /bin/busybox"
    assert run(config, "sh", "-c", script).ok().stdout == "0\n0\n"
    assert (root / "file").stat().st_uid == ID


@pytest.mark.parametrize("kind", ALL)
def test_a_read_only_root_and_a_tmpfs_with_what_was_there(
    run: Run, config: Config, drivers: Drivers, kind: str
) -> None:
    config.file("data/file", "content\n")
    drivers.use(kind)
    config["root"]["readonly"] = True
    config.mount("/data", "tmpfs", "tmpfs", "tmpcopyup")
    script = "touch /x 2>/dev/null || echo refused; cat /data/file; touch /data/y && echo made"
    assert run(config, "sh", "-c", script).ok().stdout == "refused\ncontent\nmade\n"


@pytest.mark.parametrize("kind", ["erofs", "squashfs"])
def test_a_root_of_a_file_system_that_cannot_be_written(
    run: Run, config: Config, drivers: Drivers, kind: str
) -> None:
    """Without a layer above: what is mounted on must be there, and is."""
    config["root"] = {"path": str(drivers.image(kind)), "readonly": True}
    assert run(config, "echo", "runs").ok().stdout == "runs\n"


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "overlay-on-erofs", "fuse-overlayfs"])
def test_id_maps_or_the_name_of_the_file_system_that_has_none(
    runtime: Runtime, config: Config, drivers: Drivers, kind: str
) -> None:
    root = drivers.use(kind)
    (root / "volume").mkdir()
    (root / "volume/file").write_text("content")
    config.user_namespace(ID)
    config["root"]["path"] = "rootfs"
    config.bind(root / "volume", "/mnt", "bind", "idmap")
    result = runtime.run(config, "stat", "-c", "%u", "/mnt/file")
    if kind in MAKERS:
        assert result.ok().stdout == "0\n"
    else:
        assert result.status == 1
        assert kind.partition("-")[0] in result.stderr
