# SPDX-License-Identifier: Apache-2.0
"""The state directory of one container, ``<root>/<id>``.

=============== ===================================================================================
state.json      all that later commands need; written to a temporary file and renamed
config.json     the configuration as it was at create, for exec
intents         one JSON record a line, each written before the thing that it names is made
exec.fifo       the start gate, where the init waits for one byte; writable iff somebody waits
report.fifo     what the init reports after the gate
=============== ===================================================================================

A directory without a state.json is half-created. The directory itself is what flock locks.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time

from pyrunc import jsontext
from pyrunc.errors import HostError, StateError
from pyrunc.host import process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Final

SCHEMA: Final = 1
STATE: Final = "state.json"
CONFIG: Final = "config.json"
INTENTS: Final = "intents"
GATE: Final = "exec.fifo"
REPORT: Final = "report.fifo"

ID_CHARACTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-."
MAX_ID: Final = 255  # a file name
MAX_STATE: Final = 16 << 20
NO_FILE: Final = (errno.ELOOP, errno.EISDIR, errno.ENXIO)  # a link, a directory, a socket
VOLATILE: Final = (0x01021994, 0x858458F6)  # the magic numbers of tmpfs and ramfs
LOCK_PATIENCE_S: Final = 10.0
LOCK_STEP_S: Final = 0.01

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def check_id(container_id: str) -> str:
    """Check an id, which becomes a file name, a part of cgroup names and of log records."""
    # strip() leaves nothing exactly when every character is allowed: a full match without `re`.
    good = container_id and not container_id.strip(ID_CHARACTERS)
    if not good or len(container_id) > MAX_ID or container_id[0] == ".":
        raise StateError(
            f"invalid container ID format: {container_id[:64]!r}",
            hint=f"1 to {MAX_ID} of A-Z a-z 0-9 _ + - . and no dot in front",
        )
    return container_id


def default_root() -> str:
    """/run/pyrunc for root, $XDG_RUNTIME_DIR/pyrunc for others and for root of a user namespace.

    Nothing else of the environment counts: podman calls with little more than XDG_RUNTIME_DIR.
    """
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if os.geteuid() != 0:
        if not runtime:
            raise HostError(
                "there is no directory for the state of containers: XDG_RUNTIME_DIR is not set",
                hint="set it, or use --root DIR",
            )
        return f"{runtime}/pyrunc"
    if runtime and in_user_namespace():
        return f"{runtime}/pyrunc"
    return "/run/pyrunc"


def in_user_namespace() -> bool:
    """Whether this is not the initial user namespace: its map is not the identity of all ids."""
    try:
        with open("/proc/self/uid_map", "rb", buffering=0) as file:
            return file.read(256).split() != [b"0", b"0", b"4294967295"]
    except FileNotFoundError:  # a kernel without user namespaces
        return False


def open_root(path: str, *, create: bool = False) -> int:
    """Open the state root, which must be the caller's alone (ST-3); -1 when there is none."""
    path = os.path.abspath(path or default_root())
    if path == "/":
        raise HostError("the state root must not be /", hint="use --root DIR")
    try:
        fd = os.open(path, _DIRECTORY)
    except FileNotFoundError:
        if not create:
            return -1
        fd = _make_root(path)
    except OSError as error:
        raise HostError(f"cannot open the state root {path}", errno=error.errno or 0) from None
    check_ours(fd, f"the state root {path}", hint=f"chmod go-w {path}, or use another --root")
    return fd


def check_ours(fd: int, what: str, *, hint: str) -> None:
    """Refuse a directory that others own or may write to, and close it."""
    facts = os.fstat(fd)
    if facts.st_uid != os.geteuid() or facts.st_mode & 0o022:
        os.close(fd)
        raise HostError(
            f"{what} must belong to uid {os.geteuid()} and be writable by nobody else: "
            f"it belongs to {facts.st_uid}, mode {stat.S_IMODE(facts.st_mode):o}",
            hint=hint,
        )


def state_path(root: str, container_id: str) -> str:
    """Where a container's state is, for others to read: it is never opened by this path."""
    return f"{os.path.abspath(root or default_root())}/{container_id}"


