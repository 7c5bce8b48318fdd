# SPDX-License-Identifier: Apache-2.0
"""Bring the table of docs/engines.md up to date from the reports of the suites.

``python -m conformance.measured [DIRECTORY]``: a row per report, in the directory and those below.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from conformance.report import FAIL, PASS, SKIP

TREE = Path(__file__).resolve().parents[1]
PAGE = TREE / "docs/engines.md"
BEGIN, END = "<!-- measured: begin -->\n", "<!-- measured: end -->\n"
KEY = 3  # the columns that say what was measured
HEAD = """| suite | with | on | date | passed: pyrunc, others |
|---|---|---|---|---|
"""


def documents(directory: Path) -> list[dict[str, Any]]:
    """Return the reports of whole suites, the host's before those of guests."""
    paths = sorted(directory.rglob("*.json"), key=lambda path: (len(path.parts), path))
    return [json.loads(path.read_text()) for path in paths if not path.stem.endswith("-smoke")]


def tally(document: dict[str, Any], runtime: str) -> str:
    """Return how many tests a runtime passed of those that were not skipped."""
    verdicts = [row[runtime]["status"] for row in document["tests"].values() if runtime in row]
    tried = verdicts.count(PASS) + verdicts.count(FAIL)
    skipped = verdicts.count(SKIP)
    return f"{verdicts.count(PASS)} of {tried}" + (f" ({skipped} skipped)" if skipped else "")


def row(document: dict[str, Any]) -> str:
    """Return the row of a report: the first runtime is the one under test."""
    judged, *others = document["runtimes"]
    names = [f"{name.partition('-')[0]} {document['versions'][name]}" for name in others]
    counts = [f"{name} {tally(document, other)}" for name, other in zip(names, others, strict=True)]
    passed = ", ".join([tally(document, judged), *counts])
    # Of the kernel's release the numbers: the rest is its builder's.
    host = f"{document['host'].partition('-')[0]}, {document['layout']}"
    cells = (document["suite"], document["subject"], host, document["time"][:10], passed)
    return f"| {' | '.join(cells)} |\n"


def rows(directory: Path) -> list[str]:
    return [row(document) for document in documents(directory)]


def replaced(page: str, new: Iterable[str]) -> str:
    """Return a page with new rows in the place of those for the same suite, engine and host.

    A row that no report is about stays, with its date.
    """
    before, begin, rest = page.partition(BEGIN)
    old, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"no marks {BEGIN.strip()} and {END.strip()}")
    head = HEAD.count("\n")
    lines = [*old.splitlines(keepends=True)[head:], *new]
    kept = {tuple(line.split(" | ")[:KEY]): line for line in lines}
    return before + begin + HEAD + "".join(kept.values()) + end + after


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("directory", nargs="?", type=Path, default=Path("build/conformance"))
    arguments = parser.parse_args()
    PAGE.write_text(replaced(PAGE.read_text(), rows(arguments.directory)))


if __name__ == "__main__":
    main()
