# SPDX-License-Identifier: Apache-2.0
"""What update and events read: amounts, durations, and how a change meets what is stored."""

from __future__ import annotations

from typing import Any

import pytest

from pyrunc.cli import flags
from pyrunc.cli.duration import duration_ms
from pyrunc.cli.flag_table import VERBS
from pyrunc.commands import update
from pyrunc.errors import Failure, UsageError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("-1", -1),
        ("1024", 1024),
        ("1k", 1024),
        ("1K", 1024),
        ("2kb", 2048),
        ("2KiB", 2048),
        ("512m", 512 << 20),
        ("1g", 1 << 30),
        ("1T", 1 << 40),
        ("7b", 7),
    ],
)
def test_an_amount_of_bytes_is_read(text: str, value: int) -> None:
    assert update.number(text, flag="memory", units=True) == value


@pytest.mark.parametrize("text", ["", "k", "-2", "1.5g", "1 m", "1x", "٣", "1_0", "1mm", "9" * 30])
def test_a_wrong_amount_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="invalid value"):
        update.number(text, flag="memory", units=True)


@pytest.mark.parametrize("text", ["1k", "", "x", "-5", "0x10"])
def test_a_plain_number_takes_no_unit(text: str) -> None:
    with pytest.raises(UsageError, match="a decimal number, or -1"):
        update.number(text, flag="cpu-share", units=False)


def parse(line: str) -> dict[str, Any]:
    return update.from_flags(flags.parse(["update", *line.split(), "web"]))


def test_only_the_flags_that_were_given_change_something() -> None:
    assert parse("--memory 1g --cpu-share=10") == {
        "memory": {"limit": 1 << 30},
        "cpu": {"shares": 10},
    }


def test_no_memory_limit_means_no_swap_limit_either() -> None:
    assert parse("--memory -1") == {"memory": {"limit": -1, "swap": -1}}
    assert parse("--memory -1 --memory-swap 5") == {"memory": {"limit": -1, "swap": 5}}


def test_update_without_a_change_is_a_mistake() -> None:
    with pytest.raises(UsageError, match="nothing to update"):
        parse("")


def test_every_flag_of_update_has_a_meaning() -> None:
    rows = VERBS["update"][5]
    known = {*update.FLAGS, *update.RDT_FLAGS, "resources", "dry-run", "reclaim"}
    assert {row[0] for row in rows} == known


def test_a_change_keeps_the_other_properties() -> None:
    stored = {"cpu": {"quota": 5, "period": 10}, "pids": {"limit": 3}}
    assert update.merge(stored, {"cpu": {"quota": 7}}) == {
        "cpu": {"quota": 7, "period": 10},
        "pids": {"limit": 3},
    }
    assert stored["cpu"] == {"quota": 5, "period": 10}


def test_idle_forgets_the_shares() -> None:
    stored = {"cpu": {"shares": 5, "quota": 1}}
    assert update.merge(stored, {"cpu": {"idle": 1}}) == {"cpu": {"quota": 1, "idle": 1}}


@pytest.mark.parametrize(
    ("stored", "change", "merged"),
    [
        ({"unified": {"cpu.idle": "1"}}, {"cpu": {"idle": 0}}, {"idle": 0}),
        ({"unified": {"cpu.weight": "5"}}, {"cpu": {"idle": 1}}, {"idle": 1}),
        ({"unified": {"cpu.weight": "5"}}, {"cpu": {"shares": 9}}, {"shares": 9}),
        ({"cpu": {"idle": 1}}, {"cpu": {"idle": 0, "shares": 9}}, {"idle": 0, "shares": 9}),
        ({"cpu": {"idle": 1}}, {"unified": {"cpu.idle": "0", "cpu.weight": "5"}}, {}),
        ({"cpu": {"shares": 9}}, {"unified": {"cpu.idle": "1"}}, {}),
        ({"cpu": {"shares": 9}}, {"unified": {"cpu.weight": "5"}}, {}),
        ({"cpu": {"shares": 9}}, {"pids": {"limit": 5}}, {"shares": 9}),
    ],
)
def test_what_the_kernel_forgets_of_weights_and_idle_groups_is_forgotten(
    stored: dict[str, Any], change: dict[str, Any], merged: dict[str, Any]
) -> None:
    found = update.merge(stored, change)
    assert found["cpu"] == merged
    given = change.get("unified", {})
    assert {k: v for k, v in found.get("unified", {}).items() if k.startswith("cpu.")} == given


@pytest.mark.parametrize("idle", [{"cpu": {"idle": 1}}, {"unified": {"cpu.idle": "1"}}])
def test_a_weight_for_an_idle_group_is_an_error(idle: dict[str, Any]) -> None:
    with pytest.raises(Failure, match=r"cpu.weight cannot be changed while cpu.idle is 1"):
        update.merge(idle, {"unified": {"cpu.weight": "50"}})


def test_block_devices_are_changed_by_their_numbers() -> None:
    stored = {"blockIO": {"throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 1}]}}
    change = {
        "blockIO": {
            "throttleReadBpsDevice": [
                {"major": 8, "minor": 0, "rate": 2},
                {"major": 8, "minor": 1, "rate": 3},
            ]
        }
    }
    merged = update.merge(stored, change)["blockIO"]["throttleReadBpsDevice"]
    assert [one["rate"] for one in merged] == [2, 3]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5s", 5000),
        ("1m30s", 90_000),
        ("1.5h", 5_400_000),
        ("300ms", 300),
        ("1us", 1),
        ("2m", 120_000),
    ],
)
def test_a_duration_is_read(text: str, value: int) -> None:
    assert duration_ms(text, flag="interval") == value


@pytest.mark.parametrize("text", ["", "0", "0s", "-5s", "0.0s"])
def test_a_duration_is_greater_than_zero(text: str) -> None:
    with pytest.raises(UsageError, match="duration interval must be greater than 0"):
        duration_ms(text, flag="interval")


@pytest.mark.parametrize("text", ["5", "s", "5x", "5 s", "5s5", "1.2.3s", "٣s"])
def test_a_wrong_duration_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        duration_ms(text, flag="interval")


@pytest.mark.parametrize(
    ("given", "change", "text"),
    [
        ("9s", {"memory": {"limit": 1}}, "at most 8s"),
        ("1m", {"memory": {"limit": 1}}, "at most 8s"),
        ("5s", {"pids": {"limit": 1}}, "--reclaim needs a limit of memory"),
        ("5s", {"memory": {"limit": -1}}, "--reclaim needs a limit of memory"),
        ("5s", {"unified": {"memory.max": "max"}}, "--reclaim needs a limit of memory"),
        ("0", {"memory": {"limit": 1}}, "greater than 0"),
    ],
)
def test_time_to_reclaim_is_bounded_and_has_a_limit_to_reach(
    given: str, change: dict[str, Any], text: str
) -> None:
    with pytest.raises(UsageError, match=text):
        update.reclaim_seconds(given, change)


@pytest.mark.parametrize(
    "change", [{"memory": {"limit": 4096}}, {"unified": {"memory.max": "4096"}}]
)
def test_time_to_reclaim_is_a_duration(change: dict[str, Any]) -> None:
    assert update.reclaim_seconds("1500ms", change) == 1.5
