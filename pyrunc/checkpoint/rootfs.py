# SPDX-License-Identifier: Apache-2.0
"""The root file system of a container that is restored, made ready for CRIU.

CRIU wants a mount for it, and finds the points of the other mounts in it. All paths are resolved
with the image's root as root, so that a link in it leads to itself only.
"""

from __future__ import annotations

import os
import stat
from errno import EEXIST

from pyrunc.checkpoint import mounts
from pyrunc.errors import HostError
from pyrunc.host import syscalls
from pyrunc.init import devices
from pyrunc.lifecycle import host_mounts
from pyrunc.spec.options import MS_PRIVATE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Final

    from pyrunc.lifecycle.state import StateDirectory
    from pyrunc.spec.model import Config, Mount

NAME: Final = "criu-root"  # in the state directory
IN_ROOT: Final = syscalls.RESOLVE_IN_ROOT | syscalls.RESOLVE_NO_MAGICLINKS
CLONE: Final = syscalls.OPEN_TREE_CLONE | os.O_CLOEXEC
EVERYTHING: Final = syscalls.AT_EMPTY_PATH | syscalls.AT_RECURSIVE
O_PATH: Final = os.O_PATH | os.O_CLOEXEC


class Inside:
    """Paths as the container sees them."""

    __slots__ = ("fd",)

    def __init__(self, path: str) -> None:
        self.fd = os.open(path, O_PATH | os.O_DIRECTORY)

    def close(self) -> None:
        os.close(self.fd)

    def open(self, path: str) -> int:
        return syscalls.openat2(self.fd, path, O_PATH, resolve=IN_ROOT)

    def mount(self, path: str) -> tuple[int, bool] | None:
        """Return the id of the mount that a path lies on, and whether the path is a directory.

        None when nothing is there.
        """
        try:
            fd = self.open(path)
        except OSError:
            return None
        try:
            return syscalls.mount_id(fd), stat.S_ISDIR(os.fstat(fd).st_mode)
        finally:
            os.close(fd)

    def make(self, path: str, *, directory: bool) -> int:
        """Open a path; what is missing of it is made."""
        try:
            return self.open(path)
        except FileNotFoundError:
            above, _, name = path.rstrip("/").rpartition("/")
        parent = self.make(above or "/", directory=True)
        try:
            if directory:
                os.mkdir(name, 0o755, dir_fd=parent)
            else:
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
                os.close(os.open(name, flags, 0o644, dir_fd=parent))
        except FileExistsError:  # a link that leads nowhere
            raise OSError(EEXIST, os.strerror(EEXIST), path) from None
        finally:
            os.close(parent)
        return self.open(path)


def device_paths(config: Config) -> list[str]:
    """Every device that may be a bind of the host's."""
    usual = [path for path, _major, _minor in devices.DEFAULTS]
    return list(dict.fromkeys([*usual, *(one.path for one in config.linux.devices)]))


class Root:
    """The mount of a root file system in a state directory."""

    __slots__ = ("_directory", "path", "record")

    def __init__(self, directory: StateDirectory, path: str) -> None:
        """`path`: where the directory is, without links: CRIU compares it with its mounts."""
        self._directory = directory
        self.path = f"{path}/{NAME}"
        self.record: dict[str, Any] = {}

    def intent(self) -> dict[str, Any]:
        """Return the record to write down before `mount`."""
        self.record = host_mounts.intent(self.path)
        return self.record

    def mount(self, rootfs: str) -> None:
        os.mkdir(NAME, 0o755, dir_fd=self._directory.fd)
        attach(rootfs, self._directory.fd, NAME, action="mount the root file system for CRIU")

    def unmount(self) -> None:
        """Take everything away that is there; it may never have been mounted."""
        if self.record:
            host_mounts.undo(self.record)
            try:
                os.rmdir(NAME, dir_fd=self._directory.fd)
            except FileNotFoundError:
                return

    # -- mount points ------------------------------------------------------------------------------

    def make_points(self, config: Config) -> dict[str, list[str]]:
        """Make the points of the configuration's mounts, as the init does.

        Returns for each destination the paths in the root by which CRIU may know it.

        What lies below a tmpfs comes with its content. A bind mount that others lie below is there
        meanwhile.
        """
        before = host_mounts.intent(self.path)
        inside = Inside(self.path)
        points: dict[str, list[str]] = {}
        binds = mounts.binds(config)
        try:
            for mount in config.mounts:
                point = "/" + mount.destination.strip("/")
                points[mount.destination] = [os.path.normpath(point)]
                if mount.type in mounts.CGROUPS or covered(point, config):
                    continue
                source = mount.source or "" if mount in binds else ""
                real = self._make_point(inside, mount, config, source=source)
                if real not in points[mount.destination]:
                    points[mount.destination].append(real)
        finally:
            inside.close()
            host_mounts.undo(before)
        return points

    def _make_point(self, inside: Inside, mount: Mount, config: Config, *, source: str) -> str:
        """Make a mount point in the root; `source` is empty unless the mount is a bind mount."""
        try:
            directory = not source or os.path.isdir(source)
            fd = inside.make(mount.destination, directory=directory)
        except OSError as error:
            raise HostError(
                f"cannot make the mount point {mount.destination}",
                errno=error.errno or 0,
                pointer=mount.pointer,
            ) from None
        try:
            real = os.readlink(f"/proc/self/fd/{fd}").removeprefix(self.path) or "/"
            if source and carries(mount.destination, config):
                attach(source, fd, "", action=f"bind {source}")
        finally:
            os.close(fd)
        return real


def attach(source: str, to_fd: int, to_path: str, *, action: str) -> None:
    """Attach a private copy of a tree, so that what is mounted below it is seen nowhere else."""
    try:
        tree = syscalls.open_tree(syscalls.AT_FDCWD, source, CLONE | syscalls.AT_RECURSIVE)
        try:
            syscalls.mount_setattr(tree, "", EVERYTHING, propagation=MS_PRIVATE)
            flags = syscalls.MOVE_MOUNT_F_EMPTY_PATH
            if not to_path:
                flags |= syscalls.MOVE_MOUNT_T_EMPTY_PATH
            syscalls.move_mount(tree, "", to_fd, to_path, flags)
        finally:
            os.close(tree)
    except OSError as error:
        raise HostError(f"cannot {action}: {source}", errno=error.errno or 0) from None


def covered(point: str, config: Config) -> bool:
    """Whether a destination lies below a tmpfs of the configuration."""
    return any(
        mount.type == "tmpfs" and point.startswith("/" + mount.destination.strip("/") + "/")
        for mount in config.mounts
    )


def carries(destination: str, config: Config) -> bool:
    """Whether another mount lies below a destination."""
    top = "/" + destination.strip("/") + "/"
    return any(("/" + one.destination.strip("/")).startswith(top) for one in config.mounts)


def host_mounts_below(paths: Sequence[str]) -> dict[str, list[str]]:
    """For each path of the host the mounts below it, as paths from there."""
    by_path = {}
    for path in dict.fromkeys(paths):
        real = os.path.realpath(path)
        by_path[path] = [
            one.removeprefix(real)
            for _number, one in host_mounts.mounts(real)
            if one != real and real != "/"
        ]
    return by_path
