# SPDX-License-Identifier: Apache-2.0
"""The container tests on other kinds of hosts: in guests with other kernels and cgroup layouts.

`make test` runs those that its hosts are like (pure cgroup v2, and v2 with systemd); `make test-vm`
runs all, PYRUNC_GUESTS names others. All guests of a session run at once, as many as there are
processors.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from tests.support.features import guest_results
from tests.vm.guest import FEATURES, LSM_MODULES, TREE, Guest, Result

CONTAINERS = ("cgroups", "update", "life_cycle", "exec", "hooks", "errors", "doctor")


@dataclass(frozen=True)
class Job:
    """A pytest session in a guest: what is asked of it, and how many tests must have passed."""

    guest: Guest
    arguments: tuple[str, ...]
    least: int
    flags: str = ""
    front: str = "launcher"
    timeout_s: float = 2400  # of a machine that has other work, too

    def command(self) -> str:
        python = TREE / ".venv/bin/python"
        options = ("-p", "no:cacheprovider", "--tb=short")
        words = (str(python), "-m", "pytest", *options, *self.arguments)
        environment = (
            f"CI=1 PYTHONDONTWRITEBYTECODE=1 PYRUNC_FEATURES={FEATURES} PYRUNC_FRONT={self.front}"
            f" PYRUNC_FLAGS={shlex.quote(self.flags)}"
        )
        return f"cd {shlex.quote(str(TREE))} && {environment} {shlex.join(words)}"


def containers(*names: str) -> tuple[str, ...]:
    return tuple(f"tests/container/test_{name}.py" for name in names)


# Each command there costs four to six times as much, so the sweeps over all system calls stay here.
NOT_SWEEPS = ("-k", "not system_calls and not random_moments")
NOT_COMPARED = ("-k", "not id_mapped and not test_differential")  # v1 is, and v2
# An emulated processor compares with the peers only what it has and the other guests have not.
ONLY_THERE = ("-k", "not test_differential or huge or cpuset or weight")
NOT_IDMAPPED = ("-k", "not id_mapped")  # that kernel cannot on a tmpfs, and has nothing else here
JOBS = {
    "v2": Job(
        Guest(mode="v2"),
        ("tests/cgroups", "tests/container", *NOT_SWEEPS),
        least=350,
    ),
    "systemd": Job(
        Guest(mode="systemd"),
        ("tests/cgroups", *containers(*CONTAINERS), "-k", "not used_cgroup_is_refused"),
        least=150,
        flags="--systemd-cgroup",
    ),
    # That kernel has 39 bits of addresses, and the launcher's heap is above those.
    "v1": Job(
        Guest(kernel="uml-v1", mode="v1"),
        ("tests/cgroups", "tests/unit/state", *containers(*CONTAINERS), *NOT_IDMAPPED),
        least=150,
        front="boot",
    ),
    "hybrid": Job(
        Guest(kernel="uml-v1", mode="hybrid"),
        ("tests/cgroups", *containers("cgroups", "update", "exec"), *NOT_COMPARED),
        least=60,
        front="boot",
    ),
    "security": Job(
        Guest(mode="v2"),
        ("tests/security/test_layouts.py", "tests/security/test_posture.py"),
        least=20,
    ),
    "qemu": Job(
        Guest(
            kernel="qemu", mode="v2", processors=2, memory=1536, parameters=LSM_MODULES["apparmor"]
        ),
        (
            "tests/cgroups",
            *containers("cgroups", "update"),
            "tests/container/test_life_cycle.py::test_a_container_goes_through_its_states",
            "tests/lsm/test_apparmor.py",
            # No other kernel of the tests tells which pages were written to.
            "tests/features/test_checkpoint.py::test_memory_is_saved_in_advance",
            *ONLY_THERE,
        ),
        least=100,
    ),
}
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
