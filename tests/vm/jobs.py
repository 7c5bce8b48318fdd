# SPDX-License-Identifier: Apache-2.0
"""The sessions that run in guests: kernels, cgroup layouts and what is tested there."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from tests.vm.guest import FEATURES, LSM_MODULES, TREE, Guest

CONTAINERS = (
    "cgroups",
    "moved",
    "reported_kills",
    "update",
    "life_cycle",
    "exec",
    "hooks",
    "errors",
    "doctor",
)


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
# What is about cgroups that the cgroupfs driver makes at a path of its own.
NOT_SYSTEMD = "not used_cgroup_is_refused and not frozen_later"
NOT_SWEEPS = ("-k", "not system_calls and not random_moments")

NOT_COMPARED = ("-k", "not id_mapped and not test_differential")  # v1 is, and v2

# An emulated processor compares with the peers only what it has and the other guests have not.
ONLY_THERE = ("-k", "not test_differential or huge or cpuset or weight")

NOT_IDMAPPED = ("-k", "not id_mapped")  # that kernel cannot on a tmpfs, and has nothing else here

# They name a cgroup by its path, which systemd's driver does not take.
NOT_BY_PATH = (
    "-k",
    "not used_cgroup_is_refused and not frozen_later and not cgroup_that_was_there",
)

# In a kernel of their own they have pools of the device mapper, and fuse.
GRAPH_DRIVERS = "tests/conformance/test_graph_drivers.py"

JOBS = {
    "v2": Job(
        Guest(mode="v2"),
        ("tests/cgroups", "tests/container", GRAPH_DRIVERS, *NOT_SWEEPS),
        least=350,
    ),
    "systemd": Job(
        Guest(mode="systemd"),
        (
            "tests/cgroups",
            *containers(*CONTAINERS),
            *NOT_BY_PATH,
        ),
        least=150,
        flags="--systemd-cgroup",
    ),
    # That kernel has 39 bits of addresses, and the launcher's heap is above those.
    "v1": Job(
        Guest(kernel="uml-v1", mode="v1"),
        ("tests/cgroups", "tests/unit/state", *containers(*CONTAINERS), *NOT_IDMAPPED),
        least=150,
        front="boot",
        timeout_s=3600,  # that kernel traces every call
    ),
    "hybrid": Job(
        Guest(kernel="uml-v1", mode="hybrid"),
        ("tests/cgroups", *containers("cgroups", "moved", "update", "exec"), *NOT_COMPARED),
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
