# SPDX-License-Identifier: Apache-2.0
"""Bundles of configurations that exist only in memory: a directory below the state root.

``<root>/.bundles/<id>`` holds config.json, the files that are bound into the container, the upper
layer of an ephemeral root, and the mark of the program that made it. No container's id begins with
a dot. A container of a bundle of the caller's has only the mark there.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from pyrunc.errors import HostError, UsageError
from pyrunc.host import files
from pyrunc.library.arguments import is_path, quoted
from pyrunc.library.documents import rows
from pyrunc.library.parameters import ID
from pyrunc.library.spec import EPHEMERAL, UNBOUNDED, Spec
from pyrunc.log import log
from pyrunc.spec.load import CONFIG

DIRECTORY = ".bundles"
ABANDONED_S = 3600
OWNER = "org.pyrunc.owner"  # annotation: pid and start time of the program whose container this is
MARK = "owner"  # the file of the same content
OWN = (CONFIG, MARK, "upper", "work")  # names in a bundle that are no files of the caller
MOUNTS = "/mounts/"
ATTEMPTS = 100  # of a create against those who tidy up
Change = Callable[[bytes], bytes]
_given_up: deque[Bundle] = deque()  # those that could not be removed


class Bundle:
    """The directory of one container's configuration."""

    def __init__(self, root: str, container_id: str) -> None:
        self.root = root
        self.id = container_id
        self.place = f"{root}/{DIRECTORY}/{container_id}"
        self.path = self.place  # of config.json
        self.transform: Change | None = None  # what is done to config.json when it is read

    def use(self, path: str, transform: Change) -> None:
        """Use a bundle of the caller's, which stays as it is, with a change of its config.json."""
        self.path = path
        self.transform = transform

    def make(
        self, spec: Spec | None, contents: dict[str, bytes] | None = None, *, mark: str = ""
    ) -> None:
        """Make the directory, with config.json if there is a configuration.

        `contents`: name below the bundle -> bytes, readable for all. `mark`: whose it is. HostError
        when the state root cannot be written, UsageError for a name that leads elsewhere.
        """
        for name in contents or {}:
            check_name(name)
            if name.split("/")[0] in OWN:
                raise UsageError(f"files: {name!r} is a name of the bundle's own: use another")
        try:
            self._make_place()
            if mark:
                _write(f"{self.place}/{MARK}", mark.encode())
            for name, data in (contents or {}).items():
                os.makedirs(os.path.dirname(f"{self.place}/{name}"), mode=0o755, exist_ok=True)
                _write(f"{self.place}/{name}", data, mode=0o755)
            if spec is not None:
                if is_ephemeral(spec):
                    spec = self._with_overlay(spec)
                _write(f"{self.place}/{CONFIG}", spec.json().encode("utf-8", "surrogateescape"))
        except OSError as error:
            self.give_up()
            raise HostError(
                f"cannot make the bundle {self.place}", errno=error.errno or 0
            ) from error
        except BaseException:
            self.give_up()
            raise

    def _make_place(self) -> None:
        """Make the directory; who removes the last one of others removes the one above, too."""
        if _given_up:
            _given_up.pop().give_up()
        for _ in range(ATTEMPTS):
            try:
                os.mkdir(self.place, 0o711)
                return
            except FileNotFoundError:
                os.makedirs(f"{self.root}/{DIRECTORY}", mode=0o711, exist_ok=True)
        os.mkdir(self.place, 0o711)

    def _with_overlay(self, spec: Spec) -> Spec:
        """Mount an overlay over the root, whose upper layer belongs to the container's root."""
        lower = spec.get("/root/path")
        if not is_path(lower):
            raise UsageError(
                f"/root/path {quoted(lower)}: an ephemeral root needs the path of an image",
                pointer="/root/path",
                value=quoted(lower),
            )
        lower = os.path.abspath(lower)
        if set(lower) & set(",:\\"):
            raise UsageError(
                f"an ephemeral root cannot lie at {lower}: overlayfs takes no comma, colon or "
                "backslash in a path"
            )
        # What a directory hides is an attribute of it; "trusted" ones are not for user namespaces.
        kinds = {row.get("type") for row in rows(spec.to_dict(), "linux", "namespaces", kind=dict)}
        more = ["userxattr"] if os.geteuid() or "user" in kinds else []
        room = str(spec.get(f"/annotations/{EPHEMERAL}"))
        if room == UNBOUNDED:
            place, (uid, gid) = self.place, (_root_id(spec, kind) for kind in ("uid", "gid"))
            for name in ("upper", "work"):
                os.mkdir(f"{place}/{name}", 0o755)
                if os.geteuid() == 0:
                    os.chown(f"{place}/{name}", uid, gid)
        else:
            place = f"{self.place}/upper"
            os.mkdir(place, 0o755)
            more.append(f"upper-size={room}")
        layers = [f"lowerdir={lower}", f"upperdir={place}/upper", f"workdir={place}/work"]
        mount = {
            "destination": "/",
            "type": "overlay",
            "source": "overlay",
            "options": [*layers, *more],
        }
        value = spec.to_dict()
        rows(value, "mounts", kind=dict).insert(0, mount)
        return Spec(value)

    def mark(self) -> str:
        """Return whose it is; "" while it is being written, or where nobody is named."""
        try:
            with open(f"{self.place}/{MARK}", "rb") as file:
                return file.read(64).decode("ascii", "replace")
        except OSError:
            return ""

    def abandoned(self) -> bool:
        """Whether its making was cut short before anybody was named: it has no configuration.

        An hour old, since nobody takes so long to make one.
        """
        try:
            made = os.lstat(self.place).st_mtime
        except OSError:
            return False
        unnamed = not os.path.lexists(f"{self.place}/{MARK}")
        unfinished = not os.path.lexists(f"{self.place}/{CONFIG}")
        return unnamed and unfinished and time.time() - made > ABANDONED_S

    def contents(self) -> dict[str, bytes]:
        """Return the files that `make` was given."""
        read = {}
        for directory, below, names in os.walk(self.place):
            if directory == self.place:
                below[:] = [name for name in below if name not in OWN]
                names = [name for name in names if name not in OWN]
            for name in names:
                path = f"{directory}/{name}"
                with open(path, "rb") as file:
                    read[os.path.relpath(path, self.place)] = file.read()
        return read

    def original(self, spec: Spec) -> Spec:
        """Return the configuration of a container without what the library has added."""
        value = spec.to_dict()
        value.get("annotations", {}).pop(OWNER, None)
        if is_ephemeral(spec) and value.get("mounts"):
            del value["mounts"][0]
        if not value.get("annotations", True):
            del value["annotations"]
        return Spec(value)

    def give_up(self) -> None:
        """Remove it after something else went wrong, which the caller shall hear of and not this.

        What cannot be removed now, for want of descriptors, goes when the next one is made.
        """
        try:
            self.remove()
        except OSError as error:
            log.debug(f"cannot remove the bundle {self.place} yet: {error}")
            _given_up.append(self)

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
            except PermissionError:  # a user's overlay, or what the container has made so
                _open_up(fd)
                files.remove_tree(parent, self.id, fd)
            finally:
                os.close(fd)
        except FileNotFoundError:
            return
        finally:
            os.close(parent)
            with contextlib.suppress(OSError):  # it holds those of others
                os.rmdir(f"{self.root}/{DIRECTORY}")


