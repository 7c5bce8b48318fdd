# SPDX-License-Identifier: Apache-2.0
"""Writes docs/features.md: what the peers have, and what the last run of our tests proved.

Our column is measured: `Y`, the number of tests that passed and the kinds of hosts on which they
did, `N` where one failed, `-` where no test is tied to the row; tests/features/remarks.md has the
words for what we leave out on purpose.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.support.features import (
    HEADERS,
    MODES,
    RESULTS,
    TREE,
    cells,
    guest_results,
    numbered,
    read_results,
)

TARGET = TREE / "docs/features.md"
REMARKS = TREE / "tests/features/remarks.md"
ERRORS = TREE / "docs/errors.md"
MISTAKES = TREE / "build/errors.json"
SEEN = TREE / "build/differences.json"
DIFFERENCES = TREE / "tests/features/differences.md"
HOSTS = ("host", "v1", "hybrid", "v2", "systemd", "qemu")
HEAD = """<!-- SPDX-License-Identifier: Apache-2.0 -->
<!-- Written by `make features-table`. -->
# Features

Our column is measured: it says what the last runs of the tests proved, by how many tests, and
where: `host` is the machine of the authors (cgroup v1, with a cgroup2 beside it), the other names
are the guests of `make test-vm`; without a name it was the host alone. Where it was not only root
who ran containers, `root`, `userns` (root, in a user namespace) and `user` (without privileges,
with subordinate ids) say who did. The columns of the peers were read from the sources of runc 1.5,
crun 1.28 and youki 0.7. Y: it works, N: it does not, P: in part, `-`: no test is tied to the row.
"""


ERRORS_HEAD = """<!-- SPDX-License-Identifier: Apache-2.0 -->
<!-- Written by `make features-table`. -->
# What mistakes print

The first line says what cannot be done, with the value and the reason; it is what engines show and
what a JSON log holds. The lines below it name the property of config.json (`config`), the operation
that failed, what the kernel said (`detail`) and what to do (`hint`). A test makes each mistake with
all three programs and holds our text to the cause, the place and the next step
(tests/features/test_mistakes.py); of runc and crun the last line is shown.
"""


def remarks() -> dict[str, str]:
    """Row number and words, as `- 4.20: words`."""
    found = {}
    for line in REMARKS.read_text().splitlines():
        matched = re.match(r"- (\d+\.\d+): (.*)", line)
        if matched:
            found[matched.group(1)] = matched.group(2)
    return found


class Proof:
    """How the tests of a row ended: outcome -> tests, and the hosts on which one passed."""

    def __init__(self) -> None:
        self.tests: dict[str, set[str]] = {"passed": set(), "failed": set(), "skipped": set()}
        self.hosts: list[str] = []
        self.modes: set[str] = set()

    def add(self, test: str, outcome: str, host: str, mode: str) -> None:
        self.tests[outcome].add(test)
        if outcome != "passed":
            return
        self.modes.add(mode)
        if host not in self.hosts:
            self.hosts.append(host)

    def where(self) -> str:
        """Return the hosts, and the ways to run containers, where they are not the usual."""
        hosts = [] if self.hosts == [HOSTS[0]] else self.hosts
        modes = [] if self.modes == {MODES[0]} else [one for one in MODES if one in self.modes]
        return "".join(f"; {', '.join(names)}" for names in (hosts, modes) if names)


def outcomes() -> dict[str, Proof]:
    """How the tests of each row ended; those that exist no more do not count."""
    found: dict[str, Proof] = {}
    texts: dict[Path, str] = {}
    for host in HOSTS:
        path = RESULTS if host == HOSTS[0] else guest_results(host)
        for name, result in read_results(path).items():
            if not _exists(name, texts):
                continue
            numbers = result["rows"]
            assert isinstance(numbers, list)
            outcome, mode = str(result["outcome"]), str(result.get("mode", MODES[0]))
            for number in numbers:
                found.setdefault(number, Proof()).add(name, outcome, host, mode)
    return found


def _exists(test: str, texts: dict[Path, str]) -> bool:
    path, _, function = test.partition("::")
    file = TREE / path
    if file not in texts:
        texts[file] = file.read_text() if file.exists() else ""
    return f"def {function.partition('[')[0]}(" in texts[file]


def verdict(proof: Proof, remark: str) -> str:
    tests = proof.tests
    if tests["failed"]:
        total = len(set().union(*tests.values()))
        return f"N: {len(tests['failed'])} of {total} tests fail"
    if tests["passed"]:
        word = f"Y ({len(tests['passed'])}{proof.where()})"
    elif tests["skipped"]:
        word = "skipped on this machine"
    else:
        word = "-"
    return f"{word} {remark}".strip() if word != "-" or not remark else remark


def table() -> tuple[list[str], dict[str, str]]:
    counts, words = outcomes(), remarks()
    lines, ours = [], {}
    for line, row in numbered():
        if row is not None:
            found = verdict(counts.get(row.number, Proof()), words.get(row.number, ""))
            ours[row.number] = found
            parts = [row.number, row.name, found, row.runc, row.crun, row.youki]
            lines.append(f"| {' | '.join(parts)} |")
        elif line.startswith("|"):
            parts = cells(line)
            rule = set(line) <= set("|-: ")
            new = ["---", parts[0], "---"] if rule else ["", parts[0], "pyrunc"]
            assert rule or parts[0] in HEADERS
            lines.append(f"| {' | '.join([*new, *parts[1:]])} |")
        elif not line.startswith(("<!--", "# ")):
            lines.append(line)
    return lines, ours


def differences() -> list[str]:
    """Make the table of what the same bundle shows with each program, as the tests have seen it."""
    lines = [DIFFERENCES.read_text().strip().partition("-->\n")[2], ""]
    lines += ["| case | pyrunc | peer | shows | why |", "|---|---|---|---|---|"]
    seen = json.loads(SEEN.read_text()) if SEEN.exists() else {}
    for key, found in sorted(seen.items()):
        case, _, peer = key.rpartition("/")
        parts = [case, escaped(found["ours"]), peer, escaped(found["theirs"]), found["why"]]
        lines.append(f"| {' | '.join(parts)} |")
    return lines


def escaped(text: str) -> str:
    return f"`{text}`".replace("|", "\\|") if text else ""


def errors() -> str:
    """Return what each mistake prints, ours whole, the peers' last line."""
    lines = [ERRORS_HEAD]
    seen = json.loads(MISTAKES.read_text()) if MISTAKES.exists() else {}
    for name, texts in seen.items():
        lines += [f"## {name[0].upper()}{name[1:]}", "", f"Exit status {texts['status']}.", ""]
        for program in ("pyrunc", "runc", "crun"):
            if program in texts:
                lines += [f"{program}:", "", "```text", texts[program] or "(nothing)", "```", ""]
    return "\n".join(lines)


def main() -> int:
    ERRORS.write_text(errors())
    lines, ours = table()
    start = next(index for index, line in enumerate(lines) if line.startswith("## "))
    kinds = Counter(found[:1] for found in ours.values())
    summary = (
        f"{kinds['Y']} of {len(ours)} rows are proved by tests, {kinds['N']} fail or are left out."
    )
    text = "\n".join([HEAD, summary, "", *lines[start:], "", *differences(), ""])
    TARGET.write_text(re.sub(r"\n{3,}", "\n\n", text))
    print(summary)
    return 0


if __name__ == "__main__":
    sys.exit(main())
