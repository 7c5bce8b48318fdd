# SPDX-License-Identifier: Apache-2.0
"""What the benches of many commands make of what they read."""

from __future__ import annotations

import pytest

from bench import footprint, load


def test_the_slow_ones_are_those_that_a_hundredth_exceeds() -> None:
    durations = [0.001] * 985 + [0.5] * 15
    row = load.rates(durations, 2.0, of="x")
    assert row == {"x, 1/s": 500.0, "x, p50 ms": 1.0, "x, p99 ms": 500.0}
    assert load.quantile([3.0, 1.0, 2.0], 0.99) == 3.0
    assert load.quantile([5.0], 0.5) == 5.0


def test_private_dirty_memory_is_summed() -> None:
    smaps = "Rss: 9 kB\nPrivate_Clean:  8 kB\nPrivate_Dirty:  44 kB\nPrivate_Dirty:   4 kB\n"
    assert footprint.private_dirty_kb(smaps) == 48


@pytest.mark.parametrize(
    ("membership", "place"),
    [
        ("3:cpu,memory:/a\n1:name=systemd:/b\n0::/c\n", ("memory", "/a")),
        ("0::/c:d\n", ("", "/c:d")),
        ("4:memory_not:/a\n0::/c\n", ("", "/c")),
    ],
)
def test_memory_is_charged_where_the_controller_is(membership: str, place: object) -> None:
    assert footprint.memory_group(membership) == place


@pytest.mark.parametrize("needed", [1, 64, 65, 640, 641, 1000, 1024])
def test_the_least_limit_is_found(needed: int) -> None:
    tried: list[int] = []

    def works(limit: int) -> bool:
        tried.append(limit)
        return limit >= needed

    result = footprint.least(works, low=64, high=1024, step=64)
    assert result == max(64, -(-needed // 64) * 64)
    assert len(tried) <= 6


def test_a_limit_that_is_nowhere_found_is_an_error() -> None:
    with pytest.raises(ValueError, match="1024 is too little"):
        footprint.least(lambda _limit: False, low=64, high=1024, step=64)


TRACE = """10 execve("/x", ["x"]) = 0
10 clone3({flags=0} <unfinished ...>
11 read(3,  <unfinished ...>
10 <... clone3 resumed>) = 11
10 --- SIGCHLD {si_signo=SIGCHLD} ---
11 <... read resumed>"", 1) = 0
11 +++ exited with 0 +++
"""


def test_each_call_is_counted_once() -> None:
    assert footprint.count(TRACE) == 3


def test_a_command_has_ended_when_its_first_process_has() -> None:
    assert not footprint.ended(TRACE)
    assert footprint.ended(TRACE + "10   +++ exited with 0 +++\n")
    assert not footprint.ended("")


def test_the_table_has_a_line_for_each_figure_and_a_dash_for_none() -> None:
    lines = load.table({"a": {"x": [1.0, 3.0]}, "b": {"y": [5.0]}}).splitlines()
    assert [line.split() for line in lines] == [
        ["a", "b"],
        ["x", "2", "±1", "-"],
        ["y", "-", "5", "±0"],
    ]
