# SPDX-License-Identifier: Apache-2.0
"""Compiled filters in the state root: found again, never wrong, never trusted from others."""

from __future__ import annotations

import json
import os
import pathlib
from typing import Any

import pytest

import pyrunc.seccomp
from pyrunc.errors import Failure
from pyrunc.seccomp import cache, compiler
from pyrunc.seccomp.filter import Filter
from pyrunc.spec.model_linux import SyscallRule
from tests.seccomp import support
from tests.seccomp.support import profile, rule

PROFILE = profile("ERRNO", rule("read no_such_call", "ALLOW"), architectures=["SCMP_ARCH_SH"])


@pytest.fixture
def directory(tmp_path: pathlib.Path) -> str:
    return pyrunc.seccomp.cache_directory(str(tmp_path))


def ask(directory: str, made: dict[str, Any] = PROFILE) -> Filter:
    found = pyrunc.seccomp.compile(support.node(made), raw=made, cache=directory)
    assert found is not None
    return found


def entry(directory: str) -> pathlib.Path:
    (found,) = pathlib.Path(directory).iterdir()
    return found


def test_a_repeated_profile_comes_from_the_cache_unchanged(
    directory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = ask(directory)
    monkeypatch.setattr(compiler, "compile_profile", None)
    second = ask(directory)
    assert (first.cached, second.cached) == (False, True)
    for attribute in ("program", "flags", "listener"):
        assert getattr(first, attribute) == getattr(second, attribute)
    assert first.report.lines() == second.report.lines() != []


VARIANTS: list[dict[str, Any]] = [
    {"defaultAction": "SCMP_ACT_KILL"},
    {"defaultErrnoRet": 5},
    {"architectures": ["SCMP_ARCH_X86"]},
    {"flags": []},
    {"flags": ["SECCOMP_FILTER_FLAG_LOG"]},
    {"syscalls": [rule("read", "ALLOW")]},
    {"syscalls": [rule("read no_such_call", "LOG")]},
    {"syscalls": [rule("read no_such_call", "ALLOW", (0, "EQ", 0))]},
    {"syscalls": [rule("read no_such_call", "ALLOW", (0, "NE", 0))]},
    {"syscalls": [rule("read no_such_call", "ALLOW", (0, "EQ", 1))]},
    {"syscalls": [rule("read no_such_call", "ALLOW", (1, "EQ", 1))]},
    {"syscalls": [rule("read", "ALLOW"), rule("no_such_call", "ALLOW")]},
    {"syscalls": [rule("read no_such_call", "ERRNO")]},
    {"syscalls": [rule("read no_such_call", "ERRNO", errnoRet=3)]},
    {"syscalls": [rule("read no_such_call", "ERRNO", errnoRet=4)]},
    {"syscalls": [{"names": ["read', 'no_such_call"], "action": "SCMP_ACT_ALLOW"}]},
]


def test_another_profile_has_another_key() -> None:
    keys = {cache.key({**PROFILE, **variant}, "2.5.4", 1) for variant in ({}, *VARIANTS)}
    keys |= {
        cache.key(PROFILE, "2.6.0", 1),
        cache.key(PROFILE, "2.5.4", 2),
    }
    assert len(keys) == len(VARIANTS) + 3


def test_every_property_of_a_rule_counts() -> None:
    """`key` lists them; a new one must be added there."""
    assert {name.rstrip("!") for name in SyscallRule.PROPERTIES} == {
        *("names", "action", "errnoRet", "args")
    }


def test_equal_profiles_have_one_key_whatever_objects_they_are_made_of() -> None:
    word = "SCMP_ACT_" + "ALLOW"
    shared = profile("ERRNO", {"names": [word, word], "action": word})
    apart = json.loads(json.dumps(shared))
    assert cache.key(shared, "2.5.4", 1) == cache.key(apart, "2.5.4", 1)


def test_names_keep_their_rules_and_their_ends() -> None:
    def key(*rules: list[str]) -> bytes:
        made = [{"names": names, "action": "SCMP_ACT_ALLOW"} for names in rules]
        return cache.key({**PROFILE, "syscalls": made}, "2.5.4", 1)

    split = [(["a", "bc"], ["d"]), (["a", "b"], ["cd"]), (["a"], ["bc", "d"]), (["a"], ["b", "cd"])]
    assert len({key(*rules) for rules in split}) == len(split)


def test_whose_agent_listens_does_not_count_but_that_one_does() -> None:
    def key(**more: Any) -> bytes:
        return cache.key({**PROFILE, **more}, "2.5.4", 1)

    one = key(listenerPath="/run/one", listenerMetadata="a")
    assert one == key(listenerPath="/run/two", listenerMetadata="b")
    assert len({one, key(), key(listenerPath="/run/one"), key(listenerMetadata="a")}) == 4
    assert key(listenerPath="") == key(listenerPath="") != one


def test_a_profile_that_is_refused_is_refused_every_time(directory: str) -> None:
    for _ in range(2):
        with pytest.raises(Failure):
            ask(directory, profile("ALLOW", listenerMetadata="without a path"))
    assert not os.path.exists(directory)


@pytest.mark.parametrize("size", [0, 1, 71, 72, 100, -1])
def test_a_truncated_entry_is_made_again(directory: str, size: int) -> None:
    good = ask(directory)
    path = entry(directory)
    os.truncate(path, size if size >= 0 else path.stat().st_size - 1)
    again = ask(directory)
    assert not again.cached
    assert again.program == good.program
    assert ask(directory).cached


def test_an_entry_with_any_byte_changed_is_made_again(directory: str) -> None:
    ask(directory)
    path = entry(directory)
    data = path.read_bytes()
    for place in range(0, len(data), 7):
        path.write_bytes(data[:place] + bytes([data[place] ^ 0x40]) + data[place + 1 :])
        assert not ask(directory).cached


def test_an_entry_under_the_name_of_another_is_not_believed(directory: str) -> None:
    ask(directory, profile("ALLOW"))
    other = entry(directory)
    other.rename(other.with_name(cache.key(PROFILE, "x", 1).hex()))
    key = cache.key(PROFILE, "x", 1)
    assert cache.load(directory, key) is None


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_an_entry_that_others_may_write_is_not_believed(directory: str, mode: int) -> None:
    ask(directory)
    entry(directory).chmod(mode)
    assert not ask(directory).cached


def test_a_directory_that_others_may_write_is_neither_read_nor_written(directory: str) -> None:
    ask(directory)
    os.chmod(directory, 0o777)
    assert not ask(directory).cached
    assert not ask(directory, profile("ALLOW")).cached
    assert len(os.listdir(directory)) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give a file away")
def test_what_belongs_to_somebody_else_is_not_believed(directory: str) -> None:
    ask(directory)
    os.chown(entry(directory), 65534, 65534)
    assert not ask(directory).cached
    os.chown(directory, 65534, 65534)
    assert not ask(directory).cached


def test_links_and_pipes_are_not_followed(directory: str, tmp_path: pathlib.Path) -> None:
    ask(directory)
    path = entry(directory)
    moved = path.rename(tmp_path / "moved")
    path.symlink_to(moved)
    assert not ask(directory).cached
    path.unlink()
    os.mkfifo(path, 0o600)
    assert not ask(directory).cached
    linked = str(tmp_path / "link")
    os.symlink(directory, linked)
    assert not ask(linked).cached


def test_the_number_of_entries_is_bounded_and_the_oldest_go(
    directory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "KEPT", 3)
    made = [profile("ERRNO", defaultErrnoRet=number) for number in range(1, 6)]
    for age, each in enumerate(made):
        ask(directory, each)
        for path in pathlib.Path(directory).iterdir():
            if path.stat().st_mtime_ns > 10**15:
                os.utime(path, ns=(age, age))
    assert len(os.listdir(directory)) == 3
    assert [ask(directory, each).cached for each in made[2:]] == [True] * 3


def test_a_use_makes_an_entry_young_again(directory: str) -> None:
    ask(directory)
    os.utime(entry(directory), ns=(1, 1))
    assert ask(directory).cached
    noted = entry(directory).stat().st_mtime_ns
    assert noted > 1
    assert ask(directory).cached
    assert entry(directory).stat().st_mtime_ns == noted  # once an hour is enough


def test_nothing_half_written_stays(directory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "no space left on device")

    monkeypatch.setattr(os, "rename", fail)
    assert not ask(directory).cached
    assert os.listdir(directory) == []


def test_a_root_that_cannot_be_written_costs_nothing_but_time() -> None:
    assert not ask("/proc/self/.seccomp").cached


def test_no_profile_is_no_filter() -> None:
    assert pyrunc.seccomp.compile(None, cache="/nowhere") is None
