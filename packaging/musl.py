# SPDX-License-Identifier: Apache-2.0
"""Makes a compiler for musl that finds libseccomp: `musl.py OUT` leaves OUT/cc and the archive.

Debian has musl, and libseccomp for glibc only. So libseccomp is built from Debian's source, as the
interpreter of the launcher is (csrc/launcher/cpython/build.py).
"""

from __future__ import annotations

import os
import shutil
import sys
import tarfile
from pathlib import Path

TREE = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TREE / "csrc/launcher/cpython"))
import build  # noqa: E402  # beside the launcher, which needs it first

# musl-gcc hides the system's headers; those of the kernel and of Python are looked up last. What
# setuptools adds names glibc's directory, so that of musl comes before.
COMPILER = """#!/bin/sh
[ "$1" != --print-multiarch ] || exit 0 # it would name the directory of glibc
exec musl-gcc -B{out} -L/usr/lib/{machine}-linux-musl \\
    -idirafter /usr/include -idirafter /usr/include/{machine}-linux-gnu "$@"
"""
FLAGS = "-O2 -g0 -fPIC -fstack-protector-strong -ffile-prefix-map={tree}=."
# Its table of names is in the archive as gperf has written it.
OPTIONS = ("-q", "--disable-shared", "--disable-python", "ac_cv_prog_GPERF=true")


def compiler(out: Path) -> Path:
    """Write the compiler."""
    path = out / "cc"
    path.write_text(COMPILER.format(out=out, machine=os.uname().machine))
    path.chmod(0o755)
    return path


def library(out: Path) -> None:
    """Build libseccomp.a."""
    work = out / "work"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    env = build.apt_environment(work)
    fetch = ("apt-get", "-qq", "source", "--download-only", "--tar-only", "libseccomp")
    build.run(*fetch, cwd=work, env=env)
    with tarfile.open(build.one(work, "libseccomp_*.orig.tar.gz")) as content:
        content.extractall(work, **build.FILTER)
    tree = build.one(work, "libseccomp-*")
    # The rule that would write these again is not needed, whatever the times of the archive are.
    for name in ("src/syscalls.perf", "src/syscalls.perf.c"):
        (tree / name).touch()
    env = {**os.environ, "CC": str(out / "cc"), "CFLAGS": FLAGS.format(tree=tree)}
    build.run("./configure", *OPTIONS, f"--host={os.uname().machine}-linux-musl", cwd=tree, env=env)
    build.run("make", "-s", "-C", "include", cwd=tree, env=env)
    build.run("make", "-s", "-C", "src", "libseccomp.la", cwd=tree, env=env)
    shutil.move(tree / "src/.libs/libseccomp.a", out / "libseccomp.a")
    shutil.rmtree(work)


def main() -> None:
    out = Path(sys.argv[1]).resolve()
    out.mkdir(parents=True, exist_ok=True)
    compiler(out)
    try:
        library(out)
    except (build.BuildError, OSError, tarfile.TarError) as error:
        raise SystemExit(f"musl.py: cannot build libseccomp: {error}") from error


if __name__ == "__main__":
    main()
