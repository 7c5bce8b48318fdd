# SPDX-License-Identifier: Apache-2.0
"""Writes docs/advisories.md from tests/security/advisories.json; --check only compares."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

TREE = Path(__file__).resolve().parents[1]
SOURCE = TREE / "tests/security/advisories.json"
TARGET = TREE / "docs/advisories.md"
HEAD = """<!-- SPDX-License-Identifier: Apache-2.0 -->
<!-- Written by tools/advisories.py from tests/security/advisories.json: do not edit. -->
# Advisories about programs of this kind

What went wrong in container runtimes and their relatives, in our words, and the tests that keep it
from happening here. Each row stays for ever; a test fails where a row names one that is not there.
An id in *italics* is known from its fix only. A name that is no CVE or GHSA is a commit or a
release of the project it names. The rules (such as AR-1) are those of [rules.md](rules.md).

"""
PAGES = {"CVE": "https://www.cve.org/CVERecord?id={}", "GHSA": "https://github.com/advisories/{}"}


def linked(name: str, *, confirmed: bool) -> str:
    """Link an id where the world has a page for it."""
    page = PAGES.get(name.partition("-")[0])
    text = name if confirmed else f"*{name}*"
    return f"[{text}]({page.format(name)})" if page and confirmed else text


def row(entry: dict[str, Any]) -> str:
    """Write the section of a row."""
    doubtful = set(entry.get("unconfirmed", ()))
    ids = ", ".join(linked(name, confirmed=name not in doubtful) for name in entry["ids"])
    lines = [f"## {entry['row']}", "", ids, "", entry["flaw"], ""]
    lines.append(f"Rules: {', '.join(entry['requirements'])}. Tests:")
    lines.append("")
    for test in entry["tests"]:
        path, _, name = test.partition("::")
        words = name.removeprefix("test_").replace("_", " ")
        lines.append(f"- [{words}](../{path})")
    return "\n".join(lines) + "\n"


def page() -> str:
    """Write the whole page."""
    entries = json.loads(SOURCE.read_text())
    ids = sum(len(entry["ids"]) for entry in entries)
    tests = {test for entry in entries for test in entry["tests"]}
    count = f"{len(entries)} rows, {ids} ids, {len(tests)} test functions.\n\n"
    return HEAD + count + "\n".join(map(row, entries))


def main() -> int:
    if "--check" not in sys.argv[1:]:
        TARGET.write_text(page())
        return 0
    if TARGET.exists() and TARGET.read_text() == page():
        return 0
    print(f"{TARGET.relative_to(TREE)} is stale: run python3 tools/advisories.py")
    return 1


if __name__ == "__main__":
    sys.exit(main())
