# SPDX-License-Identifier: Apache-2.0
"""What a program uses: every system call, and the files, devices and capabilities with it.

A process of ours traces the program (`host/ptrace.py`) from before its execve on. At the entry of
each call the configuration's own filter is run for it (`bpf.run`), to tell what passes, and its
arguments are read from the memory of the task. Another thread may change them before the kernel
reads them: this is for learning, and no control.
"""

from __future__ import annotations

import errno
import os
import stat

from pyrunc import jsontext
from pyrunc.errors import HostError
from pyrunc.host import capability_trace, ptrace, syscalls
from pyrunc.seccomp import bpf, names, path_calls
from pyrunc.seccomp.opcodes import RETURN
from pyrunc.seccomp.refusals import (
    PASSES,
    Refusal,
    answer,
    call_name,
    close_all_but,
    collect,
    without_data,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final, NoReturn

    from pyrunc.seccomp.filter import Filter

    File = tuple[str, str, list[int], int]

AT_FDCWD: Final = 0xFFFFFF9C  # as 32 bits
PATH_MAX: Final = 4096
PAGE: Final = 4096  # or a multiple of it
SOCKADDR_UN: Final = 110
RESOLVE_IN_ROOT: Final = 0x10
O_PATH: Final = os.O_PATH
MAX_FILES: Final = 20000
DRAIN_EVERY: Final = 64  # calls
AF_UNIX: Final = 1
EXECUTES: Final = ("execve", "execveat")
DENIALS: Final = (-errno.EPERM, -errno.EACCES)
KINDS: Final = {stat.S_IFCHR: "c", stat.S_IFBLK: "b", stat.S_IFDIR: "d", stat.S_IFSOCK: "s"}
COMPLETE: Final = b"\0"  # behind the report


class Watch:
    """A look at everything that one process and its descendants do."""

    __slots__ = (
        "_calls",
        "_counts",
        "_denied",
        "_files",
        "_inside",
        "_instructions",
        "_pid",
        "_report",
        "_root_mount",
        "_started",
        "_trace",
        "_unknown",
    )

    def __init__(self, original: Filter | None) -> None:
        everything = [(RETURN, 0, 0, names.ALLOW)]
        self._instructions = everything if original is None else bpf.decode(original.program)
        self._pid = self._report = -1
        # From here on in the tracer.
        self._counts: dict[tuple[int, int, int], int] = {}
        # path -> what for, kind and numbers of the file, and whether it is on the root file system;
        # a kind is empty where there is no file
        self._files: dict[str, dict[str, Any]] = {}
        self._denied: dict[str, int] = {}  # calls that passed and ended with EPERM or EACCES
        self._inside: dict[int, str] = {}  # task -> the call that it is in
        self._unknown = ""  # why the kernel does not tell the capabilities
        self._trace: capability_trace.CapabilityTrace | None = None
        self._started = False  # the program has: what was before is the init's
        self._root_mount = -1
        self._calls = 0

    def verdict(self, token: int, number: int, args: tuple[int, ...] = ()) -> int:
        """Return what the original filter returns."""
        return answer(self._instructions, token, number, args)

    def start(self, pid: int) -> None:
        """Start to trace a process that has not executed its program yet."""
        attached, told = os.pipe()
        report, write_end = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            self._trace_and_exit(pid, told, write_end)
        os.close(told)
        os.close(write_end)
        self._report = report
        told_error = os.read(attached, 1)
        os.close(attached)
        if told_error != b"\0":
            os.waitpid(self._pid, 0)
            os.close(report)
            self._report = -1
            raise HostError(
                "cannot trace the program for --learn: ptrace",
                errno=told_error[0] if told_error else errno.EIO,
                hint="it needs CAP_SYS_PTRACE, and that nobody else traces the program",
            )

    # -- in the tracer -----------------------------------------------------------------------------

    def _trace_and_exit(self, pid: int, told: int, write_end: int) -> NoReturn:
        status = 1
        try:
            # A copy of the caller's sockets here would hide its death from the container's init.
            close_all_but(told, write_end)
            os.setsid()
            if ptrace.attach_from_child(pid, told):
                os.close(told)
                ptrace.follow(pid, self)
                with open(write_end, "wb") as file:
                    file.write(self._encode() + COMPLETE)
                status = 0
        finally:
            if self._trace is not None:
                self._trace.close()
            os._exit(status)

    def enters(self, pid: int, architecture: int, number: int, args: tuple[int, ...]) -> None:
        """Note a call, as `ptrace.follow` asks."""
        x32 = architecture == names.X86_64 and number & names.X32_BIT
        token = names.X32 if x32 else architecture
        name = call_name(token, number)
        if name in EXECUTES:
            self._executes(pid)
        if not self._started:
            return
        action = self.verdict(token, number, args)
        key = (token, number, action)
        self._counts[key] = self._counts.get(key, 0) + 1
        if passes(action):
            self._inside[pid] = name
            self._look(name, pid, args)
        self._calls += 1
        if self._trace is not None and self._calls % DRAIN_EVERY == 0:
            self._trace.drain()

    def leaves(self, pid: int, value: int) -> None:
        """Note what was denied by others than the filter."""
        name = self._inside.pop(pid, "")
        if name and value in DENIALS:
            self._denied[name] = self._denied.get(name, 0) + 1

    def _executes(self, pid: int) -> None:
        """Follow a task from its first program on; children are followed by themselves."""
        if not self._started:
            self._started = True
            try:
                self._trace = capability_trace.CapabilityTrace()
            except capability_trace.NotPossible as error:
                self._unknown = str(error)
        if self._trace is not None:
            self._trace.follow(pid)

    def _look(self, name: str, pid: int, args: tuple[int, ...]) -> None:
        for directory, path, purpose in path_calls.PATH_CALLS.get(name, ()):
            try:
                self._note(pid, args, directory, path, purpose)
            except OSError:  # the task has ended, or the address is none: no file was used
                continue

    def _note(
        self, pid: int, args: tuple[int, ...], directory: int, path: int, purpose: str
    ) -> None:
        start = args[directory] & names.WORD if directory >= 0 else AT_FDCWD
        if path < 0:
            self._keep(pid, _opened(pid, f"fd/{start}"), purpose)
            return
        if purpose == path_calls.SOCKET:
            text, purpose = _socket_path(pid, args[path], args[2]), path_calls.WRITE
        else:
            text = _text(pid, args[path])
        if purpose.startswith("flags"):
            purpose = path_calls.access_of(args[int(purpose[5:])])
        elif purpose.startswith("how"):
            flags = int.from_bytes(_memory(pid, args[int(purpose[3:])], 8), "little")
            purpose = path_calls.access_of(flags)
        full = _absolute(pid, start, text) if text else ""
        if full:
            self._keep(pid, _file(pid, full), purpose)
        if full and purpose == path_calls.WRITE:  # the name itself, as unlink and rename
            self._keep(pid, _file(pid, full, more=os.O_NOFOLLOW), purpose)

    def _keep(self, pid: int, file: File, purpose: str) -> None:
        if self._root_mount < 0:
            self._root_mount = _file(pid, "/")[3]
        real, kind, device, mount = file
        if real not in self._files and len(self._files) >= MAX_FILES:
            return
        known = self._files.setdefault(
            real,
            {"access": "", "kind": kind, "device": device, "root": mount == self._root_mount},
        )
        known["access"] = "".join(sorted({*known["access"], *purpose}))
        if kind and not known["kind"]:  # it was made since
            known.update(kind=kind, device=device)

    def _encode(self) -> bytes:
        capabilities: dict[str, list[str]] | None = None
        if self._trace is not None:
            self._trace.finish()
            if self._trace.lost:
                self._unknown = "the kernel's trace buffer ran over"
            else:
                used = self._trace.used.items()
                capabilities = {str(number): sorted(calls) for number, calls in sorted(used)}
        record = {
            "calls": [[*key, count] for key, count in self._counts.items()],
            "files": self._files,
            "capabilities": capabilities,
            "unknown": self._unknown,
            "denied": self._denied,
        }
        return jsontext.encode(record).encode("utf-8", "surrogateescape")

    # -- in the caller -----------------------------------------------------------------------------

    def learned(self) -> dict[str, Any] | None:
        """Wait for the tracer; return what was seen, None when no program came so far."""
        if self._report < 0:
            return None
        report, self._report = self._report, -1
        data = collect(self._pid, report, COMPLETE, name="tracer of --learn")
        record = jsontext.decode(data.decode("utf-8", "surrogateescape"))
        return record if isinstance(record, dict) else None


def add(record: dict[str, Any], earlier: dict[str, Any]) -> dict[str, Any]:
    """Return what was seen in two runs together. Capabilities are known only if both times."""
    counts: dict[tuple[int, ...], int] = {}
    for *key, count in (*earlier["calls"], *record["calls"]):
        counts[tuple(key)] = counts.get(tuple(key), 0) + count
    files = dict(earlier["files"])
    for path, file in record["files"].items():
        access = "".join(sorted({*file["access"], *files.get(path, file)["access"]}))
        files[path] = {**file, "access": access}
    before, now = earlier["capabilities"], record["capabilities"]
    together = None
    if before is not None and now is not None:
        together = {
            key: sorted({*before.get(key, ()), *now.get(key, ())})
            for key in sorted({*before, *now}, key=int)
        }
    return {
        "calls": [[*key, count] for key, count in counts.items()],
        "files": files,
        "capabilities": together,
        "unknown": record["unknown"] or earlier["unknown"],
        "denied": {**earlier["denied"], **record["denied"]},
    }


def passes(action: int) -> bool:
    """Tell whether a filter that returns this lets the call pass."""
    return without_data(action) in PASSES


def calls(record: dict[str, Any]) -> tuple[list[Refusal], list[Refusal]]:
    """Return the calls that passed, and those that the original filter refused."""
    rows = [Refusal(*row) for row in record["calls"]]
    passed = [row for row in rows if passes(row.action)]
    return passed, [row for row in rows if not passes(row.action)]


def _memory(pid: int, address: int, size: int) -> bytes:
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as file:
        file.seek(address)
        return file.read(size)


def _text(pid: int, address: int) -> bytes:
    """Return the string at an address; it may end on the last page that there is."""
    if address == 0:
        return b""
    first = -address % PAGE or PAGE
    data = _memory(pid, address, first)
    if b"\0" not in data:
        data += _memory(pid, address + first, PATH_MAX)
    return data.partition(b"\0")[0]


def _socket_path(pid: int, address: int, size: int) -> bytes:
    """Return the path in a `struct sockaddr_un`; empty for any other address."""
    data = _memory(pid, address, min(size, SOCKADDR_UN))
    family, path = data[:2], data[2:].partition(b"\0")[0]
    return path if int.from_bytes(family, "little") == AF_UNIX else b""


def _absolute(pid: int, start: int, text: bytes) -> str:
    """Return the path that a call means, as its task sees it; empty when it cannot be told."""
    path = os.fsdecode(text)
    if not path.startswith("/"):
        link = "cwd" if start == AT_FDCWD else f"fd/{start}"
        base = os.readlink(f"/proc/{pid}/{link}")
        if not base.startswith("/"):  # a pipe, a socket, or what the task cannot reach
            return ""
        path = f"{base}/{path}"
    return os.path.normpath(path)


def _opened(pid: int, link: str) -> File:
    """Describe what a link in the /proc directory of the task leads to."""
    fd = os.open(f"/proc/{pid}/{link}", O_PATH | os.O_CLOEXEC)
    try:
        return _describe(fd)
    finally:
        os.close(fd)


def _file(pid: int, path: str, *, more: int = 0) -> File:
    """Describe a file of the task.

    Of a file that is not there, the mount is that of the next directory that is.
    """
    root = os.open(f"/proc/{pid}/root", O_PATH | os.O_CLOEXEC)
    try:
        fd = syscalls.openat2(root, path, O_PATH | os.O_CLOEXEC | more, resolve=RESOLVE_IN_ROOT)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR) or path == "/":
            raise
        return path, "", [], _file(pid, os.path.dirname(path))[3]
    finally:
        os.close(root)
    try:
        return _describe(fd)
    finally:
        os.close(fd)


def _describe(fd: int) -> File:
    """Return path without links, kind, device numbers and mount."""
    record = os.fstat(fd)
    kind = KINDS.get(stat.S_IFMT(record.st_mode), "f")
    numbers = [os.major(record.st_rdev), os.minor(record.st_rdev)] if kind in "cb" else []
    return os.readlink(f"/proc/self/fd/{fd}"), kind, numbers, syscalls.mount_id(fd)