def _open_up(fd: int) -> None:
    """Let the owner list and change every directory below; links are not followed."""
    os.fchmod(fd, 0o700)
    for name in os.listdir(fd):
        try:
            place = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=fd)
        except NotADirectoryError:
            continue
        try:
            os.chmod(f"/proc/self/fd/{place}", 0o700)
            child = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=place)
        finally:
            os.close(place)
        try:
            _open_up(child)
        finally:
            os.close(child)


def check_name(name: str) -> None:
    """Refuse the name of a file that is none below a directory: UsageError."""
    if "\0" in name or any(part in ("", ".", "..") for part in name.split("/")):
        raise UsageError(
            f"files: {name!r} is no name below the directory of the files",
            hint="use relative names without '.' and '..', such as main.py or lib/util.py",
        )


def _root_id(spec: Spec, kind: str) -> int:
    """Return the host's id of the container's root."""
    for row in rows(spec.to_dict(), "linux", f"{kind}Mappings", kind=dict):
        if row.get("containerID") == 0 and ID[0](row.get("hostID")):
            return int(row["hostID"])
    return 0


def _write(path: str, data: bytes, *, mode: int = 0o644) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(fd, "wb") as file:
        file.write(data)


def of_caller(pointer: str, spec: Spec) -> str:
    """Return a place of a configuration as its caller has it, without the overlay in front."""
    number, slash, rest = pointer.removeprefix(MOUNTS).partition("/")
    if not is_ephemeral(spec) or not pointer.startswith(MOUNTS) or not number.isdecimal():
        return pointer
    return f"{MOUNTS}{int(number) - 1}{slash}{rest}" if int(number) else "/root/path"


def is_ephemeral(spec: Spec) -> bool:
    return spec.get(f"/annotations/{EPHEMERAL}") not in (None, "", "false")


def annotation(state: dict[str, Any]) -> str:
    """Return the owner that a container's state names, or an empty string."""
    return str((state.get("annotations") or {}).get(OWNER, ""))
