# SPDX-License-Identifier: Apache-2.0
"""What CRIU is asked to do: the fields of its options. PURE."""

from __future__ import annotations

from pyrunc.cgroups.layout import parse_own
from pyrunc.checkpoint import protocol
from pyrunc.errors import Failure
from pyrunc.spec import landlock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, Final

    from pyrunc.checkpoint.options import CriuOptions
    from pyrunc.spec.model import Config

DUMP_LOG: Final = "dump.log"
RESTORE_LOG: Final = "restore.log"
FREEZE_S: Final = 60  # until all processes stand still; on a busy machine CRIU's ten are too few
DEBUG: Final = 4  # log level: what went before an error is what explains it

# The name of a kind of namespace in CRIU's options.
NAMES: Final = {
    "network": "net",
    "pid": "pid",
    "ipc": "ipc",
    "uts": "uts",
    "mount": "mnt",
    "user": "user",
    "time": "time",
}
# Kinds that CRIU leaves alone when it saves and is handed when it restores, with the name that runc
# gives them; it joins the others by their path.
HANDED: Final = {"network": "extRootNetNS", "pid": "extRootPidNS"}
FILE: Final = "file["
INHERITABLE: Final = ("pipe:[", "socket:[", FILE)
FIRST_HANDED: Final = 4  # descriptors of criu: stdio, the socket, then namespaces


class Files:
    """Where CRIU reads and writes: descriptors of this process, and a configuration file or ""."""

    __slots__ = ("config", "images_fd", "work_fd")

    def __init__(self, *, images_fd: int, work_fd: int, config: str) -> None:
        self.images_fd = images_fd
        self.work_fd = work_fd
        self.config = config

    def fields(self) -> dict[str, Any]:
        request: dict[str, Any] = {
            "images_dir_fd": self.images_fd,
            "log_level": DEBUG,
            "notify_scripts": True,
        }
        if self.work_fd >= 0:
            request["work_dir_fd"] = self.work_fd
        if self.config:
            request["config_file"] = self.config
        return request


def dump(
    criu: CriuOptions,
    files: Files,
    *,
    pid: int,
    rootfs: str,
    empty_network: bool,
    external: Sequence[str],
    namespaces: Mapping[str, int],
    freezer: str,
) -> dict[str, Any]:
    """Return the options of a checkpoint.

    `external`: mounts and files; `namespaces`: kinds that the configuration joins by a path, with
    the inode of what the container is in; `freezer`: the directory of its cgroup, or "".
    """
    request = {
        **files.fields(),
        **criu.fields,
        # A terminal that lost its master: its program is handed a new one, unless it was ours.
        "orphan_pts_master": not criu.fields.get("shell_job"),
        "log_file": DUMP_LOG,
        "timeout": FREEZE_S,
        "pid": pid,
        "root": rootfs,
        "external": [
            *(f"{NAMES[kind]}[{inode}]:{HANDED[kind]}" for kind, inode in namespaces.items()),
            *external,
        ],
    }
    if criu.leave_running:
        request["leave_running"] = True
    if empty_network:
        request["empty_ns"] = protocol.CLONE_NEWNET
    if freezer:
        request["freeze_cgroup"] = freezer
    if criu.parent:
        request["parent_img"] = criu.parent
    if criu.parent or criu.pre_dump:
        request["track_mem"] = True
    return request


def restore(
    criu: CriuOptions,
    files: Files,
    *,
    root: str,
    empty_network: bool,
    external: Sequence[str],
    stdio: Sequence[str],
    reads_file: bool,
    handed: Sequence[str],
    joined: Mapping[str, str],
    cgroups: Mapping[str, str],
) -> dict[str, Any]:
    """Return the options of a restore.

    `root`: where the root file system is mounted; `stdio`: what the descriptors 0 to 2 were;
    `reads_file`: the caller's standard input is a file;
    `handed`: the kinds of namespaces that criu gets as descriptors, in their order, `joined`: those
    that it opens; `cgroups`: where each controller's are from now on.
    """
    request = {
        **files.fields(),
        **criu.fields,
        # A terminal that lost its master: its program is handed a new one, unless it was ours.
        "orphan_pts_master": not criu.fields.get("shell_job"),
        "log_file": RESTORE_LOG,
        "root": root,
        "rst_sibling": True,
        "evasive_devices": True,
        "external": list(external),
        "inherit_fd": [
            *inherited(stdio, reads_file=reads_file),
            *(
                {"key": HANDED[kind], "fd": FIRST_HANDED + place}
                for place, kind in enumerate(handed)
            ),
        ],
        "join_ns": [{"ns": NAMES[kind], "ns_file": path} for kind, path in joined.items()],
        "cg_root": [{"ctrl": name, "path": path} for name, path in cgroups.items()],
    }
    if empty_network:
        request["empty_ns"] = protocol.CLONE_NEWNET
    return request


def inherited(stdio: Sequence[str], *, reads_file: bool) -> list[dict[str, Any]]:
    """Put the caller's stdio in place of pipes, sockets and files from outside the container.

    By the name of an external file, CRIU opens it again where it was, and it must have the size and
    the mode that it had: right for a file that is read (`reads_file`: the caller's standard input
    is one). By the path of an ordinary file, which is a name without its first character, CRIU
    takes the caller's descriptor as it is, whatever that is.
    """
    descriptors: dict[str, int] = {}
    for fd, name in enumerate(stdio):
        if name.startswith(INHERITABLE):
            descriptors.setdefault(name, fd)
    continued = stdio[0] if reads_file and stdio and stdio[0] not in stdio[1:] else ""
    return [
        {"key": name[1:] if name.startswith(FILE) and name != continued else name, "fd": fd}
        for name, fd in descriptors.items()
    ]


def joined_namespaces(config: Config) -> dict[str, str]:
    """Return the kinds of namespaces that the configuration joins, with their paths."""
    paths = {one.type: one.path for one in config.linux.namespaces if one.path}
    if "cgroup" in paths:
        raise Failure(
            "CRIU cannot put a container into an existing cgroup namespace",
            pointer=f"{config.linux.pointer}/namespaces",
            hint="leave the path of the cgroup namespace away",
        )
    return paths


def refuse_landlock(config: Config) -> None:
    """Refuse a container with a Landlock domain: CRIU restores processes without it."""
    if landlock.ANNOTATION in config.annotations:
        raise Failure(
            "CRIU cannot restore a Landlock domain: the processes would be without it",
            pointer=landlock.POINTER,
            hint="checkpoint and restore are for containers without this annotation",
        )


def parse_cgroups(data: bytes) -> dict[str, str]:
    """Parse a /proc/PID/cgroup file to controller -> path; "" is cgroup2."""
    return {name: path for names, path in parse_own(data).items() for name in names.split(",")}


def builds_network(config: Config) -> bool:
    """Whether hooks of the runtime may have put interfaces into the container's network.

    They do so again when it is restored: then CRIU makes an empty namespace for them.
    """
    own = any(one.type == "network" and not one.path for one in config.linux.namespaces)
    hooks = config.hooks
    return own and hooks is not None and bool(hooks.prestart or hooks.create_runtime)
