# SPDX-License-Identifier: Apache-2.0
"""The report of a suite: a row per test, a column per runtime, as a table, JSON and HTML."""

from __future__ import annotations

import json
import platform
import re
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from conformance import page

PASS, FAIL, SKIP = "pass", "fail", "skip"


@dataclass(frozen=True)
class Verdict:
    """What one runtime did in one test. `detail` is what a reader needs to understand a failure."""

    status: str
    detail: str = ""
    seconds: float = 0.0


@dataclass
class Report:
    """The verdicts of a suite: test -> runtime -> verdict, and the reasons of known failures.

    `subject` names what calls the runtimes, with its version.
    """

    suite: str
    subject: str
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
            for test, row in self.rows.items()
            if runtime in row and row[runtime].status == FAIL
        ]

    def table(self) -> str:
        """Return the verdicts as text, a line per test, the sums at the end."""
        width = max([len(test) for test in self.rows] + [4])
        names = list(self.runtimes)
        lines = [" ".join([f"{'test':<{width}}", *(f"{name:>10}" for name in names)])]
        for test, row in self.rows.items():
            cells = [f"{row[name].status if name in row else '-':>10}" for name in names]
            lines.append(" ".join([f"{test:<{width}}", *cells]).rstrip())
        for status in (PASS, FAIL, SKIP):
            cells = [f"{self.count(name, status):>10}" for name in names]
            lines.append(" ".join([f"{status:<{width}}", *cells]))
        return "\n".join(lines)

    def write(self, directory: Path) -> tuple[Path, Path]:
        """Write SUITE.json and SUITE.html, and the page of all suites; returns the first two."""
        directory.mkdir(parents=True, exist_ok=True)
        json_path, html_path = directory / f"{self.suite}.json", directory / f"{self.suite}.html"
        document = {
            "suite": self.suite,
            "subject": self.subject,
            "host": f"{platform.system()} {platform.release()}",
            "layout": layout(),
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "runtimes": dict(self.runtimes),
            "versions": {name: version(path) for name, path in self.runtimes.items()},
            "tests": {
                test: {name: asdict(verdict) for name, verdict in row.items()}
                for test, row in self.rows.items()
            },
            "reasons": dict(self.reasons),
        }
        json_path.write_text(json.dumps(document, indent=1) + "\n")
        html_path.write_text(page.single(document))
        page.write(directory)
        return json_path, html_path


def layout(top: Path = Path("/sys/fs/cgroup"), run: Path = Path("/run")) -> str:
    """Return the version of the cgroup hierarchies, and whether systemd runs the machine."""
    if (top / "cgroup.controllers").exists():
        name = "cgroup v2"
    else:
        name = "hybrid cgroups" if (top / "unified").is_dir() else "cgroup v1"
    return f"{name} and systemd" if (run / "systemd/system").is_dir() else name


def version(path: str) -> str:
    """Return what a program says of its version; empty when it does not run."""
    try:
        done = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
    except OSError:
        return ""
    first = (done.stdout.splitlines() or [""])[0]
    found = re.search(r"\d+(\.\d+)+", first)
    return found[0] if found else first


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
