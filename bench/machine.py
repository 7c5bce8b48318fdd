# SPDX-License-Identifier: Apache-2.0
"""Makes the machine one on which every runtime works, for this process only."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
UNIFIED = CGROUPS / "unified"  # the cgroup2 tree of a hybrid layout
PRIVATE = "BENCH_PRIVATE_MOUNTS"


def enter_private_mounts(module: str = "bench") -> None:
    """Start over in a mount namespace, so that all mounts made here end with the process."""
    if os.environ.get(PRIVATE) != "1":
        argv = ["unshare", "--mount", sys.executable, "-m", module, *sys.argv[1:]]
        os.execvpe(argv[0], argv, {**os.environ, PRIVATE: "1"})


def make_state(scratch: Path) -> Path:
    """Make a directory for state on a tmpfs, as /run is: syncs cost nothing there."""
    target = scratch / "state"
    target.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=0700", "none", str(target)], check=True)
    return target


def empty_unified(scratch: Path) -> None:
    """Bind the controllers of a hybrid layout's cgroup2 tree to v1.

    crun refuses a hybrid layout while the cgroup2 tree offers a controller.
    """
    controllers = UNIFIED / "cgroup.controllers"
    for name in controllers.read_text().split() if controllers.exists() else ():
        target = scratch / name
        target.mkdir()
        command = ["mount", "-t", "cgroup", "-o", name, "none", str(target)]
        if subprocess.run(command, check=False).returncode:
            print(f"bench: the controller {name} stays with cgroup2: crun may refuse to work")


def leave(scratch: Path) -> None:
    """Give the controllers back, and remove what runtimes have left."""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        target = line.split()[1]
        if target.startswith(f"{scratch}/"):
            subprocess.run(["umount", target], check=False)
    for directory in CGROUPS.iterdir():
        # crun makes plain directories on the tmpfs for the controllers that are not mounted.
        if directory.is_dir() and not directory.is_symlink() and not directory.is_mount():
            for left in directory.glob(f"bench-{os.getpid()}-*"):
                shutil.rmtree(left)
            with contextlib.suppress(OSError):  # somebody else has something in it
                directory.rmdir()
