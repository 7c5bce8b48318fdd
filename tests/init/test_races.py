# SPDX-License-Identifier: Apache-2.0
"""Somebody who shares a volume renames what the init looks at, at that moment."""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pyrunc.init import ops
from tests.init.harness import AWAIT, FIRST, Init, attach, clone, enter, stop, tmpfs
from tests.init.scenes import arranged, snapshot

pytestmark = pytest.mark.root

ROUNDS = 40
RENAME_EXCHANGE = 2
AT_FDCWD = -100
LIBC = ctypes.CDLL(None, use_errno=True)


@contextmanager
def meanwhile(action: Callable[[], object]) -> Iterator[None]:
    """Repeat something in a process of its own."""
    pid = os.fork()
    if pid == 0:
        try:
            while True:
                action()
        finally:
            os._exit(1)
    try:
        yield
        assert os.waitpid(pid, os.WNOHANG) == (0, 0), "the other side has given up"
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def exchange(one: Path, other: Path) -> None:
    paths = (os.fsencode(one), os.fsencode(other))
    if LIBC.renameat2(AT_FDCWD, paths[0], AT_FDCWD, paths[1], RENAME_EXCHANGE) != 0:
        raise OSError(ctypes.get_errno(), "renameat2")


def test_renames_elsewhere_do_not_make_a_look_up_fail(rootfs: Path) -> None:
    """PR-2: the kernel answers EAGAIN, which is tried again."""
    busy = rootfs.parent / "busy"
    busy.mkdir()
    (busy / "a").mkdir()

    def rename() -> None:
        os.rename(busy / "a", busy / "b")
        os.rename(busy / "b", busy / "a")

    (rootfs / "d/e/f").mkdir(parents=True)
    winding = "/d/../d/e/../e/f/../f/new"
    plan = [
        *enter(rootfs),
        *[ops.MakeDirectory(path=winding, mode=0o755, uid=0, gid=0)] * 200,
        stop(),
    ]
    with meanwhile(rename):
        for _ in range(ROUNDS):
            with Init(plan) as init:
                init.pause()


ACTIONS: dict[str, list[ops.Op]] = {
    "attach": [tmpfs(FIRST), attach(FIRST, "/volume/x/new/mount")],
    "attach file": [clone(FIRST, "/dev/null"), attach(FIRST, "/volume/x/file")],
    "real directory": [tmpfs(FIRST), attach(FIRST, "/volume/x", ops.ATTACH_REAL_DIRECTORY)],
    "device": [ops.MakeDevice(path="/volume/x/null", mode=0o20666, rdev=259, uid=7, gid=7)],
    "link": [ops.MakeSymlink(path="/volume/x/file", target="t", replace=1)],
    "directory": [ops.ChangeDirectory(path="/volume/x/new/cwd", create=1, retry_later=0)],
    "readonly": [ops.MakeReadonly(path="/volume/x")],
    "mask": [
        clone(FIRST, "/dev/null"),
        tmpfs(FIRST + 1, "nr_inodes=1", attributes=1),
        ops.Mask(path="/volume/x", null=FIRST, directory=FIRST + 1),
    ],
}


@pytest.mark.parametrize("action", ACTIONS)
def test_a_directory_that_turns_into_a_link_leads_nowhere(
    action: str, rootfs: Path, canary: Path
) -> None:
    """AR-1 MT-1 PR-4: whatever is seen at each moment, it is inside of the root."""
    volume = rootfs / "volume"
    (volume / "x").mkdir(parents=True)
    (volume / "y").symlink_to(canary)
    before = snapshot(canary)
    done = 0
    with meanwhile(lambda: exchange(volume / "x", volume / "y")):
        for _ in range(ROUNDS):
            with Init(arranged(rootfs, ACTIONS[action])) as init:
                message = init.receive()
                assert message is not None, init.text()
                done += message.type == AWAIT
    assert snapshot(canary) == before
    assert done > 0


def test_a_masked_path_that_is_exchanged_is_masked_or_refused(rootfs: Path) -> None:
    """MT-10 AR-7: never seen unmasked behind a success."""
    volume = rootfs / "volume"
    volume.mkdir()
    for name in ("x", "y"):
        (volume / name).write_text("secret")
    plan = arranged(
        rootfs,
        [clone(FIRST, "/dev/null"), ops.Mask(path="/volume/x", null=FIRST, directory=0)],
    )
    with meanwhile(lambda: exchange(volume / "x", volume / "y")):
        for _ in range(ROUNDS):
            with Init(plan) as init:
                message = init.receive()
                assert message is not None
                if message.type != AWAIT:
                    assert message.step in (2, 3)  # attach, verify
