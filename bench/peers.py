# SPDX-License-Identifier: Apache-2.0
"""The newest crun and runc that Debian gives, into a directory, for measurements only.

``python3 -m bench.peers build/peers``. crun is built from the newest source that the mirror has,
with the host's compiler, and linked statically, without what needs a shared library (systemd,
CRIU, WebAssembly). sid's own crun and runc come as they are, with the libraries that they are
linked with. Only what the build needs is installed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path

from tests.vm.images import apt_environment, install_on_host, mirror, one, run

SUITES = ("sid", "trixie", "bookworm")  # the newest first
BUILD_PACKAGES = (
    *("gcc", "make", "pkg-config", "patchelf", "python3", "gperf", "file"),
    *("autoconf", "automake", "libtool", "libcap-dev", "libseccomp-dev"),
)
OPTIONS = (
    *("--disable-shared", "--enable-static", "--disable-systemd", "--disable-criu"),
    *("--disable-dl", "--disable-bpf", "--enable-embedded-yajl"),
)
LIBRARIES = "usr/lib/x86_64-linux-gnu"


def environment(suite: str, directory: Path) -> dict[str, str]:
    """Make an environment in which apt knows a suite's packages and their sources."""
    state = directory / f"apt-{suite}"
    env = apt_environment(suite, state)
    lines = [f"{kind} {mirror()} {suite} main\n" for kind in ("deb", "deb-src")]
    (state / "sources").write_text("".join(lines))
    run("apt-get", "-qq", "update", env=env)
    return env


def fetch_source(directory: Path) -> Path:
    """Fetch the newest source of crun.

    A mirror may lack that of the newest package.
    """
    for suite in SUITES:
        source = directory / f"source-{suite}"
        shutil.rmtree(source, ignore_errors=True)
        source.mkdir()
        env = environment(suite, directory)
        try:
            # The tarball is all that is needed; apt checks it by the signed index.
            argv = ("apt-get", "-qq", "source", "--download-only", "--tar-only", "crun")
            run(*argv, cwd=source, env=env)
        except SystemExit as failure:
            print(f"bench: no source of crun in {suite}: {str(failure).splitlines()[1]}")
            continue
        run("tar", "-xf", str(one(source, "crun_*.orig.tar.*[!c]")), cwd=source)
        return one(source, "crun-*")
    raise SystemExit("bench: the mirror has no source of crun")


def build_crun(directory: Path) -> Path:
    """Build a static crun."""
    tree = fetch_source(directory)
    print(f"bench: building {tree.name}, which takes some minutes", flush=True)
    if "json-c" in (tree / "configure.ac").read_text():  # since 1.24, instead of yajl
        install_on_host(("libjson-c-dev",))
    header = tree / "git-version.h"
    if not header.exists():  # made from a git tree, and not part of every tarball
        header.write_text('#define GIT_VERSION "debian"\n')
    if not (tree / "configure").exists():
        run("autoreconf", "-fi", cwd=tree)
    build = {**os.environ, "CFLAGS": "-O2", "PKG_CONFIG": "pkg-config --static"}
    run("./configure", *OPTIONS, cwd=tree, env=build)
    run("make", f"-j{os.cpu_count()}", "LDFLAGS=-all-static", cwd=tree)
    program = directory / "crun-static"
    run("strip", "-o", str(program), str(tree / "crun"))
    shutil.rmtree(tree.parent)
    return program


def fetch(name: str, directory: Path) -> Path:
    """sid's program, told to use its own libraries."""
    env = environment(SUITES[0], directory)
    tree, packages = directory / f"{name}-tree", directory / f"{name}-packages"
    for old in (tree, packages):
        shutil.rmtree(old, ignore_errors=True)
    packages.mkdir()
    needed = run("apt-cache", "depends", "--recurse", "--important", name, env=env)
    names = {line for line in needed.splitlines() if line.startswith(("lib", name))}
    run("apt-get", "-qq", "download", *sorted(names), cwd=packages, env=env)
    for package in sorted(packages.glob("*.deb")):
        run("dpkg-deb", "-x", str(package), str(tree))
    shutil.rmtree(packages)
    program = directory / f"{name}-newest"
    shutil.copy(one(tree, f"usr/*bin/{name}"), program)
    libraries = tree / LIBRARIES
    loader = libraries / "ld-linux-x86-64.so.2"
    run("patchelf", "--set-interpreter", str(loader), str(program))
    run("patchelf", "--set-rpath", str(libraries), "--force-rpath", str(program))
    return program


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("directory", type=Path)
    directory = parser.parse_args().directory.resolve()
    directory.mkdir(parents=True, exist_ok=True)
    install_on_host(BUILD_PACKAGES)
    for program in (fetch("crun", directory), fetch("runc", directory), build_crun(directory)):
        print(f"bench: {program}: {run(str(program), '--version').splitlines()[0]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
