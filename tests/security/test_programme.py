# SPDX-License-Identifier: Apache-2.0
"""S6, S8, S9, S10, S12, S14 in short; `make security` runs more of each, and counts."""

from __future__ import annotations

import errno
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.security.programme import posture
from tests.security.programme.broken import front_end
from tests.security.programme.bursts import Bursts
from tests.security.programme.differential import Differential
from tests.security.programme.exhaust import Exhaustion
from tests.security.programme.faults import Faults, call_names, errnos
from tests.security.programme.mutations import PROTECTS, SECOND, Mutations
from tests.security.programme.place import FOUND, LEFT, Judge, Place, make_place, sample
from tests.security.programme.soak import Soak

# Calls of the init whose result is a property of the program.
PROPERTIES = re.compile(
    r"run init \d+ \w+ (capset|setgroups|setres[ug]id|seccomp|mount_setattr|close_range|pivot_root"
    r"|unshare|prctl|move_mount|setsid|umask|prlimit64)"
)


@pytest.fixture
def place(workspace: Path, program: Path, base: Path) -> Place:
    return make_place(program.resolve(), workspace / "place", base)


def bad(judge: Judge, cases: Sequence[str]) -> dict[str, str]:
    """The cases that do not end well."""
    assert cases
    verdicts = {case: judge(case) for case in cases}
    return {case: str(each) for case, each in verdicts.items() if not each.good}


@pytest.mark.slow
def test_a_call_that_fails_ends_in_an_error_or_costs_nothing(place: Place) -> None:
    """S6, AR-6, AR-5, G2, G6: of every kind of call that carries a property, and of all others."""
    suite = Faults(place)
    cases = list(suite.cases())
    if place.runtime.program.name != "pyrunc":  # an import that fails is an accident of Python's
        cases = [case for case in cases if " init " in case]
    protecting = [case for case in cases if PROPERTIES.fullmatch(case)]
    first = {case.split()[-1]: case for case in reversed(protecting)}
    chosen = [*first.values(), *sample(protecting, 24), *sample(cases, 40)]
    assert bad(suite.judge, chosen) == {}


def test_the_injector_makes_the_call_fail_that_it_is_asked_for(place: Place) -> None:
    suite = Faults(place)
    result, name = suite.attempt("run", "none", "0", "0")
    result.ok()
    place.left(name)
    names = call_names()
    lines = [line.split() for line in suite.log.read_text().splitlines()]
    index = next(
        words[1] for words in lines if words[0] == "init" and names[int(words[2])] == "capset"
    )
    result, name = suite.attempt("run", "init", index, str(errno.EPERM))
    assert place.left(name) is None
    assert (result.status, result.stdout) == (1, "")
    assert "capset" in result.error or "capabilities" in result.error
    assert suite.log.read_text().split()[3] == str(-errno.EPERM)


def test_calls_that_cannot_fail_are_not_made_to(place: Place) -> None:
    assert errnos("getuid") == errnos("exit_group") == ()
    assert errnos("openat2")[0] == "EMFILE"
    assert set(errnos("some_new_call")) <= set(errno.errorcode.values())


@pytest.mark.slow
def test_a_mutated_plan_fails_or_is_seen(place: Place) -> None:
    """S8, AR-6, AR-7: every op that protects is left out, and a sample of the others."""
    suite = Mutations(place)
    cases = list(suite.cases())
    dropped = {case.split()[2]: case for case in cases if " drop " in case}
    chosen = [case for op, case in dropped.items() if op in PROTECTS and op not in SECOND]
    assert len(chosen) > 10
    assert bad(suite.judge, [*chosen, *sample(cases, 20)]) == {}


def test_an_op_without_an_effect_is_found_by_leaving_it_out(place: Place) -> None:
    """S8 bites: a bounding set that keeps everything looks the same with the op and without."""
    suite = Mutations(place, blunt="limit_bounding_set")
    case = next(case for case in suite.cases() if case.endswith(" drop limit_bounding_set"))
    verdict = suite.judge(case)
    assert (verdict.outcome, verdict.good) == (FOUND, False)
    assert "without limit_bounding_set nothing is seen" in verdict.detail


def broken(place: Place, kind: str) -> Place:
    """The same place with a pyrunc that lacks a property."""
    place.runtime.program = front_end(place.workspace, kind)
    return place


def test_a_delete_that_leaves_cgroups_is_found_by_a_burst(place: Place) -> None:
    """S9 bites."""
    suite = Bursts(broken(place, "cgroups"))
    verdict = suite.judge("seed 0")
    place.tidy()
    assert verdict.outcome == LEFT
    assert "cgroup" in verdict.detail


def test_a_create_that_takes_nothing_back_is_found_without_resources(place: Place) -> None:
    """S10 bites: the state, the cgroup or the init stays."""
    suite = Exhaustion(broken(place, "undo"))
    verdicts = [suite.judge(f"pids {amount}") for amount in (2, 3, 4)]
    verdicts += [suite.judge(f"nofile {amount}") for amount in range(8, 20, 3)]
    place.tidy()
    assert {verdict.outcome for verdict in verdicts} & {FOUND, LEFT}


@pytest.mark.slow
def test_a_burst_of_commands_leaves_nothing(place: Place) -> None:
    """S9, ST-5, PD-1, G6, G7."""
    assert bad(Bursts(place).judge, ["seed 0"]) == {}


@pytest.mark.slow
def test_a_resource_that_runs_out_is_an_error(place: Place) -> None:
    """S10, G5, G6."""
    suite = Exhaustion(place)
    cases = list(suite.cases())
    assert bad(suite.judge, [*cases[:12], *sample(cases, 18)]) == {}


@pytest.mark.slow
def test_what_a_program_sees_is_what_it_sees_on_the_peers(place: Place) -> None:
    """S12."""
    if not shutil.which("runc") and not shutil.which("crun"):
        pytest.skip("neither runc nor crun is installed")
    assert bad(Differential(place).judge, [f"seed {seed}" for seed in range(4)]) == {}


@pytest.mark.slow
def test_many_lives_leave_what_one_leaves(place: Place) -> None:
    """S14."""
    assert bad(Soak(place, batch=60).judge, ["lives 0", "execs 0"]) == {}


def test_a_difference_of_posture_is_seen() -> None:
    """The oracle itself."""
    usual = posture.essence("== status\nCapBnd:\t0\nPid:\t7\n== umask\n0022\n")
    assert (
        posture.differences(
            usual, posture.essence("== status\nCapBnd:\t0\nPid:\t8\n== umask\n0022")
        )
        == []
    )
    found = posture.differences(usual, posture.essence("== status\nCapBnd:\t1\n== umask\n0022\n"))
    assert found == ["status: - CapBnd:\t0", "status: + CapBnd:\t1"]
