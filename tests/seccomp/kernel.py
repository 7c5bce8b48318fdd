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
