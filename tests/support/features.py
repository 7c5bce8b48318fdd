# SPDX-License-Identifier: Apache-2.0
"""Which rows of the feature table the tests prove, and what the last run of each test said.

A test names its rows with the marker `feature("3.5 hostname")`: the number of the row in
tests/features/peers.md and the beginning of its name. Tests of other issues are tied to rows in
tests/features/proofs.txt. The outcomes go to build/features.json, those of a guest NAME to
build/features-NAME.json; tools/features.py reads them all.
"""

from __future__ import annotations

import inspect
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

TREE = Path(__file__).resolve().parents[2]
PEERS = TREE / "tests/features/peers.md"
PROOFS = TREE / "tests/features/proofs.txt"
RESULTS = Path(os.environ.get("PYRUNC_FEATURES", TREE / "build/features.json"))
MODES = ("root", "userns", "user")
HEADERS = ("Capability", "Flag", "Property", "Field", "Key", "Annotation")


@dataclass(frozen=True)
class Row:
    """One capability and what the peers say of it."""

    number: str
    name: str
    runc: str
    crun: str
    youki: str

    @property
    def plain(self) -> str:
        return self.name.replace("`", "").replace("\\", "")


def cells(line: str) -> list[str]:
    """The cells of a row of a Markdown table."""
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def is_row(line: str) -> bool:
    return line.startswith("|") and not set(line) <= set("|-: ") and cells(line)[0] not in HEADERS


def numbered() -> Iterator[tuple[str, Row | None]]:
    """Every line of the table of the peers, with its row where it is one."""
    section, count = "", 0
    for line in PEERS.read_text().splitlines():
        heading = re.match(r"## (\d+)\. ", line)
        if heading:
            section, count = heading.group(1), 0
        if not is_row(line):
            yield line, None
            continue
        count += 1
        yield line, Row(f"{section}.{count}", *cells(line))


def rows() -> dict[str, Row]:
    return {row.number: row for _line, row in numbered() if row is not None}


def proofs() -> dict[str, list[str]]:
    """Row numbers of tests that lie elsewhere, by `path::function`."""
    found: dict[str, list[str]] = {}
    for line in PROOFS.read_text().splitlines():
        if line and not line.startswith("#"):
            test, *numbers = line.split()
            found.setdefault(test, []).extend(numbers)
    return found


def pytest_configure(config: pytest.Config) -> None:
    text = "feature(row): the test proves this row of tests/features/peers.md"
    config.addinivalue_line("markers", text)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    known, elsewhere = rows(), proofs()
    for item in items:
        name = f"{item.path.relative_to(TREE)}::{item.name.partition('[')[0]}"
        for number in elsewhere.get(name, ()):
            item.add_marker(pytest.mark.feature(f"{number} {known[number].plain}"))
        for marker in item.iter_markers("feature"):
            for text in marker.args:
                check(text, known, where=item.nodeid)


def check(text: str, known: dict[str, Row], *, where: str) -> None:
    number, _, name = text.partition(" ")
    if number not in known or not known[number].plain.startswith(name) or len(name) < 3:
        raise pytest.UsageError(f"{where}: {text!r} is no row of {PEERS.relative_to(TREE)}")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Keep the worst of set-up, call and clean-up."""
    if report.when == "call" or report.outcome != "passed":
        OUTCOMES[report.nodeid] = (
            "failed" if OUTCOMES.get(report.nodeid) == "failed" else (report.outcome)
        )


OUTCOMES: dict[str, str] = {}


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Merge into the results: tests that were not run now keep what they said last."""
    if session.config.getoption("--runtime") or not OUTCOMES:
        return
    results = read_results()
    for item in session.items:
        marked = [text for mark in item.iter_markers("feature") for text in mark.args]
        if marked and item.nodeid in OUTCOMES:
            numbers = sorted({text.partition(" ")[0] for text in marked})
            outcome = OUTCOMES[item.nodeid]
            results[item.nodeid] = {"rows": numbers, "outcome": outcome, "mode": mode(item)}
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=1, sort_keys=True))


def mode(item: pytest.Item) -> str:
    """How the test runs containers: the parameter of that name, else what it asks for."""
    parameters = getattr(item, "callspec", None)
    if parameters is not None and parameters.params.get("mode") in MODES:
        return str(parameters.params["mode"])
    if "user" in getattr(item, "fixturenames", ()):
        return "user"
    function = getattr(item, "function", None)
    asks = function is not None and "user_namespace()" in inspect.getsource(function)
    return "userns" if asks else "root"


def guest_results(name: str) -> Path:
    """Where the results of a guest are kept on the host."""
    return TREE / f"build/features-{name}.json"


def read_results(path: Path = RESULTS) -> dict[str, dict[str, object]]:
    try:
        found: dict[str, dict[str, object]] = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    return found
