# SPDX-License-Identifier: Apache-2.0
"""Write docs/security-report.md and docs/security-report.json from the records of the suites."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from tests.support.runtime import TREE

HEAD = """# Security report

Written by `make security` and `make security-full`. A case is one start, fault, mutation or burst;
*survived*: the program ran with all that was asked for; *refused*: a clear error and nothing left;
*left*: something that `delete --force` does not remove; *found*: a hang, an unclear error, another
posture, a change outside the container. *of*: how many cases the suite has. What each suite shows
and what none of them does: [security.md](security.md). The lines of the peers show that the suites
can find something: the versions are those of Debian 12. The JSON beside this has every bad case.

"""
OUTCOMES = ("survived", "refused", "left behind", "found")


def records(directory: Path) -> list[dict[str, Any]]:
    """One dictionary for each suite and subject."""
    found = []
    for path in directory.glob("*.jsonl"):
        head, *lines = map(json.loads, path.read_text().splitlines())
        counts = Counter(outcome for _case, (outcome, _detail) in lines)
        bad = {case: detail for case, (outcome, detail) in lines if outcome in OUTCOMES[2:]}
        found.append({
            "suite": head["suite"], "title": head["title"], "subject": path.stem.split("-", 1)[1],
            "program": head["program"], "of": head["all"], "cases": len(lines),
            **{outcome: counts[outcome] for outcome in OUTCOMES}, "bad": bad,
        })  # fmt: skip
    return sorted(
        found,
        key=lambda each: (int(each["suite"][1:]), each["subject"] != "pyrunc", each["subject"]),
    )


def write(directory: Path) -> int:
    """Write both files; 1 if something bad was found in pyrunc."""
    found = records(directory)
    lines = [
        "| suite | subject | cases | of | survived | refused | left | found |",
        "|---|---|--:|--:|--:|--:|--:|--:|",
    ]
    for each in found:
        counts = " | ".join(str(each[outcome]) for outcome in OUTCOMES)
        name = f"{each['suite']} {each['title']}"
        lines.append(f"| {name} | {each['subject']} | {each['cases']} | {each['of']} | {counts} |")
    own = [
        (each["suite"], case, detail)
        for each in found
        if each["subject"] == "pyrunc"
        for case, detail in each["bad"].items()
    ]
    lines += ["", "## Open", ""]
    lines += [f"- {suite} `{case}`: {short(detail)}" for suite, case, detail in own] or ["Nothing."]
    (TREE / "docs/security-report.md").write_text(HEAD + "\n".join(lines) + "\n")
    (TREE / "docs/security-report.json").write_text(
        json.dumps(found, indent=1, sort_keys=True) + "\n"
    )
    print(f"{len(own)} open; see docs/security-report.md")
    return 1 if own else 0


def short(detail: str) -> str:
    """One line of what was found."""
    return " ".join(detail.split())[:160].replace("|", "/")
