# SPDX-License-Identifier: Apache-2.0
"""Run the stock interpreter for the few steps whose libraries the launcher cannot link.

`make install` puts the libraries below libexec, a checkout has them in .venv.
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

INTERPRETERS = ("/usr/bin/python3", "/usr/local/bin/python3")


MAX_ANSWER = 1 << 20


class Environment:
    """An interpreter, the directory of our package, and where libraries are."""

    __slots__ = ("libraries", "package", "python")

    def __init__(self, *, python: str, package: str, libraries: str) -> None:
        self.python = python
        self.package = package
        self.libraries = libraries

    def script(self, program: str) -> str:
        """Return the file of one of our programs."""
        return f"{self.package}/helpers/{program}.py"


def interpreter(*, purpose: str) -> Environment:
    """Return the environment for a program of ours that needs no library."""
    python = _python()
    for package, libraries in _places():
        if python and os.path.isdir(package):
            return Environment(python=python, package=package, libraries=libraries)
    raise HostError(
        f"{purpose} needs the system's python3 and the package of pyrunc",
        hint="`make install` installs the package; the Debian package is python3",
    )


def _python() -> str:
    return next((path for path in INTERPRETERS if os.access(path, os.X_OK)), "")


def find(library: str, *, purpose: str) -> Environment:
    """Return the environment that has a library."""
    python = _python()
    tried = []
    for package, libraries in _places():
        tried.append(libraries)
        if python and os.path.isdir(f"{libraries}/{library}") and os.path.isdir(package):
            return Environment(python=python, package=package, libraries=libraries)
    raise HostError(
        f"{purpose} needs the Python library {library}, which is not installed",
        hint=f"`make install` installs it; looked for python3 and in {', '.join(tried)}",
    )


def _places() -> Iterator[tuple[str, str]]:
    """(our package, libraries): beside this file, else beside the program."""
    if not getattr(sys, "frozen", False) and "__file__" in globals():
        package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
        yield package, os.path.join(os.path.dirname(package), "site-packages")
        for path in sys.path:
            yield package, path
        return
    base = os.path.dirname(os.path.dirname(os.readlink("/proc/self/exe")))
    yield f"{base}/libexec/pyrunc/pyrunc", f"{base}/libexec/pyrunc/site-packages"
    lib = f"{base}/.venv/lib"
    for name in sorted(os.listdir(lib)) if os.path.isdir(lib) else ():
        yield f"{base}/pyrunc", f"{lib}/{name}/site-packages"


def start(
    environment: Environment,
    program: str,
    words: Sequence[str],
    *,
    stdin: int,
    output: int,
    setsid: bool = False,
) -> int:
    """Start a helper program; return its pidfd.

    The program gets nothing of the caller but its arguments.
    """
    argv = [environment.python, "-ISBXutf8", environment.script(program), *words]
    _pid, pidfd = syscalls.run_program(
        os.fsencode(environment.python),
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
        raise HostError(f"{environment.script(program)} failed: {last or ended}", pointer=pointer)
    found = jsontext.decode(last)
    return found if isinstance(found, dict) else {}
