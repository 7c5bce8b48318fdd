# SPDX-License-Identifier: Apache-2.0
"""Run suites: `python -m tests.security.programme [--full] [--suite S6 ...] [--minutes 20]`.

What was judged is kept in build/security, so a run that was stopped goes on where it was. With
another program, or after `--again`, it begins anew. Writes docs/security-report.md and .json.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from tests.security.programme import report, tests
from tests.security.programme.bursts import Bursts
from tests.security.programme.differential import Differential
from tests.security.programme.exhaust import Exhaustion
from tests.security.programme.faults import Faults
from tests.security.programme.mutations import Mutations
from tests.security.programme.place import FOUND, Place, Verdict, digest, make_place, sample
from tests.security.programme.soak import Soak
from tests.support import machine
from tests.support.bundle import make_base
from tests.support.runtime import TREE

DIRECTORY = TREE / "build/security"
# Suite, cases of the short form, its share of the minutes, cases of a peer's.
SUITES: tuple[tuple[type[Any], int, float, int], ...] = (
    (Faults, 900, 0.34, 120),
    (Mutations, 240, 0.17, 0),
    (Bursts, 8, 0.05, 2),
    (Exhaustion, 0, 0.1, 60),
    (Differential, 60, 0.1, 0),
    (Soak, 6, 0.1, 1),
)
PEERS = ("runc", "crun")


class Suite(Protocol):
    """What a suite is."""

    name: str

    def cases(self) -> Iterator[str]: ...

    def judge(self, case: str) -> Verdict: ...


class Record:
    """The verdicts of one suite on one subject, a line of JSON each; a new start reads them."""

    def __init__(self, name: str, head: dict[str, Any], *, again: bool) -> None:
        self.path = DIRECTORY / f"{name}.jsonl"
        self.known: dict[str, list[str]] = {}
        lines = self.path.read_text().splitlines() if self.path.exists() and not again else []
        if lines and json.loads(lines[0])["program"] == head["program"]:
            self.known = dict(json.loads(line) for line in lines[1:])
            head = {**json.loads(lines[0]), **head}
        text = [json.dumps(head), *(json.dumps(item) for item in self.known.items())]
        self.path.write_text("\n".join(text) + "\n")

    def add(self, case: str, verdict: Verdict) -> None:
        self.known[case] = [verdict.outcome, verdict.detail]
        with self.path.open("a") as file:
            file.write(json.dumps([case, self.known[case]]) + "\n")


def progress(name: str, done: int, total: int, record: Record, *, end: str = "") -> None:
    bad = sum(outcome not in ("survived", "refused") for outcome, _ in record.known.values())
    print(f"\r{name:12} {done:6} of {total} cases, {bad} bad ", end=end, flush=True)


def run(kind: type[Any], place: Place, name: str, limit: int, seconds: float, again: bool) -> None:
    """One suite on one subject, until its cases or its time are at an end."""
    end = time.monotonic() + seconds
    suite: Suite = kind(place)
    everything = list(suite.cases())
    cases = sample(everything, limit)
    head = {"suite": suite.name, "title": kind.title, "program": digest(place.runtime.program)}
    record = Record(name, {**head, "all": len(everything)}, again=again)
    step = max(1, len(cases) // 17) | 1  # cases of all parts first, should the time not suffice
    order = [case for first in range(step) for case in cases[first::step]]
    for number, case in enumerate(order):
        if time.monotonic() > end:
            break
        if case in record.known:
            continue
        try:
            record.add(case, suite.judge(case))
        except Exception as error:
            record.add(case, Verdict(FOUND, f"the suite itself: {error}"[:300]))
            place.tidy()
        progress(name, number + 1, len(order), record)
    progress(name, len(record.known), len(everything), record, end="\n")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="security")
    parser.add_argument("--full", action="store_true", help="all cases, without a limit of time")
    parser.add_argument("--minutes", type=float, default=18, help="for all suites together")
    parser.add_argument("--suite", action="append", default=[], help="only this one: S6, ...")
    parser.add_argument("--again", action="store_true", help="forget what was judged")
    parser.add_argument("--program", type=Path, default=TREE / "bin/pyrunc")
    parser.add_argument("--no-peers", action="store_true")
    return parser.parse_args()


def main() -> int:
    args = arguments()
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    machine.isolate()
    workspace = Path(f"/tmp/{machine.TOKEN}-security")
    workspace.mkdir(mode=0o711)
    base = make_base(workspace / "base")
    try:
        for kind, limit, share, of_peer in SUITES:
            if args.suite and kind.name not in args.suite:
                continue
            seconds = 1e9 if args.full else args.minutes * 60 * share
            place = make_place(args.program.resolve(), workspace / f"{kind.name}-pyrunc", base)
            run(kind, place, f"{kind.name}-pyrunc", 0 if args.full else limit, seconds, args.again)
            for program in filter(
                None, map(shutil.which, PEERS if of_peer and not args.no_peers else ())
            ):
                name = f"{kind.name}-{Path(program).name}"
                place = make_place(Path(program).resolve(), workspace / name, base)
                with machine.tidied_peer():
                    run(kind, place, name, of_peer, seconds / 4, args.again)
        if not args.suite or set(args.suite) & set(tests.SUITES):
            tests.run(DIRECTORY, args.suite, full=args.full)
    finally:
        shutil.rmtree(workspace, ignore_errors=True)
        machine.rejoin()
    return report.write(DIRECTORY)


if __name__ == "__main__":
    if os.geteuid() != 0:
        sys.exit("the security programme needs root")
    sys.exit(main())
