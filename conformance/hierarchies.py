# SPDX-License-Identifier: Apache-2.0
"""A view of the cgroup hierarchies in which every runtime works, in a mount namespace of its own.

On a host of version 1 whose unified hierarchy offers a controller as well, crun refuses to start,
and a hierarchy that somebody mounted elsewhere is in /proc/self/cgroup but has no mount point here,
which the statistics of containerd and runc do not survive. With every controller of the kernel
mounted on version 1 neither is the case, and the host's own mounts stay as they are.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
# Version 1 controllers that a host may have left unmounted.
CONTROLLERS = ("hugetlb", "net_cls", "net_prio", "perf_event")
ENTER = """
set -e
missing=$1
shift
[ -n "$missing" ] || exec "$@"
# The hierarchies move onto a tmpfs of this mount namespace, which nobody else sees.
stage=$(mktemp -d)
mount -t tmpfs -o mode=755 tmpfs "$stage"
for path in /sys/fs/cgroup/*/; do
    name=$(basename "$path")
    mountpoint -q "$path" || continue
    mkdir "$stage/$name"
    mount --move "$path" "$stage/$name"
done
mount --move "$stage" /sys/fs/cgroup
rmdir "$stage"
for name in $missing; do
    mkdir "/sys/fs/cgroup/$name"
    mount -t cgroup -o "$name" "$name" "/sys/fs/cgroup/$name"
done
exec "$@"
"""


def missing() -> list[str]:
    """Return the controllers that this kernel has on version 1 and that are not mounted."""
    if not (CGROUP / "pids").is_dir():
        return []
    lines = Path("/proc/cgroups").read_text().splitlines()[1:]
    offered = {line.split()[0] for line in lines}
    return [name for name in CONTROLLERS if name in offered and not (CGROUP / name).is_mount()]


def inside(argv: Sequence[str]) -> list[str]:
    """Return the command that runs `argv` in a mount namespace with no controller missing."""
    enter = ("unshare", "-m", "--propagation", "private", "sh", "-c", ENTER, "sh")
    return [*enter, " ".join(missing()), *argv]


def mount_here() -> None:
    """Mount what is missing in the mount namespace of the caller, which must be a private one."""
    subprocess.run(["sh", "-c", ENTER, "sh", " ".join(missing()), "true"], check=True)


def unmount_here() -> None:
    """Give up the hierarchies that nobody but the caller has mounted."""
    for name in CONTROLLERS:
        if (CGROUP / name).is_mount():
            subprocess.run(["umount", str(CGROUP / name)], check=True)
    settle()


def settle() -> None:
    """Wait until the hierarchies that only such a view used are gone.

    A removed group lingers for a while, and a hierarchy with one outlives its last mount, which
    confuses whoever reads /proc/cgroups. Unmounting it once more gives it up.
    """
    script = (
        'd=$(mktemp -d); for n in "$@"; do mount -t cgroup -o $n $n $d && umount $d; done; rmdir $d'
    )
    for _ in range(20):
        lines = [line.split() for line in Path("/proc/cgroups").read_text().splitlines()]
        alive = [words[0] for words in lines if words[0] in missing() and words[1] != "0"]
        if not alive:
            return
        subprocess.run(["unshare", "-m", "sh", "-c", script, "sh", *alive], check=True)
        time.sleep(0.5)
