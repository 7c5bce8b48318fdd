# SPDX-License-Identifier: Apache-2.0
"""The tables of system calls against libseccomp (SC-3)."""

from __future__ import annotations

import re
from pathlib import Path
from unittest.mock import Mock

import pytest

from pyrunc.seccomp import library, names, newer, tables
from tests.seccomp import support
from tests.seccomp.support import profile, rule

HEADER = Path("/usr/include/seccomp-syscalls.h")  # of the package libseccomp-dev
NAMES = sorted({*re.findall(r"^#define\s+__SNR_(\w+)", HEADER.read_text(), re.M), *newer.NAMES})
KNOWN = {
    name: token for name, token in names.ARCHITECTURES.items() if library.knows_architecture(token)
}


@pytest.fixture(scope="module", autouse=True)
def _all_known() -> None:
    assert tables.learn(NAMES) == []


def table(token: int) -> tables.Table:
    found = tables.table(token)
    assert found is not None
    return found


@pytest.mark.parametrize("architecture", KNOWN)
def test_a_table_says_of_each_number_whose_it_is(architecture: str) -> None:
    """Each number has one name, or the rule for another name of it would be lost."""
    token = KNOWN[architecture]
    numbers = {name: support.number_of(token, name) for name in NAMES}
    expected = {number: name for name, number in numbers.items() if number >= 0}
    assert len(expected) == sum(number >= 0 for number in numbers.values()) > 200
    by_place = dict(zip(tables.indexes(NAMES), NAMES, strict=True))
    assert {
        start + distance: by_place[place]
        for start, places in table(token).segments
        for distance, place in enumerate(places)
        if place in by_place
    } == expected


def test_a_name_is_asked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made = profile("ERRNO", rule("read write bind", "ALLOW"), rule("socketcall", "LOG"))
    first = support.compiled(made)
    monkeypatch.delattr(library, "resolve")
    assert support.compiled(made).program == first.program


def test_unknown_names_are_asked_for_together(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Mock(side_effect=library.resolve)
    monkeypatch.setattr(library, "resolve", asked)
    rules = [rule(f"read no_such_call_{number}", "ALLOW") for number in range(50)]
    found = support.compiled(profile("ERRNO", *rules))
    assert len(found.report.ignored) == 50
    assert asked.call_count == 1


def test_a_name_that_comes_later_is_in_tables_that_are_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tables, "_places", {})
    monkeypatch.setattr(tables, "_tables", {})
    there = table(names.I386)
    assert there.segments == []
    with pytest.raises(KeyError):
        tables.indexes(["write"])
    assert tables.learn(["write", "no_such_call", "bind", "nor_this"]) == [
        *("no_such_call", "nor_this")
    ]
    with pytest.raises(KeyError):
        tables.indexes(["write", "no_such_call"])
    tables.learn(["read", "write"])
    assert [there.numbers[place] for place in tables.indexes(["read", "write", "bind"])] == [
        3,
        4,
        361,
    ]
    assert there.multiplexers == ["socketcall", "ipc"]


def test_the_newest_call_is_looked_for_outside_the_private_range() -> None:
    there = table(names.ARM)
    places = tables.indexes(["read", "set_tls", "openat2"])
    actions: list[int | None] = [None] * (tables.count() + 1)
    assert there.newest(actions) == -1
    for place, newest in zip(places, (3, 3, 437), strict=True):
        actions[place] = names.ALLOW
        assert there.newest(actions) == newest
