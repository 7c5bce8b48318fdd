# SPDX-License-Identifier: Apache-2.0
"""Run the runtime-tools validation programs against one or more runtimes.

``python -m conformance.oci.run --tree DIR --runtime bin/pyrunc [--runtime runc] [--only NAME]
[--report DIR]``

A program passes when it reports no failed test and no error. The exit status alone tells nothing:
it is 0 for most failures, and the hook programs report errors only in their YAML blocks. The
programs share fixed cgroup names, so they run one after the other.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from conformance import hierarchies
from conformance.report import FAIL, PASS, SKIP, Report, Verdict, parse_runtimes

TIMEOUT_S = 120
TRIES, PATIENCE_S = 12, 90.0
# Cgroups that the programs name themselves and leave behind when a container was never made.
LEFTOVERS = ("testdir", "cgrouptest", "runtime-tools")
TIDY = """
groups() {
    for name in "$@"; do
        find /sys/fs/cgroup -depth -type d \\( -name "$name" -o -path "*/$name/*" \\)
    done
}
before=$(groups "$@")
"$0"
status=$?
# A program that fails half-way leaves its container; the hierarchies are in sight only here.
left=$("$RUNTIME" list 2>/dev/null | awk -v top="$TMPDIR/" 'index($0, top) { print $1 }')
for id in $left; do
    "$RUNTIME" delete --force "$id" >/dev/null 2>&1
done
# Groups of these names that were there before are somebody else's.
groups "$@" | grep -vxF -e "$before" | xargs -r rmdir
exit $status
"""


def judge(output: str, status: int) -> Verdict:
    """Return the verdict on what a validation program printed."""
    failed = [
        line for line in output.splitlines() if line.startswith("not ok") and "# TODO" not in line
    ]
    errors = [line.strip() for line in output.splitlines() if '"error"' in line]
    passed = sum(line.startswith("ok ") and "# SKIP" not in line for line in output.splitlines())
    skipped = sum("# SKIP" in line for line in output.splitlines())
    # Beside an assertion, an error in a YAML block may be the expected one.
    if failed or (errors and not passed) or status != 0:
        return Verdict(FAIL, output[-6000:] + f"\nexit status {status}")
    if skipped and not passed:
        return Verdict(SKIP, output[-2000:])
    return Verdict(PASS)


def run_program(program: Path, *, tree: Path, runtime: str) -> Verdict:
    """Run one program in a mount namespace of its own and clean up after it."""
    started = time.monotonic()
    # Its bundles lie in a directory of its own, which tells its containers from those of others.
    with tempfile.TemporaryDirectory(prefix="oci.") as scratch:
        Path(scratch).chmod(0o711)  # mapped ids must get to the root file systems below
        verdict = _run(program, tree=tree, runtime=runtime, scratch=scratch)
    return Verdict(verdict.status, verdict.detail, time.monotonic() - started)


def _run(program: Path, *, tree: Path, runtime: str, scratch: str) -> Verdict:
    process = subprocess.Popen(
        hierarchies.inside(["sh", "-c", TIDY, str(program), *LEFTOVERS]),
        cwd=tree,
        env={**os.environ, "RUNTIME": runtime, "TMPDIR": scratch},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=TIMEOUT_S)
        return judge(output.decode(errors="replace"), process.returncode)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        return Verdict(FAIL, output.decode(errors="replace")[-4000:] + "\ntimed out")


def run_settled(program: Path, *, tree: Path, runtime: str, known: bool) -> Verdict:
    """Judge a program; an unknown failure counts when it is there every time.

    In some programs two processes race (that of a container and a hook that follows it), and on a
    busy machine the wrong one wins now and then, whatever the runtime.
    """
    attempt, verdict = 1, run_program(program, tree=tree, runtime=runtime)
    until = time.monotonic() + PATIENCE_S
    while verdict.status == FAIL and not known and attempt < TRIES and time.monotonic() < until:
        attempt, verdict = attempt + 1, run_program(program, tree=tree, runtime=runtime)
    if verdict.status != FAIL and attempt > 1:
        return Verdict(verdict.status, f"at try {attempt} of {TRIES}", verdict.seconds)
    return verdict


def programs(tree: Path, only: list[str]) -> list[Path]:
    found = sorted(tree.absolute().glob("validation/*/*.t"))
    return [path for path in found if not only or path.stem in only]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--tree", type=Path, required=True, help="the built runtime-tools")
    parser.add_argument("--runtime", action="append", required=True, metavar="[NAME=]PATH")
    parser.add_argument("--only", action="append", default=[], metavar="TEST")
    parser.add_argument("--report", type=Path, default=Path("build/conformance"))
    arguments = parser.parse_args()
    runtimes = parse_runtimes(arguments.runtime)
    expected = json.loads((Path(__file__).parent / "expected.json").read_text())
    report = Report("oci", "OCI runtime-tools", runtimes, reasons=expected)
    for program in programs(arguments.tree, arguments.only):
        for name, path in runtimes.items():
            known = program.stem in expected
            verdict = run_settled(program, tree=arguments.tree, runtime=path, known=known)
            report.add(program.stem, name, verdict)
            print(
                f"{name:>8} {verdict.status} {program.stem} ({verdict.seconds:.1f} s)", flush=True
            )
    hierarchies.settle()
    paths = report.write(arguments.report)
    print(report.table(), *(f"wrote {path}" for path in paths), sep="\n")
    first = next(iter(runtimes))
    unexplained = [test for test in report.failures(first) if test not in expected]
    for test in unexplained:
        print(report.rows[test][first].detail, file=sys.stderr)
        print(f"{first} fails {test} without an explanation in expected.json", file=sys.stderr)
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
