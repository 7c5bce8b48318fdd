# SPDX-License-Identifier: Apache-2.0
"""The table of docs/engines.md: a row per report, with what each runtime passed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from conformance import measured
from conformance.report import FAIL, PASS, SKIP, Report, Verdict, layout


def reported(directory: Path, suite: str) -> None:
    report = Report(suite, "engine 2.1", {"pyrunc": "/bin/true", "peer-1.5": "/bin/absent"})
    verdicts = ((PASS, PASS), (PASS, FAIL), (SKIP, SKIP))
    for number, pair in enumerate(verdicts):
        for name, status in zip(report.runtimes, pair, strict=True):
            report.add(f"test{number}", name, Verdict(status))
    report.write(directory)


def test_a_row_counts_what_was_tried(tmp_path: Path) -> None:
    reported(tmp_path, "one")
    reported(tmp_path, "one-smoke")
    reported(tmp_path / "guest", "another")
    document = json.loads((tmp_path / "one.json").read_text())
    document["versions"]["peer-1.5"] = "1.5.2"
    (tmp_path / "one.json").write_text(json.dumps(document))
    rows = measured.rows(tmp_path)
    cells = [[cell.strip() for cell in row.strip("|\n").split("|")] for row in rows]
    assert [row[0] for row in cells] == ["one", "another"]
    assert cells[0][1] == "engine 2.1"
    assert cells[0][4] == "2 of 2 (1 skipped), peer 1.5.2 1 of 2 (1 skipped)"


def test_only_the_text_between_the_marks_is_replaced() -> None:
    old = [
        "| one | engine 2.1 | here | 2026-01-01 | 1 of 2 |\n",
        "| one | engine 2.1 | there | x |\n",
    ]
    page = f"before\n{measured.BEGIN}{measured.HEAD}{''.join(old)}{measured.END}after\n"
    new = [
        "| one | engine 2.1 | here | 2026-12-01 | 2 of 2 |\n",
        "| two | engine 2.1 | here | y |\n",
    ]
    expected = page.replace(old[0], new[0]).replace(old[1], old[1] + new[1])
    assert measured.replaced(page, new) == expected
    with pytest.raises(ValueError, match="no marks"):
        measured.replaced("before\n", new)
    assert measured.BEGIN in measured.PAGE.read_text()


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (("cgroup/cgroup.controllers",), "cgroup v2"),
        (("cgroup/cgroup.controllers", "run/systemd/system/x"), "cgroup v2 and systemd"),
        (("cgroup/unified/x",), "hybrid cgroups"),
        (("cgroup/memory/x",), "cgroup v1"),
    ],
)
def test_the_kind_of_host(tmp_path: Path, files: tuple[str, ...], expected: str) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert layout(tmp_path / "cgroup", tmp_path / "run") == expected
