# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: E501  (a table reads best in few lines)
"""The state directory: ids, the root, claim, lock, files, intents."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyrunc.errors import HostError, StateError
from pyrunc.lifecycle import state, state_root
from pyrunc.lifecycle.state import StateDirectory
from tests.support.states import complete

GOOD_IDS = ["a", "A-1_b+c.d", "0", "-x", "+", "_", "x" * 255, "..a"[2:], "a..b", "a.", "5e3f" * 16]

# What is no id: everything that a path, a log line, a shell, a cgroup or a keyring could take
# wrongly.
BAD_IDS = [
    "", ".", "..", ".a", "...", "x" * 256, "a/b", "/", "/a", "a/", "a/../b", "../a", "a\\b", "a b",
    " a", "a ", "a\n", "\na", "a\r", "a\tb", "a\0", "\0", "a\x1b[31m", "a\x7f", "a\x80", "a:b",
    "a;b", "a|b", "a&b", "a$b", "$(x)", "`x`", "a'b", 'a"b', "a<b", "a>b", "a*b", "a?b", "a[b]",
    "a{b}", "a(b)", "a!b", "a#b", "a%b", "a^b", "a~b", "~", "a=b", "a,b", "a@b", "@seccomp", "é",
    "ß", "Ａ", "１", "٣", "а", "ａ", "a\u200b", "a\u202e", "a\u2028", "a\ufeff", "😀", "\udc80", "a\udcff",
    "a\u0301", "İ", "ſ", "\u212a", "²", "½", "Ⅷ", "〇", "a­b", "a\u00a0b", "a\u3000b", "a\u2215b", "a\uff0fb",
    "a\u2024", "a\uff0e", "%2e%2e", "a%00", "--\n", "-\0", "id\nid", "id\x0b", "id\x0c", "id\x1c",
    "id\x85", "[a]", "a]", "{}", "a}", "()", "<>", "a\x01", "a\x02", "a\x03", "a\x04", "a\x05", "a\x06",
    "a\x07", "a\x08", "a\x0e", "a\x0f", "a\x10", "a\x11", "a\x12", "a\x13", "a\x14", "a\x15", "a\x16",
    "a\x17", "a\x18", "a\x19", "a\x1a", ".lock", ".state.json", "proc/self", "../../etc/passwd",
    "C:", "nul\0", "a" * 4096,
]  # fmt: skip


@pytest.fixture
def root(tmp_path: Path) -> str:
    directory = tmp_path / "root"
    directory.mkdir(mode=0o700)
    return str(directory)


@pytest.fixture
def claimed(root: str) -> Iterator[StateDirectory]:
    directory = StateDirectory.claim(root, "web")
    yield directory
    directory.close()


@pytest.mark.parametrize("container_id", GOOD_IDS)
def test_an_id_is_taken(container_id: str) -> None:
    """ST-1"""
    assert state_root.check_id(container_id) == container_id


@pytest.mark.parametrize("container_id", BAD_IDS)
def test_what_is_no_id_is_refused(container_id: str) -> None:
    """ST-1"""
    with pytest.raises(StateError, match="invalid container ID format") as caught:
        state_root.check_id(container_id)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_there_are_enough_bad_ids() -> None:
    assert len(set(BAD_IDS)) >= 120


def test_claiming_twice_fails(root: str, claimed: StateDirectory) -> None:
    """ST-5"""
    with pytest.raises(StateError, match="container with given ID already exists: web"):
        StateDirectory.claim(root, "web")


def test_a_claim_makes_a_directory_that_others_cannot_read(
    root: str, claimed: StateDirectory
) -> None:
    mode = os.stat(f"{root}/web").st_mode
    assert stat.S_IMODE(mode) & 0o066 == 0


def test_the_root_is_made_for_a_claim_only(tmp_path: Path) -> None:
    root = tmp_path / "a" / "b"
    assert state_root.open_root(str(root)) == -1
    StateDirectory.claim(str(root), "web").close()
    assert stat.S_IMODE(root.stat().st_mode) == 0o1700


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777, 0o1777])
def test_a_root_that_others_can_write_to_is_refused(tmp_path: Path, mode: int) -> None:
    """ST-3"""
    tmp_path.chmod(mode)
    try:
        with pytest.raises(HostError, match="writable by nobody else"):
            state_root.open_root(str(tmp_path))
    finally:
        tmp_path.chmod(0o700)


def test_a_root_of_somebody_else_is_refused(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """ST-3"""
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(HostError, match="must belong to uid 12345"):
        state_root.open_root(root)


def test_the_root_may_not_be_the_root_of_the_system() -> None:
    with pytest.raises(HostError, match="must not be /"):
        state_root.open_root("/tmp/..")


def test_a_root_behind_a_link_is_refused(tmp_path: Path, root: str) -> None:
    """ST-2"""
    (tmp_path / "link").symlink_to(root)
    with pytest.raises(HostError, match="cannot open the state root"):
        state_root.open_root(str(tmp_path / "link"))


@pytest.mark.parametrize(
    ("euid", "environment", "inside", "expected"),
    [
        (0, {}, False, "/run/pyrunc"),
        (0, {"XDG_RUNTIME_DIR": "/run/user/0"}, False, "/run/pyrunc"),
        (0, {"XDG_RUNTIME_DIR": "/run/user/7"}, True, "/run/user/7/pyrunc"),
        (0, {}, True, "/run/pyrunc"),
        (7, {"XDG_RUNTIME_DIR": "/run/user/7"}, False, "/run/user/7/pyrunc"),
    ],
)
def test_the_default_root_depends_on_two_facts_only(
    monkeypatch: pytest.MonkeyPatch,
    euid: int,
    environment: dict[str, str],
    inside: bool,
    expected: str,
) -> None:
    monkeypatch.setattr(os, "environ", {"HOME": "/h", "USER": "u", **environment})
    monkeypatch.setattr(os, "geteuid", lambda: euid)
    monkeypatch.setattr(state_root, "in_user_namespace", lambda: inside)
    assert state_root.default_root() == expected


def test_without_a_runtime_directory_a_user_is_told_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """ST-3: no fallback to /tmp."""
    monkeypatch.setattr(os, "environ", {"HOME": "/h"})
    monkeypatch.setattr(os, "geteuid", lambda: 7)
    with pytest.raises(HostError) as caught:
        state_root.default_root()
    assert "--root" in caught.value.hint


def test_there_is_no_directory_of_an_unknown_id(root: str) -> None:
    assert StateDirectory.open(root, "web") is None


def test_a_file_with_the_name_of_an_id_is_no_container(root: str) -> None:
    Path(root, "web").write_text("")
    assert StateDirectory.open(root, "web") is None


def test_a_link_with_the_name_of_an_id_is_no_container(root: str, tmp_path: Path) -> None:
    Path(root, "web").symlink_to(tmp_path)
    assert StateDirectory.open(root, "web") is None


def test_what_is_saved_is_loaded(claimed: StateDirectory) -> None:
    saved = complete(bundle="/b\udc80", annotations={"é": '"\n'}, pid=2**31 - 1)
    claimed.save(saved)
    assert claimed.load() == {"schema": state.SCHEMA, **saved}
    assert os.listdir(claimed.fd) == ["state.json"]


def test_without_a_state_file_a_container_is_half_created(claimed: StateDirectory) -> None:
    assert claimed.load() is None


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"schema": 2}', '{"pid": 1}', "\0", "[" * 100_000, '{"schema":1}x'],
    ids=range(9),
)
def test_a_damaged_state_file_is_an_error_that_says_what_to_do(
    claimed: StateDirectory, text: str
) -> None:
    """ST-5"""
    claimed.write("state.json", text)
    with pytest.raises(StateError) as caught:
        claimed.load()
    assert "delete --force web" in caught.value.hint


def test_a_state_file_is_replaced_as_a_whole(claimed: StateDirectory) -> None:
    claimed.save({"pid": 1})
    before = os.stat("state.json", dir_fd=claimed.fd).st_ino
    claimed.save({"pid": 2})
    assert os.stat("state.json", dir_fd=claimed.fd).st_ino != before
    assert stat.S_IMODE(os.stat("state.json", dir_fd=claimed.fd).st_mode) == 0o600


def test_a_state_file_may_be_large(claimed: StateDirectory) -> None:
    saved = complete(annotations={str(i): "x" * 1000 for i in range(300)})
    claimed.save(saved)
    loaded = claimed.load()
    assert loaded is not None
    assert loaded["annotations"] == saved["annotations"]


def test_intents_come_back_the_latest_first(claimed: StateDirectory) -> None:
    """AR-5"""
    claimed.intend("process", {"pid": 5})
    claimed.intend("cgroup", {"record": {"path": "a\nb"}})
    assert claimed.intents() == [
        {"kind": "cgroup", "record": {"path": "a\nb"}},
        {"kind": "process", "pid": 5},
    ]


def test_a_torn_intent_was_never_carried_out(claimed: StateDirectory) -> None:
    """AR-5"""
    claimed.intend("process", {"pid": 5})
    with open(os.open("intents", os.O_WRONLY | os.O_APPEND, dir_fd=claimed.fd), "w") as file:
        file.write('{"kind":"cgro')
    assert claimed.intents() == [{"kind": "process", "pid": 5}]


def test_the_claim_holds_the_lock(root: str, claimed: StateDirectory) -> None:
    other = StateDirectory.open(root, "web")
    assert other is not None
    assert other.try_lock() is False
    claimed.close()
    assert other.try_lock() is True
    other.close()


def test_waiting_for_a_lock_ends_with_an_error(
    root: str, claimed: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "LOCK_PATIENCE_S", 0.05)
    other = StateDirectory.open(root, "web")
    assert other is not None
    with pytest.raises(StateError, match="another command works on container web"):
        other.lock()
    other.close()


def test_a_lock_is_not_inherited_by_programs(claimed: StateDirectory) -> None:
    assert fcntl.fcntl(claimed.fd, fcntl.F_GETFD) & fcntl.FD_CLOEXEC


def test_the_gate_is_open_while_somebody_holds_it(claimed: StateDirectory) -> None:
    assert claimed.open_gate() == -1
    gate, report = claimed.make_gate()
    probe = claimed.open_gate()
    assert probe >= 0
    for fd in (gate, report, probe):
        os.close(fd)
    assert claimed.open_gate() == -1
    claimed.remove_gate()
    claimed.remove_gate()
    assert os.listdir(claimed.fd) == ["started"]


def test_removing_does_not_follow_links(root: str, claimed: StateDirectory, tmp_path: Path) -> None:
    """ST-7"""
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").write_text("")
    inner = Path(root, "web", "criu", "deep")
    inner.mkdir(parents=True)
    (inner / "link").symlink_to(kept)
    Path(root, "web", "link").symlink_to(kept)
    Path(root, "web", "file").write_text("")
    claimed.remove()
    assert not Path(root, "web").exists()
    assert (kept / "file").exists()


def test_removing_twice_is_no_error(claimed: StateDirectory) -> None:
    claimed.remove()
    claimed.remove()


def test_only_what_can_be_a_container_is_listed(root: str) -> None:
    for name in ("b", "a", ".hidden", "@seccomp"):
        Path(root, name).mkdir()
    fd = state_root.open_root(root)
    assert state_root.list_ids(fd) == ["a", "b"]
    os.close(fd)
