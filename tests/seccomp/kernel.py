# SPDX-License-Identifier: Apache-2.0
"""System calls under a filter, asked of the running kernel (probe.c)."""

from __future__ import annotations

import contextlib
import functools
import os
import pathlib
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator

from pyrunc.host import syscalls
from pyrunc.seccomp.filter import Filter
from tests.seccomp import support
from tests.seccomp.support import I386, X32, X32_BIT, X86_64

HERE = pathlib.Path(__file__).parent
Call = tuple[int, int, list[int]]  # 64 or 32, number, arguments


@functools.cache
def scratch() -> pathlib.Path:
    directory = tempfile.TemporaryDirectory(prefix="pyrunc-seccomp-")
    scratch.keep = directory  # type: ignore[attr-defined]  # removed when the interpreter ends
    return pathlib.Path(directory.name)


def missing() -> str:
    """Why the probe cannot be used here, or an empty string."""
    if platform.machine() != "x86_64":
        return "the probe is written for x86_64"
    return "" if shutil.which("musl-gcc") else "musl-gcc (package musl-tools) is missing"


@functools.cache
def probe() -> str:
    binary = scratch() / "probe"
    headers = ["-idirafter", "/usr/include", "-idirafter", "/usr/include/x86_64-linux-gnu"]
    flags = ["-static", "-O1", "-Wall", "-Wextra", "-Werror", *headers]
    subprocess.run(["musl-gcc", *flags, "-o", binary, HERE / "probe.c"], check=True)
    return str(binary)


def filter_file(compiled: Filter) -> str:
    path = scratch() / f"{abs(hash(compiled.program))}.bpf"
    path.write_bytes(compiled.program)
    return str(path)


def ask(compiled: Filter | None, calls: Iterable[Call]) -> list[str]:
    """What becomes of each call: "value N", "trap NR" or "signal N"."""
    lines = []
    for mode, number, args in calls:
        words = " ".join(hex(arg) for arg in [*args, 0, 0, 0, 0, 0, 0][:6])
        lines.append(f"{mode} {number:#x} {words}\n")
    file = "-" if compiled is None else filter_file(compiled)
    flags = 0 if compiled is None else compiled.flags & ~8  # nobody takes a listener here
    result = subprocess.run(
        [probe(), file, str(flags)],
        input="".join(lines),
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()


def run(compiled: Filter | None, *argv: str) -> subprocess.CompletedProcess[str]:
    """A program under the filter."""
    file = "-" if compiled is None else filter_file(compiled)
    flags = 0 if compiled is None else compiled.flags & ~8
    return subprocess.run(
        [probe(), file, str(flags), *argv],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.defpath},
        timeout=60,
    )


@contextlib.contextmanager
def with_listener(compiled: Filter, *argv: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A program under a filter with a listener: the process, held before the program starts, and
    the descriptor.

    `go_on` lets it start.
    """
    process = subprocess.Popen(
        [probe(), filter_file(compiled), str(compiled.flags), *argv],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={"PATH": os.defpath},
        bufsize=0,
    )
    try:
        assert process.stdout is not None
        word, number = process.stdout.readline().split()
        assert word == b"listener"
        pidfd = syscalls.pidfd_open(process.pid)
        listener = syscalls.pidfd_getfd(pidfd, int(number))
        os.close(pidfd)
        yield process, listener
    finally:
        process.kill()
        process.communicate()


def go_on(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    process.stdin.write(b"go\n")


# Calls that change nothing, with arguments on both sides of the borders that the profiles have.
HARMLESS: list[tuple[str, list[int]]] = [
    ("getpid", []),
    ("getppid", []),
    ("getuid", []),
    ("umask", [0o22]),
    ("sched_yield", []),
    ("getpgid", [0]),
    ("capget", [0, 0]),
    *[("personality", [value]) for value in (0xFFFFFFFF, 0x1_FFFF_FFFF)],
    *[("ioctl", [99, value]) for value in (0x5401, 0x5412, 0x1_0000_5412, 0x5413)],
    *[
        ("lseek", [0xFFFF, value, whence])
        for value in (0, 3, 5, 49, 50, 99, 100, 120, 0xFFFFFFFF, 0x1_0000_0000, 0x1_0000_0001)
        for whence in (0, 2, 7)
    ],
    *[("lseek", [0xFFFF, value, 3]) for value in (0x30, 0x13F, 0x3_0000_0003, 2**64 - 1)],
    *[("socket", [family, kind, 99]) for family in (1, 2, 12, 13, 40) for kind in (1, 0x80001, 2)],
    *[("mmap", [2**64 - 1 - index for index in range(6)]), ("mmap", [0, 0])],
    *[("cachestat", [value, 0, 0, 1]) for value in (5, 999)],
    ("fchmodat2", [99, 0, 0, 0xFFFF]),
    ("mseal", [1, 1, 1]),
    ("clone3", [0, 0]),
    ("unshare", [0x8000_0000]),
    ("setns", [0xFFFF, 0]),
    ("mount", [0, 0, 0, 0, 0]),
    ("umount2", [0, 0]),
    ("keyctl", [0xFFFF]),
    ("bpf", [0xFFFF, 0, 0]),
    ("perf_event_open", [0]),
    ("userfaultfd", [0xFFFF_FFFF]),
    ("ptrace", [0xFFFF, 0]),
    ("process_vm_readv", [0, 0, 0, 0, 0, 1]),
    ("open_by_handle_at", [0, 0, 0]),
    ("swapon", [0, 0]),
    ("init_module", [0, 0, 0]),
    ("kexec_load", [0, 1 << 32, 0, 0xFFFF]),
    ("io_uring_setup", [0, 0]),
    ("acct", [1]),
]


def calls() -> list[tuple[int, int, int, list[int]]]:
    """mode, machine as a filter sees it, number, arguments"""
    made = []
    for mode, machine, token in ((64, X86_64, X86_64), (32, I386, I386), (64, X86_64, X32)):
        for name, args in HARMLESS:
            number = support.number_of(token, name)
            if number >= 0:
                seen = [arg & 0xFFFFFFFF for arg in args] if mode == 32 else args
                made.append((mode, machine, number, seen))
        base = X32_BIT if token == X32 else 0
        made += [(mode, machine, base + number, []) for number in (480, 600, 5000)]
    return made


def comparable(answer: str) -> str:
    """Successful calls may give another number each time (a pid); failures may not."""
    kind, number = answer.split()
    return "success" if kind == "value" and int(number) >= 0 else answer