def _make_root(path: str) -> int:
    try:
        os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)
        try:
            os.mkdir(path, 0o700)
            os.chmod(path, 0o1700)  # sticky: systemd-tmpfiles leaves it alone
        except FileExistsError:  # made by another create just now
            pass
        return os.open(path, _DIRECTORY)
    except OSError as error:
        raise HostError(f"cannot make the state root {path}", errno=error.errno or 0) from None


def missing(container_id: str) -> StateError:
    return StateError(
        f"container does not exist: {container_id}",
        hint="`pyrunc list` shows those that do; is the --root the one of its create?",
    )


class StateDirectory:
    """The open state directory of one container."""

    __slots__ = ("_intents", "fd", "id", "root_fd")

    def __init__(self, *, container_id: str, root_fd: int, fd: int) -> None:
        self.id = container_id
        self.root_fd = root_fd
        self.fd = fd
        self._intents = -1

    @classmethod
    def claim(cls, root: str, container_id: str) -> StateDirectory:
        """Make the directory, which is the mutual exclusion of creates, and lock it."""
        root_fd = open_root(root, create=True)
        try:
            os.mkdir(container_id, 0o711, dir_fd=root_fd)
            try:
                fd = os.open(container_id, _DIRECTORY, dir_fd=root_fd)
                fcntl.flock(fd, fcntl.LOCK_EX)
            except OSError:
                os.rmdir(container_id, dir_fd=root_fd)
                raise
        except OSError as error:
            os.close(root_fd)
            if error.errno == errno.EEXIST:
                what = f"container with given ID already exists: {container_id}"
                hint = f"`pyrunc delete {container_id}` removes it once it has stopped"
                raise StateError(what, hint=hint) from None
            raise HostError(
                f"cannot make the state directory of container {container_id}",
                errno=error.errno or 0,
                hint="the state root's file system is full" if error.errno == errno.ENOSPC else "",
            ) from None
        return cls(container_id=container_id, root_fd=root_fd, fd=fd)

    @classmethod
    def open(cls, root: str, container_id: str) -> StateDirectory | None:
        """Open the directory of a (perhaps half-created) container; None when there is none."""
        root_fd = open_root(root)
        if root_fd < 0:
            return None
        return cls.open_at(root_fd, container_id)

    @classmethod
    def open_at(cls, root_fd: int, container_id: str) -> StateDirectory | None:
        """As `open`, below an open root, which the result owns."""
        try:
            fd = os.open(container_id, _DIRECTORY, dir_fd=root_fd)
        except (FileNotFoundError, NotADirectoryError):
            os.close(root_fd)
            return None
        return cls(container_id=container_id, root_fd=root_fd, fd=fd)

    def close(self) -> None:
        """Let go of everything, also of the lock."""
        for fd in (self.fd, self.root_fd, self._intents):
            if fd >= 0:
                os.close(fd)
        self.fd = self.root_fd = self._intents = -1

    def lock(self) -> None:
        """Wait for other commands on this container, but not for ever: engines hold locks, too."""
        if self.try_lock():
            return
        deadline = time.monotonic() + LOCK_PATIENCE_S
        while time.monotonic() < deadline:
            time.sleep(LOCK_STEP_S)
            if self.try_lock():
                return
        raise StateError(
            f"another command works on container {self.id}", hint="try again when it is done"
        )

    def try_lock(self) -> bool:
        try:
            fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def unlock(self) -> None:
        fcntl.flock(self.fd, fcntl.LOCK_UN)

    # -- files -------------------------------------------------------------------------------------

    def read(self, name: str) -> str | None:
        """Read a file; None when there is none.

        StateError: it is of a type that pyrunc never makes.
        """
        try:
            fd = os.open(
                name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=self.fd
            )
            try:
                data = os.read(fd, 65536)
                if len(data) == 65536:
                    while (more := os.read(fd, 1 << 20)) and len(data) < MAX_STATE:
                        data += more
            finally:
                os.close(fd)
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno not in NO_FILE:
                raise
            raise StateError(
                f"{name} of container {self.id} is no ordinary file, and it is not followed",
                hint=f"`pyrunc delete --force {self.id}` removes it with the container",
            ) from None
        return data.decode("utf-8", "surrogateescape")

    def write(self, name: str, text: str | bytes) -> None:
        """Replace a file; nobody ever sees a part of it."""
        data = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
        temporary = f".{name}"
        fd = os.open(
            temporary,
            os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC,
            0o600,
            dir_fd=self.fd,
        )
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(fd, rest) :]
            os.fsync(fd)
        finally:
            os.close(fd)
        os.rename(temporary, name, src_dir_fd=self.fd, dst_dir_fd=self.fd)

    def load(self) -> dict[str, Any] | None:
        """Return what state.json holds; None for a half-created container.

        After a reboot it names no process: the number may belong to another one (PD-1).
        """
        text = self.read(STATE)
        if text is None:
            return None
        try:
            found = jsontext.decode(text)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict) or found.get("schema") != SCHEMA:
            raise StateError(
                f"the state of container {self.id} cannot be read: "
                f"{STATE} is damaged or of another version",
                hint=f"`pyrunc delete --force {self.id}` removes it",
            )
        if not process.this_boot(found.get("boot")):
            found["pid"] = 0
        return found

    def boot(self) -> str:
        """Return the boot that the records belong to; empty where they cannot outlive it."""
        from pyrunc.host import syscalls

        try:
            volatile = syscalls.filesystem_magic(self.fd) in VOLATILE
        except OSError:  # a filter around us: then we ask for the boot all the same
            volatile = False
        return "" if volatile else process.boot_id()

    def save(self, state: Mapping[str, Any]) -> None:
        self.write(STATE, jsontext.encode({"schema": SCHEMA, **state}))

    # -- intents -----------------------------------------------------------------------------------

    def intend(self, kind: str, record: Mapping[str, Any]) -> None:
        """Record what is about to be made. A torn last line means that it was not made (AR-5)."""
        if self._intents < 0:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            self._intents = os.open(INTENTS, flags, 0o600, dir_fd=self.fd)
        line = jsontext.encode({"kind": kind, **record}) + "\n"
        if os.write(self._intents, line.encode()) != len(line):
            raise HostError("cannot record an intent", errno=errno.ENOSPC)

    def intents(self) -> list[dict[str, Any]]:
        """Return what may have been made, the latest first."""
        found: list[dict[str, Any]] = []
        for line in (self.read(INTENTS) or "").splitlines():
            try:
                record = jsontext.decode(line)
            except ValueError:
                break
            if isinstance(record, dict):
                found.append(record)
        return found[::-1]

    # -- the start gate ----------------------------------------------------------------------------

    def make_gate(self) -> tuple[int, int]:
        """Make both FIFOs and return descriptors for the init.

        They are opened O_RDWR, so that a read never returns EOF.
        """
        fds = []
        for name in (GATE, REPORT):
            os.mkfifo(name, 0o600, dir_fd=self.fd)
            fds.append(os.open(name, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self.fd))
        return fds[0], fds[1]

    def open_gate(self) -> int:
        """Open the gate for writing; -1 when no init waits (ENXIO: no reader) or it is no FIFO."""
        try:
            return os.open(
                GATE, os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self.fd
            )
        except OSError as error:
            if error.errno in (errno.ENOENT, *NO_FILE):
                return -1
            raise

    def open_report(self) -> int:
        return os.open(
            REPORT, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self.fd
        )

    def remove_gate(self) -> None:
        for name in (GATE, REPORT):
            self._unlink(name)

    # -- the end -----------------------------------------------------------------------------------

    def _unlink(self, name: str) -> None:
        try:
            os.unlink(name, dir_fd=self.fd)
        except FileNotFoundError:  # another delete was quicker
            return

    def remove(self) -> None:
        """Remove the directory with all that it holds; it may be gone already."""
        try:
            for name in (STATE, CONFIG, INTENTS):
                self._unlink(name)
            os.rmdir(self.id, dir_fd=self.root_fd)
        except FileNotFoundError:  # another delete was quicker
            return
        except OSError:
            from pyrunc.host import files

            files.remove_tree(self.root_fd, self.id, self.fd)


def list_ids(root_fd: int) -> list[str]:
    """Return the names below a state root that can be containers; files of others are ignored."""
    names = []
    for name in os.listdir(root_fd):
        try:
            check_id(name)
        except StateError:
            continue
        names.append(name)
    return sorted(names)
