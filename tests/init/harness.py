# SPDX-License-Identifier: Apache-2.0
"""Starts the init with hand-made plans and talks with it as pyrunc does."""

from __future__ import annotations

import errno
import os
import signal
import struct
import tempfile
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from pyrunc.host import syscalls
from pyrunc.init import messages, ops
from pyrunc.init.ops import Op
from tests.support.wait import readable

if TYPE_CHECKING:
    from collections.abc import Iterator

AWAIT, FORKED, ERROR = messages.AWAIT, messages.FORKED, messages.ERROR
GO, EXEC, HOOK = messages.GO, messages.EXEC, messages.HOOK
MESSAGE = messages.MESSAGE
HEADER = struct.Struct("<8sQIIII")
MAGIC = b"PYRUNC\0\1"
PATIENCE_S = 20

TREE = Path(__file__).resolve().parents[2]
# PYRUNC_INIT: that of another machine, which the kernel runs by an emulator (make test-arm64).
PROGRAM = Path(os.environ.get("PYRUNC_INIT", TREE / "build" / "pyrunc-init"))
BUSYBOX = Path("/bin/busybox")

CLONE_NEWTIME = 0x80
CLONE_NEWNS = 0x20000
CLONE_NEWCGROUP = 0x2000000
CLONE_NEWUTS = 0x4000000
CLONE_NEWIPC = 0x8000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
MS_REC, MS_PRIVATE, MS_SLAVE = 0x4000, 0x40000, 0x80000

ROOT, HOST, PROC, FIRST = 100, 101, 102, 110  # slots that the tests use


class Message:
    """One report of the init."""

    def __init__(self, data: bytes, fds: list[int]) -> None:
        self.type, self.op, self.step, self.value, detail = MESSAGE.unpack(data)
        self.detail = detail.rstrip(b"\0").decode("utf-8", "replace")
        self.fds = fds


class Failed:
    """An ERROR message in words."""

    def __init__(self, plan: Sequence[Op], message: Message) -> None:
        known = message.op < len(plan)
        self.op = plan[message.op].NAME if known else ""
        self.step = plan[message.op].STEPS[message.step] if known else ""
        self.value = message.value
        self.errno = errno.errorcode.get(message.value, str(message.value))
        self.detail = message.detail

    def __repr__(self) -> str:
        return f"{self.op}.{self.step}: {self.errno} {self.detail!r}"

    @property
    def short(self) -> tuple[str, str, str]:
        return (self.op, self.step, self.errno)


def encode(plan: Sequence[Op], objects: int = 0) -> bytes:
    body = b"".join(op.encode() for op in plan)
    length = HEADER.size + len(body)
    return HEADER.pack(MAGIC, ops.DIGEST, length, len(plan), objects, 0) + body


def program() -> int:
    return syscalls.memfd_sealed(b"pyrunc-init", PROGRAM.read_bytes(), exec=True)


