# SPDX-License-Identifier: Apache-2.0
"""The report of a suite: what it counts, and that its pages hold what the suite said."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path

import pytest

from conformance.report import FAIL, PASS, SKIP, Report, Verdict, parse_runtimes, version


class Texts(HTMLParser):
    """The words of a page, and whether each element that needs it is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "br", "col"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@pytest.fixture
def report() -> Report:
    found = Report("engine", "engine 1.0", {"one": "/bin/true", "two": "/bin/absent"})
    found.reasons = {"fails_here": "because of <this>"}
    found.add("passes", "one", Verdict(PASS, seconds=1.25))
    found.add("passes", "two", Verdict(PASS))
    found.add("fails_here", "one", Verdict(FAIL, "printed <b>&"))
    found.add("fails_here", "two", Verdict(SKIP, "needs that"))
    return found


def test_the_table_has_a_line_per_test_and_the_sums(report: Report) -> None:
    lines = [line.split() for line in report.table().splitlines()]
    assert lines[0] == ["test", "one", "two"]
    assert lines[1:3] == [["passes", "pass", "pass"], ["fails_here", "fail", "skip"]]
    assert lines[3:] == [["pass", "1", "1"], ["fail", "1", "0"], ["skip", "0", "1"]]


def test_the_pages_show_verdicts_reasons_and_output(report: Report, tmp_path: Path) -> None:
    report.write(tmp_path)
    other = Report("another", "another 2.0", {"one": "/bin/true"})
    other.add("one_more", "one", Verdict(PASS))
    other.write(tmp_path)
    for name, suites in (("engine.html", 1), ("index.html", 2)):
        page = Texts()
        page.feed((tmp_path / name).read_text())
        page.close()
        assert not page.open
        text = "|".join(page.words)
        for word in ("fails here", "because of <this>", "printed <b>&", "1.2 s", "needs that"):
            assert word in text, word
        assert text.count("engine 1.0") + text.count("another 2.0") == suites


def test_the_reasons_of_a_test_that_passes_everywhere_are_not_shown(
    report: Report, tmp_path: Path
) -> None:
    report.reasons = {"passes": "an old reason"}
    _, page = report.write(tmp_path)
    assert "an old reason" not in page.read_text()
    assert json.loads((tmp_path / "engine.json").read_text())["reasons"] == report.reasons


def test_runtimes_are_given_by_path_or_by_name() -> None:
    found = parse_runtimes(["sh", "mine=/opt/x", "bin/y"])
    assert found["sh"].startswith("/")
    assert found["mine"] == "/opt/x"
    assert found["y"] == str(Path("bin/y").absolute())


def test_a_program_that_does_not_run_has_no_version() -> None:
    assert version("/bin/absent") == ""
