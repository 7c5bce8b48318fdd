# SPDX-License-Identifier: Apache-2.0
"""AR-7: what is seen at the end is what the plan has put there, or the container does not start."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pyrunc.init import ops
from tests.init.harness import (
    FIRST,
    HOST,
    ROOT,
    Init,
    attach,
    enter,
    failure,
    stop,
    tmpfs,
)

pytestmark = pytest.mark.root

RDONLY, NOSUID = 1, 2


def check(path: str, index: int, attributes: int = 0) -> ops.Op:
    return ops.VerifyMount(path=path, attributes=attributes, magic=0, index=index)


def plan(rootfs: Path, mounts: list[tuple[str, int]], *after: ops.Op) -> list[ops.Op]:
    """Mount a tmpfs on each path, wait for the test, then go on."""
    head = enter(rootfs)
    made = [tmpfs(FIRST + i, attributes=flags) for i, (_, flags) in enumerate(mounts)]
    put = [attach(FIRST + i, path) for i, (path, _) in enumerate(mounts)]
    return [*head[:-1], *made, head[-1], *put, stop(), *after, stop()]


def beside(init: Init, *argv: str) -> None:
    """Run a command in the mount namespace and the root of the init."""
    prefix = ["nsenter", f"--mount=/proc/{init.pid}/ns/mnt", f"--root=/proc/{init.pid}/root"]
    subprocess.run([*prefix, "/bin/busybox", *argv], check=True)


def test_a_mount_that_is_as_planned_passes(rootfs: Path) -> None:
    mounts = [("/etc", RDONLY), ("/new/deep", NOSUID)]
    checks = check("/etc", 1, RDONLY), check("/new/../new/deep", 2, NOSUID)
    with Init(plan(rootfs, mounts, *checks)) as init:
        init.pause()
        init.go()
        init.pause()


@pytest.mark.parametrize("path", ["/etc", "/etc/", "/link"])
def test_a_mount_that_somebody_covers_is_noticed(rootfs: Path, path: str) -> None:
    (rootfs / "link").symlink_to("etc")
    with Init(plan(rootfs, [("/etc", 0)], check(path, 1))) as init:
        init.pause()
        beside(init, "mount", "-t", "tmpfs", "none", "/etc")
        init.go()
        assert init.fail().short == ("verify_mount", "mount", "ESTALE")


def test_a_mount_that_goes_away_with_its_directory_is_noticed(rootfs: Path) -> None:
    """A directory may be renamed in another mount namespace, whatever is mounted on it in this."""
    (rootfs / "volume/point").mkdir(parents=True)
    for place in ("absent", "another"):
        with Init(plan(rootfs, [("/volume/point", 0)], check("/volume/point", 1))) as init:
            init.pause()
            (rootfs / "volume/point").rename(rootfs / "volume/away")
            if place == "another":
                (rootfs / "volume/point").mkdir()
            init.go()
            assert init.fail().short == ("verify_mount", "mount", "ESTALE")
        if place == "another":
            (rootfs / "volume/point").rmdir()
        (rootfs / "volume/away").rename(rootfs / "volume/point")


def test_a_mount_that_is_gone_is_noticed(rootfs: Path) -> None:
    with Init(plan(rootfs, [("/etc", 0)], check("/etc", 1))) as init:
        init.pause()
        beside(init, "umount", "/etc")
        init.go()
        assert init.fail().short == ("verify_mount", "mount", "ESTALE")


def test_flags_that_are_lost_are_noticed(rootfs: Path) -> None:
    with Init(plan(rootfs, [("/etc", RDONLY)], check("/etc", 1, RDONLY))) as init:
        init.pause()
        namespace = f"--mount=/proc/{init.pid}/ns/mnt"
        argv = ["nsenter", namespace, "mount", "-o", "remount,bind,rw", str(rootfs / "etc")]
        subprocess.run(argv, check=True)
        init.go()
        assert init.fail().short == ("verify_mount", "flags", "EPERM")


@pytest.mark.parametrize("over", ["/a/b", "/a", "/also"])
def test_a_later_mount_of_the_plan_may_cover_an_earlier_one(rootfs: Path, over: str) -> None:
    """Where the path leads nowhere under the later one, too; a link is another name for it."""
    (rootfs / "a/b").mkdir(parents=True)
    (rootfs / "also").symlink_to("a")
    mounts = [("/a/b", RDONLY), (over, 0)]
    with Init(plan(rootfs, mounts, check("/a/b", 1, RDONLY), check(over, 2))) as init:
        init.pause()
        init.go()
        init.pause()


def test_an_earlier_mount_does_not_stand_for_a_later_one(rootfs: Path) -> None:
    (rootfs / "a/b").mkdir(parents=True)
    with Init(plan(rootfs, [("/a", 0), ("/a/b", 0)], check("/a/b", 2))) as init:
        init.pause()
        beside(init, "umount", "/a/b")
        init.go()
        assert init.fail().short == ("verify_mount", "mount", "ESTALE")


def test_a_mount_over_the_root_covers_the_earlier_ones(rootfs: Path) -> None:
    head = enter(rootfs)
    covered = [
        *head[:-1],
        *(tmpfs(FIRST + number) for number in range(3)),
        head[-1],
        attach(FIRST, "/etc"),
        ops.CoverRoot(slot=FIRST + 1, root=ROOT),
        attach(FIRST + 2, "/new"),
        ops.LeaveRoot(host=HOST),
        ops.Pivot(slot=ROOT),
        check("/etc", 1, RDONLY),
        check("/", 2),
        check("/new", 3),
        ops.VerifyRoot(),
        stop(),
    ]
    with Init(covered) as init:
        init.pause()


def test_a_classic_mount_is_counted_and_a_remount_is_not(rootfs: Path) -> None:
    silent, remount, bind = 0x8000, 0x20, 0x1000

    def classic(flags: int) -> ops.Op:
        return ops.MountClassic(path="/etc", fstype="tmpfs", source="x", flags=flags, data="")

    after = classic(silent), classic(remount | bind | RDONLY), check("/etc", 2, RDONLY)
    with Init(plan(rootfs, [("/tmp", 0)], *after)) as init:
        init.pause()
        init.go()
        init.pause()


def test_the_root_is_the_one_that_was_attached(rootfs: Path) -> None:
    change = [ops.LeaveRoot(host=HOST), ops.Pivot(slot=ROOT), ops.VerifyRoot()]
    with Init([*enter(rootfs), *change, stop()]) as init:
        init.pause()
    assert failure([*enter(rootfs), ops.LeaveRoot(host=HOST), ops.VerifyRoot()]).short == (
        "verify_root",
        "compare",
        "ESTALE",
    )
    elsewhere = ops.ChangeRoot(path="/etc")
    assert failure([*enter(rootfs), elsewhere, ops.VerifyRoot()]).step == "compare"
