# SPDX-License-Identifier: Apache-2.0
"""The report of a suite: a row per test, a column per runtime, as a table, as JSON and as HTML."""

from __future__ import annotations

import html
import json
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

PASS, FAIL, SKIP = "pass", "fail", "skip"


@dataclass(frozen=True)
class Verdict:
    """What one runtime did in one test. `detail` is what a reader needs to understand a failure."""

    status: str
    detail: str = ""
    seconds: float = 0.0


@dataclass
class Report:
    """The verdicts of a suite: test -> runtime -> verdict, and the reasons of known failures."""

    suite: str
    runtimes: Mapping[str, str]
    rows: dict[str, dict[str, Verdict]] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)

    def add(self, test: str, runtime: str, verdict: Verdict) -> None:
        self.rows.setdefault(test, {})[runtime] = verdict

    def count(self, runtime: str, status: str) -> int:
        return sum(
            1 for row in self.rows.values() if runtime in row and row[runtime].status == status
        )

    def failures(self, runtime: str) -> list[str]:
        return [
            test
            for test, row in sorted(self.rows.items())
            if runtime in row and row[runtime].status == FAIL
        ]

    def table(self) -> str:
        """The verdicts as text, a line per test, the sums at the end."""
        width = max([len(test) for test in self.rows] + [4])
        names = list(self.runtimes)
        lines = [" ".join([f"{'test':<{width}}", *(f"{name:>10}" for name in names)])]
        for test, row in sorted(self.rows.items()):
            cells = [f"{row[name].status if name in row else '-':>10}" for name in names]
            lines.append(" ".join([f"{test:<{width}}", *cells]).rstrip())
        for status in (PASS, FAIL, SKIP):
            cells = [f"{self.count(name, status):>10}" for name in names]
            lines.append(" ".join([f"{status:<{width}}", *cells]))
        return "\n".join(lines)

    def write(self, directory: Path) -> tuple[Path, Path]:
        """Write SUITE.json and SUITE.html; returns both paths."""
        directory.mkdir(parents=True, exist_ok=True)
        json_path, html_path = directory / f"{self.suite}.json", directory / f"{self.suite}.html"
        document = {
            "suite": self.suite,
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "runtimes": dict(self.runtimes),
            "tests": {
                test: {name: asdict(verdict) for name, verdict in row.items()}
                for test, row in sorted(self.rows.items())
            },
            "reasons": dict(self.reasons),
        }
        json_path.write_text(json.dumps(document, indent=1) + "\n")
        html_path.write_text(self._html())
        return json_path, html_path

    def _html(self) -> str:
        names = list(self.runtimes)
        heads = "".join(
            f"<th>{html.escape(name)}<br><small>{html.escape(self.runtimes[name])}</small></th>"
            for name in names
        )
        rows = []
        for test, row in sorted(self.rows.items()):
            cells = "".join(_cell(row.get(name)) for name in names)
            reason = html.escape(self.reasons.get(test, ""))
            rows.append(f"<tr><th>{html.escape(test)}</th>{cells}<td>{reason}</td></tr>")
        sums = "".join(f"<td>{self.count(name, PASS)} of {len(self.rows)}</td>" for name in names)
        return _PAGE.format(
            suite=html.escape(self.suite), heads=heads, rows="\n".join(rows), sums=sums
        )


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{suite}</title><style>
body {{ font: 15px/1.4 system-ui, sans-serif; margin: 2rem; }}
table {{ border-collapse: collapse; }}
th, td {{ border: 1px solid #ccc; padding: .25rem .6rem; text-align: left; vertical-align: top; }}
.pass {{ background: #e3f6e3; }} .fail {{ background: #fbdcdc; }} .skip {{ background: #f4f0d8; }}
pre {{ white-space: pre-wrap; margin: .3rem 0; }} small {{ font-weight: normal; color: #555; }}
</style></head><body><h1>{suite}</h1><table>
<tr><th>test</th>{heads}<th>why</th></tr>
{rows}
<tr><th>passed</th>{sums}<td></td></tr>
</table></body></html>
"""


def _cell(verdict: Verdict | None) -> str:
    if verdict is None:
        return "<td>-</td>"
    text = f"{verdict.status} <small>{verdict.seconds:.1f} s</small>"
    if verdict.detail:
        text = (
            f"<details><summary>{text}</summary><pre>{html.escape(verdict.detail)}</pre></details>"
        )
    return f'<td class="{verdict.status}">{text}</td>'


def parse_runtimes(arguments: Sequence[str]) -> dict[str, str]:
    """Runtimes given as NAME=PATH or PATH, as a mapping of names to absolute paths."""
    runtimes = {}
    for argument in arguments:
        name, equals, path = argument.partition("=")
        if not equals:
            name, path = Path(argument).name, argument
        found = path if "/" in path else shutil.which(path) or path
        runtimes[name] = str(Path(found).absolute())
    return runtimes
