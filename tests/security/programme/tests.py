# SPDX-License-Identifier: Apache-2.0
"""The suites that are tests of their own: they run under pytest, and are counted here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import xml.etree.ElementTree as xml
from collections.abc import Collection
from pathlib import Path

from tests.security.programme.place import digest
from tests.support.runtime import TREE

# Suite: title, test files, what more of the environment the full form has.
SUITES: dict[str, tuple[str, tuple[str, ...], dict[str, str]]] = {
    "S1": ("advisories", ("tests/security/test_advisories.py",), {}),
    "S2": ("hostile layouts", ("tests/security/test_layouts.py",), {}),
    "S3": ("hostile configs, ids", ("tests/security/test_hostile_input.py", "tests/invalid"), {}),
    "S4": ("races", ("tests/security/test_races.py",), {"PYRUNC_RACE_ROUNDS": "300"}),
    "S5": ("killed at every call", ("tests/container/test_crash_safety.py",), {}),
    "S7": ("exact posture", ("tests/security/test_posture.py", "tests/init/test_posture.py"), {}),
    "S11": ("fuzzing", ("tests/init/test_plan_fuzz.py", "tests/seccomp/test_filter_fuzz.py"), {}),
    "S13": ("what the calls show; gates", ("tests/security/test_watched.py", "tests/house"), {}),
}  # fmt: skip


def run(directory: Path, chosen: Collection[str], *, full: bool) -> None:
    """Run them and write a record of each; one that was run with this program is not run again."""
    program = digest(TREE / "bin/pyrunc")
    for name, (title, paths, more) in SUITES.items():
        if chosen and name not in chosen:
            continue
        record = directory / f"{name}-pyrunc.jsonl"
        head = {"suite": name, "title": title, "program": program, "full": full}
        if (
            record.exists()
            and json.loads(record.read_text().splitlines()[0]).items() >= head.items()
        ):
            continue
        found = {path for path in paths if (TREE / path).exists()}
        result = directory / f"{name}.xml"
        argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *sorted(found)]
        print(f"{name:12} {title}", flush=True)
        env = {**os.environ, **(more if full else {})}
        subprocess.run(
            [*argv, f"--junitxml={result}"],
            cwd=TREE,
            env=env,
            stdout=subprocess.DEVNULL,
            check=False,
        )
        lines = [json.dumps({**head, "all": len(cases := outcomes(result))})]
        lines += [json.dumps([case, verdict]) for case, verdict in cases.items()]
        record.write_text("\n".join(lines) + "\n")


def outcomes(path: Path) -> dict[str, list[str]]:
    """The tests of a JUnit file that were not skipped, with their verdicts."""
    found = {}
    for case in xml.parse(path).iter("testcase"):
        if case.find("skipped") is not None:
            continue
        bad = [part for part in case if part.tag in ("failure", "error")]
        name = f"{case.get('classname')}::{case.get('name')}"
        found[name] = ["found", str(bad[0].get("message"))[:300]] if bad else ["survived", ""]
    return found
