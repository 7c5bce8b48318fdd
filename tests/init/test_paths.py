# SPDX-License-Identifier: Apache-2.0
"""Hostile layouts of a rootfs: whatever lies in it, nothing outside of it is touched."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from pyrunc.init import ops
from tests.init.harness import FIRST, Failed, Init, attach, clone, enter, shell, tmpfs
from tests.init.scenes import arranged, snapshot

pytestmark = pytest.mark.root

Oddity = Callable[[Path, Path], None]  # (path to make, canary)


def absolute_link(path: Path, canary: Path) -> None:
    path.symlink_to(canary)


def relative_link(path: Path, canary: Path) -> None:
    path.symlink_to("/".join([".."] * 12) + str(canary))


def link_to_file(path: Path, canary: Path) -> None:
    path.symlink_to(canary / "file")


def dangling_link(path: Path, canary: Path) -> None:
    path.symlink_to(canary / "new")


def dangling_deep_link(path: Path, canary: Path) -> None:
    path.symlink_to(canary / "new" / "deeper" / "..")


def chained_link(path: Path, canary: Path) -> None:
    (path.parent / "hop").symlink_to(canary)
    path.symlink_to("hop/new")


def loop(path: Path, canary: Path) -> None:
    path.symlink_to(path.name)


def long_chain(path: Path, canary: Path) -> None:
    last = path
    for number in range(41):
        following = path.parent / f"chain{number}"
        last.symlink_to(following.name)
        last = following


def to_root(path: Path, canary: Path) -> None:
    path.symlink_to("/")


def magic_link(path: Path, canary: Path) -> None:
    path.symlink_to("/proc/1/root")


def regular(path: Path, canary: Path) -> None:
    path.write_text("mine")


def directory(path: Path, canary: Path) -> None:
    path.mkdir()


def closed_directory(path: Path, canary: Path) -> None:
    path.mkdir(mode=0)


def fifo(path: Path, canary: Path) -> None:
    os.mkfifo(path)


def unix_socket(path: Path, canary: Path) -> None:
    here = os.open(".", os.O_RDONLY)
    os.chdir(path.parent)
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(path.name)
    os.fchdir(here)
    os.close(here)


def device(path: Path, canary: Path) -> None:
    os.mknod(path, 0o20666, os.makedev(1, 5))


ODDITIES: list[Oddity] = [
    absolute_link,
    relative_link,
    link_to_file,
    dangling_link,
    dangling_deep_link,
    chained_link,
    loop,
    long_chain,
    to_root,
    magic_link,
    regular,
    directory,
    closed_directory,
    fifo,
    unix_socket,
    device,
]

PLACES = ("tmp/x", "x/y", "dev", "dev/null", "dev/console", "proc", "etc/passwd", "a/b/c")


def spoil(rootfs: Path, place: str, oddity: Oddity, canary: Path) -> None:
    path = rootfs / place
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        path.rmdir()
    oddity(path, canary)


ACTIONS: dict[str, Callable[[str], Sequence[ops.Op]]] = {
    "attach directory": lambda path: [tmpfs(FIRST), attach(FIRST, path)],
    "attach below": lambda path: [tmpfs(FIRST), attach(FIRST, path + "/below/it")],
    "attach file": lambda path: [clone(FIRST, "/dev/null"), attach(FIRST, path)],
    "attach file nofollow": lambda path: [
        clone(FIRST, "/dev/null"),
        attach(FIRST, path, ops.ATTACH_NOFOLLOW),
    ],
    "attach real directory": lambda path: [
        tmpfs(FIRST),
        attach(FIRST, path, ops.ATTACH_REAL_DIRECTORY),
    ],
    "make_directory": lambda path: [ops.MakeDirectory(path=path, mode=0o700, uid=7, gid=7)],
    "make_device": lambda path: [
        ops.MakeDevice(path=path, mode=0o20600, rdev=os.makedev(1, 3), uid=7, gid=7)
    ],
    "make_device below": lambda path: [
        ops.MakeDevice(path=path + "/node", mode=0o20600, rdev=os.makedev(1, 3), uid=7, gid=7)
    ],
    "make_symlink": lambda path: [ops.MakeSymlink(path=path, target="pts/ptmx", replace=1)],
    "make_symlink below": lambda path: [
        ops.MakeSymlink(path=path + "/file", target="pts/ptmx", replace=1)
    ],
    "mask": lambda path: [
        clone(FIRST, "/dev/null"),
        tmpfs(FIRST + 1, "nr_blocks=1", "nr_inodes=1", attributes=1),
        ops.Mask(path=path, null=FIRST, directory=FIRST + 1),
    ],
    "make_readonly": lambda path: [ops.MakeReadonly(path=path)],
    "change_directory": lambda path: [ops.ChangeDirectory(path=path, create=1, retry_later=0)],
    "change_directory below": lambda path: [
        ops.ChangeDirectory(path=path + "/new/directory", create=1, retry_later=0)
    ],
    "mount_classic": lambda path: [
        ops.MountClassic(path=path, fstype="tmpfs", source="x", flags=0, data="")
    ],
    "inherit_mode": lambda path: [tmpfs(FIRST), ops.InheritMode(slot=FIRST, path=path)],
    "copy_up": lambda path: [tmpfs(FIRST), ops.CopyUp(slot=FIRST, path=path)],
    "find_home": lambda path: [ops.FindHome(uid=1000)],
    "reopen_null": lambda path: [ops.ReopenNull()],
}


@pytest.mark.parametrize("oddity", ODDITIES, ids=lambda oddity: oddity.__name__)
def test_nothing_outside_of_the_root_is_touched(oddity: Oddity, rootfs: Path, canary: Path) -> None:
    """AR-1 PR-1 PR-3 PR-4 DV-3 MT-1: each action with the oddity at each of the places in turn."""
    for action in ACTIONS:
        act_everywhere(action, oddity, rootfs.parent / action.replace(" ", "-"), canary)
    assert str(rootfs.parent) not in Path("/proc/self/mountinfo").read_text()
    assert os.stat("/dev/null").st_uid != 7  # the owner that the actions ask for


def act_everywhere(action: str, oddity: Oddity, directory: Path, canary: Path) -> None:
    before = snapshot(canary)
    for number, place in enumerate(PLACES):
        root = directory / str(number)
        for name in ("tmp", "dev", "etc", "proc", "bin"):
            (root / name).mkdir(parents=True, exist_ok=True)
        spoil(root, place, oddity, canary)
        for suffix in ("", "/", "/.") if number < 2 else ("",):
            with Init(arranged(root, ACTIONS[action]("/" + place + suffix))) as init:
                message = init.receive()
                assert message is not None, f"{action} {place}{suffix}: {init.text()}"
            assert snapshot(canary) == before, f"{action} {place}{suffix}"


def outcome(rootfs: Path, actions: Sequence[ops.Op]) -> Failed | None:
    with Init(plan := arranged(rootfs, actions)) as init:
        message = init.receive()
        assert message is not None
        return None if message.type == 1 else Failed(plan, message)


def test_a_dangling_link_is_followed_inside_of_the_root(rootfs: Path, canary: Path) -> None:
    """PR-4: as runc does."""
    (rootfs / "link").symlink_to(canary / "new")
    plan = [ops.MakeDirectory(path="/link/sub", mode=0o750, uid=3, gid=4)]
    assert outcome(rootfs, plan) is None
    made = rootfs / str(canary).lstrip("/") / "new/sub"
    assert made.is_dir()
    assert (made.stat().st_uid, made.stat().st_gid, made.stat().st_mode) == (3, 4, 0o40750)
    assert not (canary / "new").exists()


def test_relative_dangling_links_in_the_middle_of_a_path(rootfs: Path) -> None:
    (rootfs / "a").mkdir()
    (rootfs / "a/link").symlink_to("../b/./c/")
    plan = [ops.MakeDirectory(path="//a///link/d/../e/", mode=0o755, uid=0, gid=0)]
    assert outcome(rootfs, plan) is None
    assert sorted(str(p.relative_to(rootfs)) for p in (rootfs / "b").rglob("*")) == [
        "b/c",
        "b/c/d",
        "b/c/e",
    ]


def test_dot_dot_stops_at_the_root(rootfs: Path, canary: Path) -> None:
    plan = [ops.MakeDirectory(path="/../../../../new", mode=0o755, uid=0, gid=0)]
    assert outcome(rootfs, plan) is None
    assert (rootfs / "new").is_dir()


@pytest.mark.parametrize(
    ("oddity", "name"),
    [(loop, "ELOOP"), (long_chain, "ELOOP"), (regular, "ENOTDIR"), (fifo, "ENOTDIR")],
)
def test_what_no_directory_can_be_made_of(oddity: Oddity, name: str, rootfs: Path) -> None:
    oddity(rootfs / "x", rootfs)
    for path in ("/x", "/x/y"):
        found = outcome(rootfs, [ops.MakeDirectory(path=path, mode=0o755, uid=0, gid=0)])
        assert found is not None
        assert found.errno == name


def test_a_magic_link_is_never_followed(rootfs: Path) -> None:
    """PR-1."""
    (rootfs / "x").symlink_to("/proc/self/root")
    plan = [
        ops.NewMount(slot=FIRST, fstype="proc", source="proc", options=[], attributes=0),
        attach(FIRST, "/proc"),
        ops.ChangeDirectory(path="/x", create=0, retry_later=0),
    ]
    found = outcome(rootfs, plan)
    assert found is not None
    assert found.short == ("change_directory", "open", "ELOOP")


def test_a_name_or_path_that_is_too_long(rootfs: Path) -> None:
    ok = "/" + "/".join(["n" * 255] * 15)
    assert outcome(rootfs, [ops.MakeDirectory(path=ok, mode=0o755, uid=0, gid=0)]) is None
    for path in ("/" + "n" * 256, "/" + "/".join(["n" * 255] * 17), "/x" * 2500):
        found = outcome(rootfs, [ops.MakeDirectory(path=path, mode=0o755, uid=0, gid=0)])
        assert found is not None
        assert found.errno == "ENAMETOOLONG"


def test_names_of_any_bytes(rootfs: Path) -> None:
    name = "n\n\udcff\x1b é"
    plan = [ops.MakeDirectory(path="/" + name, mode=0o755, uid=0, gid=0)]
    assert outcome(rootfs, plan) is None
    assert (rootfs / name).is_dir()


def test_directories_that_may_only_be_passed_through(rootfs: Path) -> None:
    """PR-5: parents are opened with O_PATH."""
    (rootfs / "closed").mkdir(mode=0o300)
    plan = [
        ops.SetIds(uid=0, gid=0),
        ops.MakeDirectory(path="/closed/in", mode=0o755, uid=0, gid=0),
    ]
    assert outcome(rootfs, plan) is None


def test_the_umask_of_the_caller_does_not_matter(rootfs: Path) -> None:
    old = os.umask(0o077)
    try:
        plan = [
            ops.MakeDirectory(path="/d", mode=0o755, uid=0, gid=0),
            ops.MakeDevice(path="/n", mode=0o20666, rdev=os.makedev(1, 3), uid=0, gid=0),
        ]
        assert outcome(rootfs, plan) is None
        assert (rootfs / "d").stat().st_mode == 0o40755
        assert (rootfs / "n").stat().st_mode == 0o20666
        with Init([*enter(rootfs), *shell("umask")]) as init:
            assert init.succeed() == 0
            assert init.text() == "0077\n"  # and is kept
    finally:
        os.umask(old)


def test_a_failure_names_the_component(rootfs: Path) -> None:
    (rootfs / "file").write_text("")
    found = outcome(rootfs, [ops.MakeDirectory(path="/file/a/b", mode=0o755, uid=0, gid=0)])
    assert found is not None
    assert found.short == ("make_directory", "resolve", "ENOTDIR")
    assert found.detail == "/file/a/b"
    (rootfs / "bad").symlink_to("/none/" + "n" * 256)
    found = outcome(rootfs, [ops.MakeDirectory(path="/bad/x", mode=0o755, uid=0, gid=0)])
    assert found is not None
    assert found.errno == "ENAMETOOLONG"
    assert found.detail.startswith("/none/nnn")  # where the link leads to
