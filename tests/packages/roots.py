# SPDX-License-Identifier: Apache-2.0
"""Bare roots of Debian releases, and commands in them.

`python -m tests.packages.roots RELEASE -- COMMAND` runs one with the tree at /tree.
A root is made once by debootstrap below build/roots, from the mirror that the host's apt uses. A
command sees it through an overlay, so that each begins with the bare root, and with mounts of its
own: nothing is left mounted when it ends.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TREE = Path(__file__).resolve().parents[2]
ROOTS = TREE / "build/roots"
# What every reader of the README has already, and what reaches the package hosts.
BASE = ("ca-certificates", "git", "make", "gcc", "python3")
# What tells a program of the host how to reach package hosts.
CONFIGURATION = ("/etc/resolv.conf", "/etc/pip.conf", "/etc/ssl/certs/ca-certificates.crt")
APT_SETTINGS = re.compile(r"Acquire::(Check-|Retries|https?\b).*")
MOUNTS = """
set -eu
mount -t overlay -o "lowerdir=$LOWER,upperdir=$WORK/upper,workdir=$WORK/work" overlay "$WORK/root"
mount --rbind /proc "$WORK/root/proc"
mount --rbind /sys "$WORK/root/sys"
mount --rbind /dev "$WORK/root/dev"
mount -t tmpfs tmpfs "$WORK/root/tmp"
mount -t tmpfs tmpfs "$WORK/root/run"
mkdir -p "$WORK/root/tree"
[ -z "$TREE" ] || mount --bind "$TREE" "$WORK/root/tree"
exec "$PYTHON" -c "$ENTER"
"""
# Not chroot(2): the kernel refuses a user namespace to a process whose root is no mount's.
ENTER = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
def check(result):
    if result:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
old = os.open("/", os.O_DIRECTORY)
os.chdir(os.environ["WORK"] + "/root")
check(libc.pivot_root(b".", b"."))
os.fchdir(old)
check(libc.umount2(b".", 2))
os.chdir("/tree")
os.execv("/bin/sh", ["/bin/sh", "-c", os.environ["COMMAND"]])
"""


def apt_settings() -> str:
    """What apt was told here about mirrors: proxies, and how old their indexes may be."""
    dump = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=True)
    return "".join(f"{line}\n" for line in dump.stdout.splitlines() if APT_SETTINGS.match(line))


class RootError(Exception):
    """A root could not be made."""


def mirror() -> str:
    """The mirror of Debian's main archive that apt uses here."""
    form = "$(REPO_URI) $(RELEASE)"
    query = ["apt-get", "indextargets", "--format", form, "Created-By: Packages", "Origin: Debian"]
    for line in subprocess.run(query, capture_output=True, text=True, check=True).stdout.split(
        "\n"
    ):
        address, _, suite = line.partition(" ")
        if address and "-" not in suite:
            return address
    raise RootError("apt knows no mirror of Debian")


def base(release: str) -> Path:
    """The bare root of a release; made when it is missing."""
    root = ROOTS / release
    if root.exists():
        return root
    if not shutil.which("debootstrap"):
        raise RootError("debootstrap is missing (apt-get install debootstrap)")
    ROOTS.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f"{release}.", dir=ROOTS))
    unfinished.chmod(0o755)
    command = ["debootstrap", "--variant=minbase", f"--include={','.join(BASE)}", release]
    done = subprocess.run([*command, unfinished, mirror()], capture_output=True, text=True)
    if done.returncode:
        raise RootError(f"{shlex.join(command)}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    for name in CONFIGURATION:
        if os.path.exists(name):
            shutil.copyfile(name, f"{unfinished}{name}")
    (unfinished / "etc/apt/apt.conf.d/90host").write_text(apt_settings())
    unfinished.rename(root)
    return root


@contextmanager
def overlay(lower: Path) -> Iterator[Path]:
    """Directories for what a command changes; removed afterwards."""
    ROOTS.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix="change.", dir=ROOTS))
    try:
        for name in ("upper", "work", "root"):
            (work / name).mkdir(mode=0o755)
        yield work
    finally:
        shutil.rmtree(work)


def run(
    lower: Path, command: str, *, tree: Path | None = None, timeout_s: float = 1800
) -> subprocess.CompletedProcess[str]:
    """Run a shell command in a root, with `tree` at /tree; what it prints is returned."""
    with overlay(lower) as work:
        return subprocess.run(
            ["unshare", "--mount", "--propagation", "private", "/bin/sh", "-c", MOUNTS],
            env={
                **{name: value for name, value in os.environ.items() if name.startswith("PIP_")},
                "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "HOME": "/root",
                "LC_ALL": "C.UTF-8",
                "LOWER": str(lower),
                "WORK": str(work),
                "TREE": str(tree or ""),
                "COMMAND": command,
                "PYTHON": sys.executable,
                "ENTER": ENTER,
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout_s,
        )


def main() -> int:
    release, _, *words = sys.argv[1:]
    done = run(base(release), " ".join(words), tree=TREE)
    print(done.stdout, end="")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
