# SPDX-License-Identifier: Apache-2.0
"""The state directory of one container, ``<root>/<id>``.

=============== ===================================================================================
state.json      all that later commands need; written to a temporary file and renamed
config.json     the configuration as it was at create, for exec
intents         one JSON record a line, each written before the thing that it names is made
exec.fifo       the start gate, where the init waits for one byte; writable iff somebody waits
report.fifo     what the init reports after the gate
=============== ===================================================================================

A directory without a state.json is half-created. The directory itself is what flock locks; how it
gets its id and loses it is told in state_root.py.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time

from pyrunc import jsontext
from pyrunc.errors import Failure, HostError, StateError
from pyrunc.host import process
from pyrunc.lifecycle import shape, state_root
from pyrunc.lifecycle.state_root import DIRECTORY, missing, open_root

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
STARTED: Final = "started"  # the gate, when it is no gate any more
HOOKS: Final = "hooks"  # how hooks have ended (hook_results.py)
END: Final = "end.json"  # what was seen of the end of the container (post_mortem.py)

MAX_STATE: Final = 16 << 20
NO_FILE: Final = (errno.ELOOP, errno.EISDIR, errno.ENXIO)  # a link, a directory, a socket
VOLATILE: Final = (0x01021994, 0x858458F6)  # the magic numbers of tmpfs and ramfs
LOCK_PATIENCE_S: Final = 10.0
LOCK_STEP_S: Final = 0.01


def has_state(root_fd: int, container_id: str) -> bool:
    """Whether there is a state below an open root, be it one that cannot be read."""
    try:
        os.stat(f"{container_id}/{STATE}", dir_fd=root_fd, follow_symlinks=False)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        if error.errno == errno.ELOOP:  # a link in the place of the directory
            return False
        raise
    return True


class StateDirectory:
    """The open state directory of one container."""

    __slots__ = ("_identity", "_intents", "_volatile", "fd", "id", "root_fd")

    def __init__(self, *, container_id: str, root_fd: int, fd: int) -> None:
        self.id = container_id
        self.root_fd = root_fd
        self.fd = fd
        self._intents = -1
        self._identity: tuple[int, int] | None = None
        self._volatile = False  # once boot() has looked

    @classmethod
    def claim(cls, root: str, container_id: str) -> StateDirectory:
        """Make the directory, which is the mutual exclusion of creates; it is locked."""
        root_fd = open_root(root, create=True)
        try:
            fd = state_root.publish(root_fd, container_id)
        except OSError as error:
            os.close(root_fd)
            if error.errno == errno.EEXIST:
                message = f"container with given ID already exists: {container_id}"
                hint = f"`pyrunc delete {container_id}` removes it once it has stopped"
                raise StateError(message, hint=hint) from None
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
            fd = os.open(container_id, DIRECTORY, dir_fd=root_fd)
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

    def is_current(self) -> bool:
        """Whether the id is still the name of this directory.

        Another delete may have removed it, and another create may have made a new one.
        """
        if self._identity is None:
            facts = os.fstat(self.fd)
            self._identity = (facts.st_dev, facts.st_ino)
        return state_root.holds(self.root_fd, self.id, self._identity)

    def lock(self) -> None:
        """Lock the directory that has the id now; StateError: there is none any more.

        This waits for other commands on the container, but not for ever: engines hold locks, too.
        """
        deadline = time.monotonic() + LOCK_PATIENCE_S
        while not self.try_lock():
            if time.monotonic() >= deadline:
                raise StateError(
                    f"another command works on container {self.id}",
                    hint="try again when it is done",
                )
            time.sleep(LOCK_STEP_S)

    def try_lock(self) -> bool:
        """As `lock`, without waiting; False: another command holds the lock."""
        while self._flock():
            if self.is_current():
                return True
            self._reopen()
        return False

    def lock_this(self) -> bool:
        """Lock this very directory, not what has its id now; False when it has lost its id."""
        deadline = time.monotonic() + LOCK_PATIENCE_S
        while not self._flock():
            if time.monotonic() >= deadline:
                raise StateError(f"another command works on container {self.id}")
            time.sleep(LOCK_STEP_S)
        return self.is_current()

    def _flock(self) -> bool:
        try:
            fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _reopen(self) -> None:
        """Turn to the directory that has the id now."""
        try:
            fd = os.open(self.id, DIRECTORY, dir_fd=self.root_fd)
        except (FileNotFoundError, NotADirectoryError):
            raise missing(self.id) from None
        os.close(self.fd)
        if self._intents >= 0:
            os.close(self._intents)
        self.fd, self._intents, self._identity = fd, -1, None

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
        fd = self._open_new(temporary)
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(fd, rest) :]
            if not self._volatile:  # memory has nothing to wait for
                os.fsync(fd)
        finally:
            os.close(fd)
        os.rename(temporary, name, src_dir_fd=self.fd, dst_dir_fd=self.fd)

    def _open_new(self, name: str) -> int:
        """Make a file; what a killed command or another has left of that name goes."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            return os.open(name, flags, 0o600, dir_fd=self.fd)
        except FileExistsError:
            os.unlink(name, dir_fd=self.fd)
        return os.open(name, flags, 0o600, dir_fd=self.fd)

    def load(self) -> dict[str, Any] | None:
        """Return what state.json holds; None for a half-created container.

        After a reboot it names no process: the number may belong to another one (PD-1).
        """
        text = self.read(STATE)
        if text is None:
            return None
        try:
            state: dict[str, Any] = jsontext.decode(text)
            wrong = shape.fault(state, shape.STATE)
            if state["schema"] != SCHEMA:
                wrong = "/schema"
        except (ValueError, RecursionError):
            wrong = "no JSON"
        except (KeyError, TypeError):  # it is no object, or has no schema
            wrong = "no state"
        if wrong:
            raise StateError(
                f"the state of container {self.id} cannot be read: "
                f"{STATE} is damaged or of another version ({wrong})",
                hint=f"`pyrunc delete --force {self.id}` removes it",
            )
        if not process.this_boot(state.get("boot")):
            state["pid"] = 0
        return state

    def boot(self) -> str:
        """Return the boot that the records belong to; empty where they cannot outlive it."""
        from pyrunc.host import syscalls

        try:
            self._volatile = syscalls.filesystem_magic(self.fd) in VOLATILE
        except OSError:  # a filter around us: then we ask for the boot all the same
            self._volatile = False
        return "" if self._volatile else process.boot_id()

    def save(self, state: Mapping[str, Any]) -> None:
        self.write(STATE, jsontext.encode({"schema": SCHEMA, **state}))

    # -- intents -----------------------------------------------------------------------------------

    def intend(self, kind: str, record: Mapping[str, Any]) -> None:
        """Record what is about to be made. A torn last line means that it was not made (AR-5)."""
        if self._intents < 0:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
            flags |= os.O_CLOEXEC
            self._intents = os.open(INTENTS, flags, 0o600, dir_fd=self.fd)
        line = jsontext.encode({"kind": kind, **record}) + "\n"
        if os.write(self._intents, line.encode()) != len(line):
            raise HostError("cannot record an intent", errno=errno.ENOSPC)

    def intents(self) -> list[dict[str, Any]]:
        """Return what may have been made, the latest first."""
        records: list[dict[str, Any]] = []
        for line in (self.read(INTENTS) or "").splitlines():
            try:
                record = jsontext.decode(line)
            except (ValueError, RecursionError):
                break
            if isinstance(record, dict):
                records.append(record)
        return records[::-1]

    # -- the start gate ----------------------------------------------------------------------------

    def make_gate(self) -> tuple[int, int]:
        """Make both FIFOs and return descriptors for the init.

        They are opened O_RDWR, so that a read never returns EOF.
        """
        fds: list[int] = []
        try:
            for name in (GATE, REPORT):
                os.mkfifo(name, 0o600, dir_fd=self.fd)
                fds.append(os.open(name, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self.fd))
        except OSError:
            for fd in fds:
                os.close(fd)
            raise
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
        """Take the gate away; its last write stays known as the time of the start."""
        try:
            os.rename(GATE, STARTED, src_dir_fd=self.fd, dst_dir_fd=self.fd)
        except FileNotFoundError:  # a delete was quicker
            return
        self._unlink(REPORT)

    # -- the end -----------------------------------------------------------------------------------

    def _unlink(self, name: str) -> None:
        try:
            os.unlink(name, dir_fd=self.fd)
        except FileNotFoundError:  # another delete was quicker
            return

    def remove(self) -> None:
        """Remove the directory with all that it holds, if it still has its id. The lock is held.

        Failure: something is mounted in it; then it keeps its id.
        """
        if not self.is_current():
            return
        hidden = state_root.withdraw(self.root_fd, self.id)
        try:
            for name in (STATE, CONFIG, INTENTS, STARTED, END):
                self._unlink(name)
            os.rmdir(hidden, dir_fd=self.root_fd)
        except OSError:  # there is more in it
            self._remove_tree(hidden)

    def _remove_tree(self, hidden: str) -> None:
        from pyrunc.host import files

        try:
            # What a create that failed has left goes without a descriptor: there may be none.
            for name in (GATE, REPORT, f".{STATE}", f".{CONFIG}"):
                self._unlink(name)
            os.rmdir(hidden, dir_fd=self.root_fd)
            return
        except OSError:  # something else
            pass
        try:
            files.remove_tree(self.root_fd, hidden, self.fd)
        except Failure:
            state_root.give_back(self.root_fd, hidden, self.id)
            raise