@contextmanager
def _stdio(output: int, stdin: int | None) -> Iterator[None]:
    """For the time of a spawn the child's standard descriptors are ours."""
    saved = [os.dup(fd) for fd in range(3)]
    null = os.open("/dev/null", os.O_RDWR)
    try:
        os.dup2(null if stdin is None else stdin, 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        yield
    finally:
        for fd, copy in enumerate(saved):
            os.dup2(copy, fd)
            os.close(copy)
        os.close(null)


class Init:
    """A started init."""

    def __init__(
        self,
        plan: Sequence[Op],
        *,
        objects: Sequence[int] = (),
        data: bytes | None = None,
        plan_fd: int | None = None,
        base: int = 3,
        argv0: bytes | None = None,
        output: int | None = None,
        stdin: int | None = None,
    ) -> None:
        self.plan = plan
        self.pids: list[int] = []
        self.hooks: list[int] = []  # the ops of hooks that have ended well
        self.sync, theirs = syscalls.socketpair_seqpacket()
        exe = program()
        if plan_fd is None:
            content = encode(plan, len(objects)) if data is None else data
            plan_fd = syscalls.memfd_sealed(b"plan", content, exec=False)
        self.output = tempfile.TemporaryFile()
        name = b"pyrunc-init:%d" % base if argv0 is None else argv0
        try:
            with _stdio(self.output.fileno() if output is None else output, stdin):
                pid, self.pidfd = syscalls.spawn(
                    exe, name, [theirs, plan_fd, exe, *objects], base=base
                )
        finally:
            for fd in (theirs, plan_fd, exe):
                os.close(fd)
        self.pids.append(pid)

    @property
    def pid(self) -> int:
        """The process that goes on with the plan."""
        return self.pids[-1]

    def receive(self) -> Message | None:
        """The next report; None at the end."""
        assert readable(self.sync, PATIENCE_S), "the init says nothing"
        try:
            data, fds = syscalls.recv_message(self.sync, MESSAGE.size, 8)
        except ConnectionResetError:
            return None
        if not data:
            return None
        message = Message(data, fds)
        if message.type == FORKED:
            self.pids.append(message.value)
            return self.receive()
        if message.type == HOOK:
            self.hooks.append(message.op)
            return self.receive()
        return message

    def go(self, *fds: int) -> None:
        syscalls.send_message(self.sync, MESSAGE.pack(GO, 0, 0, 0, b""), fds)

    def pause(self) -> Message:
        """Wait until the init waits for us, and leave it there."""
        message = self.receive()
        assert message is not None, f"ended: {self.text()}"
        assert message.type == AWAIT, Failed(self.plan, message)
        return message

    def fail(self) -> Failed:
        """The failure, with every rendezvous answered."""
        message = self.receive()
        while message is not None and message.type == AWAIT:
            self.go()
            message = self.receive()
        assert message is not None, f"no report, status {self.wait()}: {self.text()}"
        assert message.type == ERROR, f"message of type {message.type}: {self.text()}"
        return Failed(self.plan, message)

    def succeed(self) -> int:
        """Answer every rendezvous, see the program start, and return its exit status."""
        message = self.receive()
        while message is not None and message.type == AWAIT:
            self.go()
            message = self.receive()
        assert message is not None, f"no report, status {self.wait()}: {self.text()}"
        assert message.type == EXEC, Failed(self.plan, message)
        end = self.receive()
        assert end is None, Failed(self.plan, end)
        return self.wait()

    def wait(self) -> int:
        """The exit status, or minus the signal, of the process that went on."""
        status = 0
        for pid in self.pids:
            status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        self.pids = []
        return status

    def text(self) -> str:
        self.output.seek(0)
        return self.output.read().decode("utf-8", "replace")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self.sync)
        os.close(self.pidfd)
        for pid in self.pids:
            try:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            except (ProcessLookupError, ChildProcessError):
                pass  # reaped already: nothing but us can have done that
        self.output.close()


def failure(plan: Sequence[Op], **more: object) -> Failed:
    """Run a plan that fails."""
    with Init(plan, **more) as init:  # type: ignore[arg-type]
        return init.fail()


def output(plan: Sequence[Op], **more: object) -> str:
    """Run a plan to the end of its program, which must succeed."""
    with Init(plan, **more) as init:  # type: ignore[arg-type]
        status = init.succeed()
        assert status == 0, f"status {status}: {init.text()}"
        return init.text()


def stop() -> Op:
    """An op at which the test looks at the init from outside."""
    return ops.Await(name=ops.RENDEZVOUS_HOOKS, slot=0, count=0)


def private_mounts() -> list[Op]:
    return [
        ops.Unshare(flags=CLONE_NEWNS),
        ops.PropagateRoot(flags=MS_REC | MS_PRIVATE),
    ]


def enter(rootfs: Path) -> list[Op]:
    """In a new mount namespace, with the rootfs as root."""
    return [
        *private_mounts(),
        ops.AttachRoot(slot=ROOT, path=str(rootfs), ask=0),
        ops.EnterRoot(root=ROOT, host=HOST),
    ]


def tmpfs(slot: int, *options: str, attributes: int = 0) -> Op:
    return ops.NewMount(
        slot=slot, fstype="tmpfs", source="tmpfs", options=options, attributes=attributes
    )


def attach(slot: int, path: str, flags: int = 0) -> Op:
    return ops.Attach(slot=slot, path=path, flags=flags)


def clone(slot: int, path: str | Path, *, kind: int = 0, rdev: int = 0, recursive: int = 0) -> Op:
    return ops.CloneTree(
        slot=slot, path=str(path), recursive=recursive, nofollow=0, type=kind, rdev=rdev, ask=0
    )


def execute(
    *argv: str,
    env: Sequence[str] = ("PATH=/bin",),
    home: int = ops.NO_INDEX,
    listen: int = ops.NO_INDEX,
    preserved: int = 0,
) -> list[Op]:
    return [
        ops.FindExecutable(name=argv[0], search="/bin:/usr/bin"),
        ops.Execute(argv=argv, env=env, home=home, listen=listen, preserved=preserved),
    ]


def shell(script: str) -> list[Op]:
    return execute("/bin/sh", "-c", script)


Start = Callable[[Sequence[Op]], Init]
