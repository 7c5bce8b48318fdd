# SPDX-License-Identifier: Apache-2.0
"""Run the suite of an engine against one or more runtimes.

``python -m conformance.engines.run containerd --runtime bin/pyrunc [--runtime runc] [--smoke]``
"""

from __future__ import annotations

import argparse
import importlib
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from conformance.engines.engine import Failed, Footprint, Unavailable
from conformance.report import FAIL, PASS, SKIP, Report, Verdict, parse_runtimes

ENGINES = {
    "containerd": "Containerd",
    "podman": "Podman",
    "rootless": "Rootless",
    "cri": "Cri",
    "docker": "Docker",
    "cluster": "Cluster",
}


def tests_of(module: Any, *, smoke: bool, only: list[str]) -> list[Callable[[Any], None]]:
    """The tests of a suite in the order of its text."""
    found = [value for name, value in vars(module).items() if name.startswith("test_")]
    if smoke:
        found = [test for test in found if test in module.SMOKE]
    return [test for test in found if not only or test.__name__ in only]


def run_test(test: Callable[[Any], None], engine: Any) -> Verdict:
    started = time.monotonic()
    try:
        test(engine)
    except Unavailable as error:
        return Verdict(SKIP, str(error), time.monotonic() - started)
    except Failed as error:
        return Verdict(FAIL, str(error), time.monotonic() - started)
    except Exception:
        return Verdict(FAIL, traceback.format_exc(), time.monotonic() - started)
    return Verdict(PASS, seconds=time.monotonic() - started)


def run_suite(
    report: Report, module: Any, engine_class: Any, *, name: str, tests: list[Any]
) -> None:
    """One engine with one runtime, then the search for what it left."""
    directory = Path(tempfile.mkdtemp(prefix=f"{report.suite}."))
    footprint = Footprint(directory)
    try:
        engine = engine_class(directory, report.runtimes[name])
        try:
            for test in tests:
                verdict = run_test(test, engine)
                report.add(test.__name__.removeprefix("test_"), name, verdict)
                print(
                    f"{name:>8} {verdict.status} {test.__name__} ({verdict.seconds:.1f} s)",
                    flush=True,
                )
                if verdict.status == FAIL:
                    print(verdict.detail, flush=True)
                    engine.reset()
        finally:
            engine.stop()
        left = footprint.leftovers()
        verdict = Verdict(FAIL, "\n".join(left)) if left else Verdict(PASS)
        report.add("zz_nothing_is_left_behind", name, verdict)
    finally:
        footprint.remove()
        shutil.rmtree(directory, ignore_errors=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("engine", choices=sorted(ENGINES))
    parser.add_argument("--runtime", action="append", required=True, metavar="[NAME=]PATH")
    parser.add_argument("--smoke", action="store_true", help="only start, run, exec, kill, remove")
    parser.add_argument("--only", action="append", default=[], metavar="TEST")
    parser.add_argument("--report", type=Path, default=Path("build/conformance"))
    arguments = parser.parse_args()
    runtimes = parse_runtimes(arguments.runtime)
    module = importlib.import_module(f"conformance.engines.{arguments.engine}")
    report = Report(arguments.engine, runtimes)
    tests = tests_of(module, smoke=arguments.smoke, only=arguments.only)
    for name in runtimes:
        run_suite(
            report, module, getattr(module, ENGINES[arguments.engine]), name=name, tests=tests
        )
    paths = report.write(arguments.report)
    print(report.table(), *(f"wrote {path}" for path in paths), sep="\n")
    first = next(iter(runtimes))
    # What every runtime fails here is the machine's or the engine's fault; the report shows it.
    peers = [name for name in runtimes if name != first]
    own = [
        test
        for test in report.failures(first)
        if not peers or any(report.rows[test][peer].status == PASS for peer in peers)
    ]
    return 1 if own else 0


if __name__ == "__main__":
    sys.exit(main())
