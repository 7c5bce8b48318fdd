# SPDX-License-Identifier: Apache-2.0
"""Runs our programs for the few steps whose libraries cannot be linked into the launcher.

They are together in one program that carries an interpreter and the libraries (packaging/helpers),
below libexec. Where that is missing, or cannot run because the host has no glibc, a python3 runs
them one by one, with libraries below libexec; in a checkout that is the one of .venv.
"""

from __future__ import annotations

import os
import sys

from pyrunc import jsontext
from pyrunc.errors import HostError
from pyrunc.host import syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

PYTHONS = ("/usr/bin/python3", "/usr/local/bin/python3")
PROGRAM = "pyrunc-helpers"
# The dynamic linkers of glibc, for which the program above was linked.
LOADERS = {"x86_64": "/lib64/ld-linux-x86-64.so.2", "aarch64": "/lib/ld-linux-aarch64.so.1"}
PYTHON_HINT = "libraries serve the Python they were installed for; pyrunc's helpers need none"
MAX_ANSWER = 1 << 20


class Environment:
    """What runs our programs: one program that holds them all, or an interpreter.

    `package` is the directory of pyrunc, `libraries` one that an interpreter imports from; both are
    empty for the program, which carries what it needs.
    """

    __slots__ = ("base", "libraries", "package", "program")

    def __init__(
        self, program: str, *, package: str = "", libraries: str = "", base: str = ""
    ) -> None:
        self.base = base  # the directory above all that was installed with the launcher
        self.program = program
        self.package = package
        self.libraries = libraries

    def runs(self) -> bool:
        return os.access(self.program, os.X_OK)

    def _changeable(self) -> str:
        """Return what lies below the base and can be changed by others than root and the caller.

        The owner of the launcher is as good as the caller: whoever runs it trusts them already.
        """
        if not self.base:
            return ""
        owners = {0, os.geteuid(), os.stat("/proc/self/exe").st_uid}
        for path in (self.program, self.package, self.libraries):
            while path == self.base or path.startswith(f"{self.base}/"):
                facts = os.stat(path) if os.path.exists(path) else None
                if facts is not None and (facts.st_uid not in owners or facts.st_mode & 0o002):
                    return path
                if path == self.base:
                    break
                path = os.path.dirname(path)
        return ""

    def missing(self, library: str) -> str:
        """Say what is not installed; empty when a library (or none, "") can be used."""
        if not self.runs():
            return f"{self.program} is missing"
        changeable = self._changeable()
        if changeable:
            return f"others may change {changeable}"
        if not self.package:
            loader = LOADERS.get(os.uname().machine, "")
            return "" if os.path.exists(loader) else f"{self.program} needs glibc's {loader}"
        if not os.path.isdir(self.package):
            return f"{self.package} is missing"
        if library and not os.path.isdir(f"{self.libraries}/{library}"):
            return f"the Python library {library} is not in {self.libraries}"
        return ""

    def command(self, name: str) -> list[str]:
        """Return the words that run one of our programs, before its own."""
        if not self.package:
            return [self.program, name]
        return [self.program, "-ISBXutf8", f"{self.package}/helpers/{name}.py"]


def find(library: str, *, purpose: str) -> Environment:
    """Find what runs a program that needs a Python library (or none, ""); HostError: nothing."""
    reasons: list[str] = []
    absent: list[str] = []  # interpreters
    interpreter = False
    for candidate in _candidates():
        reason = candidate.missing(library)
        if not reason:
            return candidate
        runs = candidate.runs()
        interpreter |= runs and bool(candidate.package)
        (reasons if runs or not candidate.package else absent).append(reason)
    if not interpreter:  # one is enough
        reasons += absent
    needed = f"python3 with the library {library}" if library else "python3"
    raise HostError(
        f"{purpose} needs pyrunc's helpers or {needed}: {'; '.join(dict.fromkeys(reasons))}",
        hint="the package of pyrunc and `make install` bring the helpers",
    )


def _candidates() -> Iterator[Environment]:
    """Look beside this file, else beside the program: the helpers first, then a Python."""
    if not getattr(sys, "frozen", False) and "__file__" in globals():
        package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
        for path in (os.path.join(os.path.dirname(package), "site-packages"), *sys.path):
            yield Environment(sys.executable, package=package, libraries=path)
        return
    base = os.path.dirname(os.path.dirname(os.readlink("/proc/self/exe")))
    installed = f"{base}/libexec/pyrunc"
    yield Environment(f"{installed}/helpers/{PROGRAM}", base=base)
    package, libraries = f"{installed}/pyrunc", f"{installed}/site-packages"
    for python in PYTHONS:
        yield Environment(python, package=package, libraries=libraries, base=base)
    lib = f"{base}/.venv/lib"
    for name in sorted(os.listdir(lib)) if os.path.isdir(lib) else ():
        libraries = f"{lib}/{name}/site-packages"
        python = f"{base}/.venv/bin/python"
        yield Environment(python, package=f"{base}/pyrunc", libraries=libraries, base=base)


def start(
    environment: Environment,
    program: str,
    words: Sequence[str],
    *,
    stdin: int,
    output: int,
    setsid: bool = False,
) -> int:
    """Start one of our programs; returns its pidfd, which the caller owns.

    The program gets nothing of the caller but its arguments.
    """
    argv = [*environment.command(program), *words]
    _pid, pidfd = syscalls.run_program(
        os.fsencode(environment.program),
        [os.fsencode(word) for word in argv],
        [],
        stdin_fd=stdin,
        stdout_fd=output,
        stderr_fd=output,
        cwd=b"/",
        setsid=setsid,
    )
    return pidfd


def ask(
    environment: Environment, program: str, request: Any, *, pointer: str = ""
) -> dict[str, Any]:
    """Run one of our programs, which reads a JSON text and answers with a line of JSON.

    HostError when it fails; what it printed last is the reason.
    """
    stdin = syscalls.memfd_sealed(b"pyrunc-request", jsontext.encode(request).encode())
    read, write = os.pipe2(os.O_CLOEXEC)
    try:
        os.lseek(stdin, 0, os.SEEK_SET)
        pidfd = start(environment, program, [environment.libraries], stdin=stdin, output=write)
    finally:
        os.close(stdin)
        os.close(write)
    data = b""
    while part := os.read(read, MAX_ANSWER):
        data = (data + part)[-MAX_ANSWER:]
    os.close(read)
    ended = syscalls.waitid_pidfd(pidfd)
    os.close(pidfd)
    last = (data.decode("utf-8", "replace").strip().splitlines() or [""])[-1]
    if ended != (syscalls.CLD_EXITED, 0):
        command = " ".join(environment.command(program))
        raise HostError(
            f"{command} failed: {last or ended}",
            pointer=pointer,
            hint="" if not environment.package else PYTHON_HINT,
        )
    answer = jsontext.decode(last)
    return answer if isinstance(answer, dict) else {}
