# SPDX-License-Identifier: Apache-2.0
"""What a filter refuses is found out while the program sees what it always sees."""

from __future__ import annotations

import os
import signal

import pytest

import pyrunc.seccomp
from pyrunc.errors import Failure
from pyrunc.seccomp import bpf, names, refusals
from tests.seccomp import kernel, support
from tests.seccomp.profiles_list import BASE, PROFILES
from tests.seccomp.support import I386, X86_64, profile, rule

BUSYBOX = "/bin/busybox"
pytestmark = pytest.mark.skipif(
    bool(kernel.missing()) or not os.path.exists(BUSYBOX),
    reason=kernel.missing() or "busybox-static is missing",
)


def explained(made: dict[str, object], *argv: str) -> tuple[int, bytes, list[str]]:
    """Status and output of a program, and the report."""
    explanation = pyrunc.seccomp.explain(support.compiled(made))
    with kernel.with_listener(explanation.filter, *argv) as (process, listener):
        explanation.start(listener)
        os.close(listener)
        kernel.go_on(process)
        output, errors = process.communicate(timeout=60)
        found = explanation.finish()
        assert found is not None
        return process.returncode, output + errors, refusals.lines(found)


def test_refusals_are_told_by_name_and_count_and_answered_as_the_profile_says() -> None:
    made = profile(
        "ALLOW", rule("mkdir mkdirat", "ERRNO", errnoRet=122), rule("getppid", "ERRNO", errnoRet=0)
    )
    script = "busybox mkdir /tmp/never; busybox mkdir /tmp/never; busybox true"
    status, output, report = explained(made, BUSYBOX, "sh", "-c", script)
    assert status == 0
    assert output.lower().count(b"quota") == 2
    assert "seccomp: mkdir: refused 2 times (EDQUOT)" in report


def test_conditions_decide_as_in_the_original() -> None:
    made = profile("ALLOW", rule("kill", "ERRNO", (1, "EQ", int(signal.SIGUSR1)), errnoRet=77))
    script = "trap : USR1 USR2; kill -USR1 $$ || echo refused; kill -USR2 $$ && echo sent"
    status, output, report = explained(made, BUSYBOX, "sh", "-c", script)
    assert (status, report) == (0, ["seccomp: kill: refused once (EBADFD)"])
    assert output.startswith(b"refused\nsent\n")


def test_a_kill_is_told_and_carried_out() -> None:
    made = profile("ALLOW", rule("mkdir mkdirat", "KILL_PROCESS"))
    status, _, report = explained(made, BUSYBOX, "mkdir", "/tmp/never")
    assert status == -signal.SIGKILL
    assert report == ["seccomp: mkdir: refused once (process killed)"]


def test_a_trap_is_told_and_carried_out() -> None:
    made = profile("ALLOW", rule("mkdir mkdirat", "TRAP"))
    status, _, report = explained(made, BUSYBOX, "mkdir", "/tmp/never")
    assert status == -signal.SIGSYS
    assert report == ["seccomp: mkdir: refused once (SIGSYS)"]


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("docker-default", ["seccomp: nothing was refused"]),
        # That profile is older than this C library.
        ("containerd-default", ["seccomp: rseq: refused 2 times (EPERM)"]),
    ],
)
def test_a_default_profile_refuses_an_ordinary_program_nothing_it_needs(
    name: str, wanted: list[str]
) -> None:
    status, output, report = explained(
        PROFILES[name], BUSYBOX, "sh", "-c", "ls /; sleep 0.01 & wait"
    )
    assert (status, report) == (0, wanted)
    assert b"proc" in output


def test_the_default_action_and_calls_newer_than_the_profile_are_told() -> None:
    made = profile("ERRNO", rule(BASE, "ALLOW"), rule("openat stat", "ALLOW"), defaultErrnoRet=13)
    status, output, report = explained(made, BUSYBOX, "ls", "/proc/self/fd/")
    assert status != 0
    assert b"ermission denied" in output
    assert any("(EACCES)" in line for line in report)


def test_the_observed_program_asks_exactly_where_the_original_refuses() -> None:
    for made in PROFILES.values():
        compiled = support.compiled(made)
        original = bpf.decode(compiled.program)
        observed = bpf.decode(refusals.observed(compiled.program))
        bpf.check(observed)
        for number in [*range(480), names.X32_BIT, 0xFFFFFFFF]:
            for machine in (X86_64, I386):
                data = bpf.data(number, machine, [5] * 6)
                wanted = bpf.run(original, data)
                passes = wanted in (names.ALLOW, names.LOG)
                assert bpf.run(observed, data) == (wanted if passes else names.NOTIFY)


def test_a_profile_with_its_own_listener_cannot_be_explained() -> None:
    made = profile("ALLOW", rule("mkdir", "NOTIFY"), listenerPath="/run/agent")
    with pytest.raises(Failure, match="needs the listener"):
        pyrunc.seccomp.explain(support.compiled(made))


def test_a_profile_under_which_nothing_can_start_is_refused_at_once() -> None:
    with pytest.raises(Failure, match="refuses write"):
        pyrunc.seccomp.explain(support.compiled(profile("KILL")))


def test_a_long_report_is_cut_and_says_so() -> None:
    found = [refusals.Refusal(X86_64, number, names.ERRNO | 1, 1) for number in range(30)]
    report = refusals.lines(found, limit=3)
    assert report[0] == "seccomp: read: refused once (EPERM)"
    assert report[3:] == ["seccomp: and 27 more"]


@pytest.mark.parametrize(
    ("refusal", "line"),
    [
        (refusals.Refusal(I386, 5, names.ERRNO, 2), "open (SCMP_ARCH_X86): refused 2 times"),
        (
            refusals.Refusal(X86_64, 462, names.TRACE | 3, 1),
            "mseal: refused once (ENOSYS (no tracer))",
        ),
        (refusals.Refusal(X86_64, 4444, names.KILL_THREAD, 1), "system call 4444: refused once"),
        (
            refusals.Refusal(names.X32, names.X32_BIT, 0x50026, 1),
            "read (SCMP_ARCH_X32): refused once (ENOSYS)",
        ),
    ],
)
def test_a_refusal_is_named_with_its_architecture(refusal: refusals.Refusal, line: str) -> None:
    assert refusal.line().startswith(line)
