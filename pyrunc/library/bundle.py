# SPDX-License-Identifier: Apache-2.0
"""Bundles of configurations that exist only in memory: a directory below the state root.

``<root>/.bundles/<id>`` holds config.json, the files that are bound into the container, and the
upper layer of an ephemeral root. No container's id begins with a dot.
"""

from __future__ import annotations

import os
from typing import Any

from pyrunc.errors import HostError, UsageError
from pyrunc.host import files
from pyrunc.library.spec import EPHEMERAL, Spec

DIRECTORY = ".bundles"
OWNER = "org.pyrunc.owner"  # annotation: pid and start time of the program whose container this is


class Bundle:
    """The directory of one container's configuration."""

    def __init__(self, root: str, container_id: str) -> None:
        self.root = root
        self.id = container_id
        self.path = f"{root}/{DIRECTORY}/{container_id}"

    def make(self, spec: Spec, contents: dict[str, bytes] | None = None) -> None:
        """Make the directory with its config.json.

        `contents`: name below the bundle -> bytes, readable for all. HostError when the state root
        cannot be written, UsageError for a name that leads elsewhere.
        """
        for name in contents or {}:
            check_name(name)
        try:
            os.makedirs(f"{self.root}/{DIRECTORY}", mode=0o711, exist_ok=True)
            os.mkdir(self.path, 0o711)
            for name, data in (contents or {}).items():
                os.makedirs(os.path.dirname(f"{self.path}/{name}"), mode=0o755, exist_ok=True)
                _write(f"{self.path}/{name}", data, mode=0o755)
            if spec.get("/annotations", {}).get(EPHEMERAL) == "true":
                spec = self._with_overlay(spec)
            _write(f"{self.path}/config.json", spec.json().encode("utf-8", "surrogateescape"))
        except OSError as error:
            self.remove()
            raise HostError(
                f"cannot make the bundle {self.path}", errno=error.errno or 0
            ) from error
        except BaseException:
            self.remove()
            raise

    def _with_overlay(self, spec: Spec) -> Spec:
        """Mount an overlay over the root, whose upper layer belongs to the container's root."""
        lower = os.path.abspath(spec.get("/root/path", ""))
        if set(lower) & set(",:\\"):
            raise UsageError(
                f"an ephemeral root cannot lie at {lower}: overlayfs takes no comma, colon or "
                "backslash in a path"
            )
        uid, gid = (_root_id(spec, kind) for kind in ("uid", "gid"))
        for name in ("upper", "work"):
            os.mkdir(f"{self.path}/{name}", 0o755)
            if os.geteuid() == 0:
                os.chown(f"{self.path}/{name}", uid, gid)
        layers = [f"lowerdir={lower}", f"upperdir={self.path}/upper", f"workdir={self.path}/work"]
        more = ["userxattr"] if os.geteuid() else []
        mount = {
            "destination": "/",
            "type": "overlay",
            "source": "overlay",
            "options": [*layers, *more],
        }
        return spec.set("/mounts", [mount, *spec.get("/mounts", [])])

    def remove(self) -> None:
        """Remove it with all that it holds; it may be gone already."""
        try:
            parent = os.open(
                f"{self.root}/{DIRECTORY}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
            )
        except FileNotFoundError:
            return
        try:
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            fd = os.open(self.id, flags, dir_fd=parent)
            try:
                files.remove_tree(parent, self.id, fd)
            finally:
                os.close(fd)
        except FileNotFoundError:
            return
        finally:
            os.close(parent)


def check_name(name: str) -> None:
    """Refuse the name of a file that is none below a directory: UsageError."""
    if "\0" in name or any(part in ("", ".", "..") for part in name.split("/")):
        raise UsageError(
            f"files: {name!r} is no name below the directory of the files",
            hint="use relative names without '.' and '..', such as main.py or lib/util.py",
        )


def _root_id(spec: Spec, kind: str) -> int:
    """Return the host's id of the container's root."""
    for row in spec.get(f"/linux/{kind}Mappings") or []:
        if row["containerID"] == 0:
            return int(row["hostID"])
    return 0


def _write(path: str, data: bytes, *, mode: int = 0o644) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(fd, "wb") as file:
        file.write(data)


def owned(spec: Spec, owner: str) -> Spec:
    """Return the configuration with the mark of the program that its container ends with."""
    return spec.annotation(OWNER, owner)


def annotation(state: dict[str, Any]) -> str:
    """Return the owner that a container's state names, or an empty string."""
    return str((state.get("annotations") or {}).get(OWNER, ""))
