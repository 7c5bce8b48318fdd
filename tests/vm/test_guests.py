# SPDX-License-Identifier: Apache-2.0
"""The container tests on other kinds of hosts: in guests with other kernels and cgroup layouts.

`make test` runs those that its hosts are like (pure cgroup v2, and v2 with systemd); `make test-vm`
runs all, PYRUNC_GUESTS names others. All guests of a session run at once, as many as there are
processors.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.support.features import guest_results
from tests.vm.guest import Result
from tests.vm.jobs import JOBS

SELECTED = os.environ.get("PYRUNC_GUESTS", "v2,systemd").split(",")

pytestmark = [pytest.mark.root, pytest.mark.slow]


@pytest.fixture(scope="module")
def results() -> Iterator[dict[str, Future[Result]]]:
    """The guests that were asked for, each started when a processor is free."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield {
            name: pool.submit(JOBS[name].guest.run, JOBS[name].command(), timeout_s=timeout)
            for name, timeout in ((name, JOBS[name].timeout_s) for name in SELECTED)
        }


def passed(output: str) -> int:
    """How many tests passed, counted in the lines of dots."""
    lines = [line for line in output.splitlines() if line.rstrip().endswith("%]")]
    return sum(line.partition("[")[0].count(".") for line in lines)


@pytest.mark.parametrize("name", SELECTED)
def test_the_tests_pass_in_a_guest(
    results: dict[str, Future[Result]], name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    job = JOBS[name]
    try:
        result = results[name].result()
    except SystemExit as error:  # no kernel could be fetched
        pytest.fail(str(error), pytrace=False)
    if result.features:
        guest_results(name).write_text(result.features)
    count = passed(result.output)
    with capsys.disabled():
        print(f"\nguest {name}: {count} passed, status {result.status}, {result.seconds:.0f} s")
        print("\n".join(line for line in result.output.splitlines() if line.startswith("SKIPPED")))
    if result.status or count < job.least:
        console = result.console[-3000:] if not result.output else ""
        pytest.fail(
            f"guest {name}: status {result.status}, {count} passed (at least {job.least} expected)"
            f"\n{result.output[-30000:]}{console}",
            pytrace=False,
        )
