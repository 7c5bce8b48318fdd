# SPDX-License-Identifier: Apache-2.0
"""Run the suite of an engine against one or more runtimes.

``python -m conformance.engines.run containerd --runtime bin/pyrunc [--runtime runc] [--smoke]``
"""

from __future__ import annotations

import argparse
import importlib
import json
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from conformance import hierarchies
from conformance.engines.engine import Failed, Footprint, Unavailable
from conformance.report import FAIL, PASS, SKIP, Report, Verdict, parse_runtimes, version

ENGINES = {
    "containerd": "Containerd",
    "podman": "Podman",
    "rootless": "Rootless",
    "cri": "Cri",
    "docker": "Docker",
    "cluster": "Cluster",
}
# The program whose version is in the report, where it has another name than the suite.
DAEMONS = {
    "rootless": "podman",
    "cri": "containerd",
    "docker": "dockerd",
    "cluster": "dockerd",
}


def tests_of(module: Any, *, smoke: bool, only: list[str]) -> list[Callable[[Any], None]]:
    """The tests of a suite: those of the modules in its PARTS, then its own, as in their texts."""
    found = [
        value
        for part in (*getattr(module, "PARTS", ()), module)
        for name, value in vars(part).items()
        if name.startswith("test_")
    ]
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


def run_suite(report: Report, engine_class: Any, *, name: str, tests: list[Any]) -> None:
    """One engine with one runtime, then the search for what it left."""
    directory = Path(tempfile.mkdtemp(prefix=f"{report.suite}."))
    footprint = Footprint(directory)
    engines: list[Any] = []
    try:
        path = report.runtimes[name]
        start = run_test(lambda path: engines.append(engine_class(directory, path)), path)
        show(report, "the_engine_starts", name, start)
        for engine in engines:
            try:
                for test in tests:
                    verdict = run_test(test, engine)
                    show(report, test.__name__.removeprefix("test_"), name, verdict)
                    if verdict.status == FAIL:
                        engine.reset()
            finally:
                engine.stop()
        left = footprint.leftovers()
        verdict = Verdict(FAIL, "\n".join(left)) if left else Verdict(PASS)
        show(report, "nothing_is_left_behind", name, verdict)
    finally:
        footprint.remove()
        shutil.rmtree(directory, ignore_errors=True)


def show(report: Report, test: str, name: str, verdict: Verdict) -> None:
    """Add a verdict to the report and print it."""
    report.add(test, name, verdict)
    print(f"{name:>8} {verdict.status} {test} ({verdict.seconds:.1f} s)", flush=True)
    if verdict.status != PASS:
        print(verdict.detail, flush=True)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("engine", choices=sorted(ENGINES))
    parser.add_argument("--runtime", action="append", required=True, metavar="[NAME=]PATH")
    parser.add_argument("--smoke", action="store_true", help="only start, run, exec, kill, remove")
    parser.add_argument("--only", action="append", default=[], metavar="TEST")
    parser.add_argument("--report", type=Path, default=Path("build/conformance"))
    return parser.parse_args()


def new_report(arguments: argparse.Namespace) -> Report:
    daemon = DAEMONS.get(arguments.engine, arguments.engine)
    reasons = json.loads((Path(__file__).parent / "reasons.json").read_text())
    return Report(
        f"{arguments.engine}-smoke" if arguments.smoke else arguments.engine,
        f"{daemon} {version(daemon)}",
        parse_runtimes(arguments.runtime),
        reasons=reasons.get(arguments.engine, {}),
    )


def main() -> int:
    arguments = parse()
    # A smoke test takes the machine as it is.
    if not arguments.smoke and hierarchies.missing():
        argv = [sys.executable, "-m", "conformance.engines.run", *sys.argv[1:]]
        status = subprocess.call(hierarchies.inside(argv))
        hierarchies.settle()
        return status
    report = new_report(arguments)
    module = importlib.import_module(f"conformance.engines.{arguments.engine}")
    engine_class = getattr(module, ENGINES[arguments.engine])
    tests = tests_of(module, smoke=arguments.smoke, only=arguments.only)
    for name in report.runtimes:
        run_suite(report, engine_class, name=name, tests=tests)
    paths = report.write(arguments.report)
    print(report.table(), *(f"wrote {path}" for path in paths), sep="\n")
    first, *peers = report.runtimes
    # What every runtime fails here is the machine's or the engine's fault; the report shows it.
    own = [
        test
        for test in report.failures(first)
        if not peers or any(report.rows[test][peer].status == PASS for peer in peers)
    ]
    started = report.rows["the_engine_starts"][first].status == PASS
    return 0 if started and not own else 1


if __name__ == "__main__":
    sys.exit(main())
