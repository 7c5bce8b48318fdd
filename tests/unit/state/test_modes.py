# SPDX-License-Identifier: Apache-2.0
"""Modes of what is made: those that are meant, whatever the umask, and never those of a link."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyrunc.lifecycle import service_manager, state_root
from pyrunc.lifecycle.state import StateDirectory


@pytest.fixture(autouse=True)
def _umask() -> Iterator[None]:
    before = os.umask(0o077)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_a_root_that_is_replaced_after_it_was_made_changes_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    victim = tmp_path / "victim"
    victim.mkdir(mode=0o700)
    root = tmp_path / "root"
    make = os.mkdir

    def replaced(path: str, *args: int, **more: int) -> None:
        make(path, *args, **more)
        if path == str(root):
            root.rename(tmp_path / "away")
            root.symlink_to(victim)

    monkeypatch.setattr(os, "mkdir", replaced)
    with pytest.raises(Exception, match="state root"):
        state_root.open_root(str(root), create=True)
    assert mode(victim) == 0o700


def test_the_directory_of_the_socket_is_for_every_user(tmp_path: Path) -> None:
    directory = StateDirectory.claim(str(tmp_path / "root"), "web")
    service_manager.make_directory(directory)
    assert mode(tmp_path / "root/web/notify") == 0o755
    directory.close()


def test_the_socket_is_for_every_user_and_a_link_in_its_place_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program can write to the directory and swap the socket as soon as it is there."""
    victim = tmp_path / "victim"
    victim.touch(mode=0o600)
    path = tmp_path / service_manager.SOCKET
    modes = []

    class Swapped(socket.socket):
        def bind(self, address: str) -> None:  # type: ignore[override]
            super().bind(address)
            modes.append(mode(path))
            path.unlink()
            path.symlink_to(victim)

    monkeypatch.setattr(socket, "socket", Swapped)
    service_manager._listen(str(path)).close()
    assert mode(victim) == 0o600
    assert modes == [0o777]
    assert os.umask(0o077) == 0o077
