# SPDX-License-Identifier: Apache-2.0
"""How an id gets its directory and loses it, whatever others do between two calls (ST-5)."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pyrunc.errors import Failure, StateError
from pyrunc.host import syscalls
from pyrunc.lifecycle import state_root
from pyrunc.lifecycle.state import StateDirectory
from tests.support.states import complete


@pytest.fixture
def root(tmp_path: Path) -> str:
    directory = tmp_path / "root"
    directory.mkdir(mode=0o700)
    return str(directory)


def claim(root: str) -> StateDirectory:
    return StateDirectory.claim(root, "web")


def opened(root: str) -> StateDirectory:
    found = StateDirectory.open(root, "web")
    assert found is not None
    return found


def inode(directory: StateDirectory) -> int:
    return os.fstat(directory.fd).st_ino


def replace(root: str) -> StateDirectory:
    """Delete the container of this id as another command does, and create one."""
    other = opened(root)
    other.lock()
    other.remove()
    other.close()
    return claim(root)


def test_a_lock_is_of_the_directory_that_has_the_id_now(root: str) -> None:
    claim(root).close()
    waiting = opened(root)
    fresh = replace(root)
    fresh.save(complete(pid=1))
    expected = inode(fresh)
    assert not waiting.try_lock()  # the new one is locked, the old one is nobody's
    fresh.close()
    waiting.lock()
    assert inode(waiting) == expected
    assert waiting.load() == {"schema": 1, **complete(pid=1)}
    waiting.close()


def test_a_lock_on_a_container_that_was_deleted_meanwhile_says_so(root: str) -> None:
    claim(root).close()
    waiting, other = opened(root), opened(root)
    other.lock()
    other.remove()
    other.close()
    with pytest.raises(StateError, match="does not exist"):
        waiting.lock()
    waiting.close()


def test_what_was_replaced_is_not_locked_for_its_own_sake(root: str) -> None:
    """`run` deletes at the end what it has made, never the next container of this id."""
    first = claim(root)
    first.unlock()
    fresh = replace(root)
    assert not first.lock_this()
    first.remove()
    assert fresh.is_current()
    assert os.listdir(root) == ["web"]
    first.close()
    fresh.close()


def test_a_directory_has_its_id_only_when_it_is_locked(
    root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[object] = []
    rename = syscalls.rename_new

    def watched(fd: int, old: str, new: str) -> None:
        seen.append((StateDirectory.open(root, "web"), state_root.abandoned(fd)))
        rename(fd, old, new)
        other = opened(root)
        seen.append(other.try_lock())
        other.close()

    monkeypatch.setattr(syscalls, "rename_new", watched)
    claim(root).close()
    assert seen == [(None, []), False]


def test_a_claim_that_is_tidied_up_begins_again(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the mkdir and the lock, when it looks like what a killed create has left."""
    real = os.open
    rounds: list[str] = []

    def tidied(path: str, flags: int, *args: object, **more: int) -> int:
        if str(path).startswith(".new-") and len(rounds) < 2:
            rounds.append(path)
            monkeypatch.setattr(os, "open", real)
            state_root.abandoned(more["dir_fd"], remove=True)
            monkeypatch.setattr(os, "open", tidied)
        return real(path, flags, *args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", tidied)
    directory = claim(root)
    assert len(rounds) == 2
    assert directory.is_current()
    assert os.listdir(root) == ["web"]
    directory.close()


def test_only_what_nobody_works_on_is_tidied_up(root: str) -> None:
    for name in (".new-1-2", ".old-3-4", ".cache"):
        (Path(root) / name / "deep").mkdir(parents=True)
    claimed = claim(root)
    root_fd = os.open(root, os.O_RDONLY)
    held = os.open(f"{root}/.old-3-4", os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    assert state_root.abandoned(root_fd, remove=True) == [".new-1-2"]
    assert sorted(os.listdir(root)) == [".cache", ".old-3-4", "web"]
    for fd in (root_fd, held):
        os.close(fd)
    claimed.close()


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOSYS, errno.EPERM])
@pytest.mark.parametrize("there", ["state", "file", "link"])
def test_a_claim_is_exclusive_where_the_kernel_cannot_rename_without_replacing(
    root: str, monkeypatch: pytest.MonkeyPatch, number: int, there: str
) -> None:
    """KF-2: NFS, and filters that do not know renameat2."""

    def refused(fd: int, old: str, new: str) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(syscalls, "rename_new", refused)
    place = Path(root) / "web"
    if there == "state":
        claim(root).close()
    elif there == "file":
        place.touch()
    else:
        place.symlink_to("nowhere")
    before = place.lstat().st_ino
    with pytest.raises(StateError, match="already exists"):
        claim(root)
    assert place.lstat().st_ino == before
    assert os.listdir(root) == ["web"]


def test_a_removal_ends_although_others_put_files_into_it(
    root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never "directory not empty"."""
    directory = claim(root)
    real: Callable[..., None] = os.rmdir
    late = iter(range(5))

    def interfered(name: str, **more: int) -> None:
        for number in late:
            os.close(os.open(f"late{number}", os.O_CREAT, 0o600, dir_fd=directory.fd))
            break
        real(name, **more)

    monkeypatch.setattr(os, "rmdir", interfered)
    directory.remove()
    assert os.listdir(root) == []
    directory.close()


def test_a_removal_needs_no_second_name(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """S10: on a full disk there may be no room for one."""

    def full(old: str, new: str, **more: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    directory = claim(root)
    directory.write("state.json", "{}")
    monkeypatch.setattr(os, "rename", full)
    directory.remove()
    assert os.listdir(root) == []
    directory.close()


def test_a_removal_that_cannot_end_gives_the_id_back(
    root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = claim(root)

    def busy(name: str, **more: int) -> None:
        raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY))

    monkeypatch.setattr(os, "rmdir", busy)
    with pytest.raises(Failure):
        directory.remove()
    assert os.listdir(root) == ["web"]
    directory.close()
