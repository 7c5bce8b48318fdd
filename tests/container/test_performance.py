# SPDX-License-Identifier: Apache-2.0
"""info --performance: settings and counts, each with what it costs, and nothing is left."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.runtime import Runtime

NAMES = ["rcuExpedited", "mounts", "favordynmods", "controlGroups"]


def groups() -> set[str]:
    return {str(path) for path in Path("/sys/fs/cgroup").rglob("pyrunc-measures-*")}


def test_every_setting_has_a_measure(pyrunc: Runtime) -> None:
    before = groups()
    found = json.loads(pyrunc("info", "--performance", "--format", "json").ok().stdout)
    rows = found["performance"]
    assert [row["name"] for row in rows] == NAMES
    assert rows[1]["value"] == len(Path("/proc/self/mountinfo").read_text().splitlines())
    for row in rows:
        assert row["measured"]
        assert "reason" in row or 0 < row["medianMs"] <= row["mostMs"], row
    assert [row for row in rows if "medianMs" in row]
    assert groups() == before


def test_people_read_what_was_measured_and_only_when_they_ask(pyrunc: Runtime) -> None:
    text = pyrunc("info", "--performance").ok().stdout
    assert "\nPerformance\n  Rcu expedited:" in text
    assert " ms, at most " in text
    assert "Performance" not in pyrunc("info").ok().stdout
