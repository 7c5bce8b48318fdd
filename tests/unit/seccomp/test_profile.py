# SPDX-License-Identifier: Apache-2.0
"""What is refused in a profile, and what its properties come to."""

from __future__ import annotations

from typing import Any

import pytest

from pyrunc.errors import Failure
from pyrunc.seccomp import bpf, library, multiplexers, names, newer, numbers
from pyrunc.seccomp.profile import Profile
from tests.seccomp import support
from tests.seccomp.support import (
    ARM,
    ARM64,
    I386,
    MIPS64N32,
    PPC64LE,
    S390X,
    X32,
    X86_64,
    profile,
    rule,
)

WITH_AGENT = {"listenerPath": "/run/agent.sock"}


def refusal(made: dict[str, Any]) -> Failure:
    with pytest.raises(Failure) as caught:
        Profile(support.node(made))
    return caught.value


def answer(made: dict[str, Any], machine: int, number: int, *args: int) -> int:
    return bpf.run(bpf.decode(support.compiled(made).program), bpf.data(number, machine, args))


@pytest.mark.parametrize(
    ("made", "pointer", "text"),
    [
        (profile("NOTIFY", **WITH_AGENT), "/defaultAction", "cannot be the default action"),
        (profile("ALLOW", rule("mkdir", "NOTIFY")), "/listenerPath", "needs listenerPath"),
        (
            profile("ALLOW", rule("mkdir write", "NOTIFY"), **WITH_AGENT),
            "/syscalls/0/names",
            "write",
        ),
        (
            profile("ALLOW", rule("write", "NOTIFY", (0, "EQ", 9)), **WITH_AGENT),
            "/syscalls/0/names",
            "hand the listener over",
        ),
        (profile("ALLOW", listenerMetadata="x"), "/listenerMetadata", "needs listenerPath"),
        (profile("ALLOW", defaultErrnoRet=1), "/defaultErrnoRet", "takes no error number"),
        (
            profile("ALLOW", rule("mkdir", "KILL", errnoRet=1)),
            "/syscalls/0/errnoRet",
            "no error number",
        ),
        (profile("ALLOW", rule("mkdir", "ERRNO", errnoRet=4096)), "/syscalls/0/errnoRet", "4095"),
        (profile("ALLOW", rule("mkdir", "TRACE", errnoRet=65536)), "/syscalls/0/errnoRet", "65535"),
        (profile("ALLOW", rule("mkdir", "PASS")), "/syscalls/0/action", "SCMP_ACT_ALLOW"),
        (profile("ALLOW", rule("mkdir", "KILL", (6, "EQ", 0))), "/args/0/index", "from 0 to 5"),
        (profile("ALLOW", rule("mkdir", "KILL", (0, "EQUAL", 0))), "/args/0/op", "SCMP_CMP_EQ"),
        (profile("ALLOW", architectures=["SCMP_ARCH_VAX"]), "/architectures/0", "SCMP_ARCH_X86_64"),
        (profile("ALLOW", flags=["SECCOMP_FILTER_FLAG_X"]), "/flags/0", "SECCOMP_FILTER_FLAG_LOG"),
        (
            profile("ALLOW", flags=["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]),
            "/flags",
            "needs a rule with SCMP_ACT_NOTIFY",
        ),
    ],
)
def test_a_profile_that_cannot_work_is_refused_with_its_pointer(
    made: dict[str, Any], pointer: str, text: str
) -> None:
    """SC-3 SC-7"""
    found = refusal(made)
    assert found.pointer.startswith("/linux/seccomp")
    assert found.pointer.endswith(pointer)
    assert text in str(found)


def test_too_many_system_calls_are_refused() -> None:
    """SC-3"""
    huge = {"names": ["read"] * 1001, "action": "SCMP_ACT_ALLOW"}
    assert "more than 100000" in str(refusal(profile("ERRNO", *[huge] * 100)))


def test_a_filter_that_the_kernel_would_find_too_long_is_refused() -> None:
    """SC-3"""
    rules = [rule("ioctl", "ERRNO", (1, "EQ", value)) for value in range(1500)]
    with pytest.raises(Failure, match="more than the kernel's 4096"):
        support.compiled(profile("ALLOW", *rules))


@pytest.mark.parametrize(
    ("flags", "rules", "wanted"),
    [
        (None, [], names.SPEC_ALLOW),
        ([], [], 0),
        (["SECCOMP_FILTER_FLAG_LOG"], [], names.FLAG_LOG),
        (["SECCOMP_FILTER_FLAG_TSYNC"], [], names.TSYNC | names.TSYNC_ESRCH),
        ([], [rule("mkdir", "NOTIFY")], names.NEW_LISTENER),
        (
            ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"],
            [rule("mkdir", "NOTIFY")],
            names.NEW_LISTENER | names.WAIT_KILLABLE_RECV,
        ),
    ],
)
def test_absent_flags_mean_spec_allow_and_empty_ones_mean_none(
    flags: list[str] | None, rules: list[dict[str, Any]], wanted: int
) -> None:
    """SC-4"""
    more = {} if flags is None else {"flags": flags}
    compiled = support.compiled(profile("ALLOW", *rules, **more, **WITH_AGENT))
    assert compiled.flags == wanted
    assert compiled.listener == bool(rules)


def test_a_rule_takes_eperm_where_the_default_has_another_number() -> None:
    made = profile("ERRNO", rule("mkdir", "ERRNO"), rule("read", "ALLOW"), defaultErrnoRet=99)
    assert answer(made, X86_64, 83) == names.ERRNO | 1
    assert answer(made, X86_64, 1) == names.ERRNO | 99


# -- ENOSYS ----------------------------------------------------------------------------------------

NEW = 470  # a number that the profiles below do not know


@pytest.mark.parametrize(
    ("default", "more", "stub"),
    [
        ("ERRNO", {}, True),
        ("ERRNO", {"defaultErrnoRet": 99}, True),
        ("KILL", {}, True),
        ("KILL_PROCESS", {}, True),
        ("TRAP", {}, True),
        ("ALLOW", {}, False),
        ("LOG", {}, False),
        ("TRACE", {}, False),
    ],
)
def test_a_call_newer_than_the_profile_does_not_exist_unless_the_default_lets_it_through(
    default: str, more: dict[str, int], stub: bool
) -> None:
    """SC-2"""
    other = "KILL_PROCESS" if default == "ALLOW" else "ALLOW"
    made = profile(default, rule("read close_range", other), **more)
    compiled = support.compiled(made)
    enosys = names.ERRNO | names.ENOSYS
    for machine, base in ((X86_64, 0), (X86_64, names.X32_BIT), (I386, 0), (ARM64, 0)):
        assert (answer(made, machine, base + NEW) == enosys) is stub
        assert answer(made, machine, base + 436 - 1) != enosys
    assert bool(compiled.report.stub) is stub


def test_enosys_begins_above_the_newest_call_of_each_architecture() -> None:
    """SC-2: the newest call is 21 on i386's side of time and 334 on x86_64's."""
    made = profile("ERRNO", rule("access rseq", "ALLOW"), defaultErrnoRet=99)
    for machine, newest in ((X86_64, 334), (I386, 386), (ARM64, 293)):
        assert answer(made, machine, newest) == names.ALLOW
        assert answer(made, machine, newest - 1) == names.ERRNO | 99
        assert answer(made, machine, newest + 1) == names.ERRNO | names.ENOSYS


def test_old_private_numbers_do_not_count_as_the_newest() -> None:
    """SC-2: set_tls has 0xf0005 on ARM, the x32 twin of pwritev2 has 547."""
    made = profile("ERRNO", rule("read pwritev2 set_tls", "ALLOW"), defaultErrnoRet=99)
    made["architectures"] = ["SCMP_ARCH_ARM", "SCMP_ARCH_X32"]
    enosys = names.ERRNO | names.ENOSYS
    assert answer(made, ARM, 0xF0005) == names.ALLOW
    assert answer(made, ARM, 0xF0001) == names.ERRNO | 99
    assert answer(made, ARM, 450) == enosys
    assert answer(made, ARM, 0x100000) == enosys
    assert answer(made, X86_64, names.X32_BIT + 547) == names.ALLOW
    assert answer(made, X86_64, names.X32_BIT + 520) == names.ERRNO | 99
    assert answer(made, X86_64, names.X32_BIT + 450) == enosys


def test_setup_does_not_exist_on_s390() -> None:
    """SC-2: numbers too large for the svc instruction arrive as 0."""
    made = profile("ERRNO", rule("read write", "ALLOW"), architectures=["SCMP_ARCH_S390X"])
    assert answer(made, S390X, 0) == names.ERRNO | names.ENOSYS
    assert answer(made, S390X, 3) == names.ALLOW


def test_mips_has_its_own_enosys_and_its_own_numbers() -> None:
    made = profile("ERRNO", rule("read fchmodat2", "ALLOW"), architectures=["SCMP_ARCH_MIPS64N32"])
    assert answer(made, MIPS64N32, 6452) == names.ALLOW
    assert answer(made, MIPS64N32, 6453) == names.ERRNO | 89


def test_an_architecture_for_which_the_profile_names_nothing_has_no_newest_call() -> None:
    made = profile("ERRNO", rule("set_tls", "ALLOW"), defaultErrnoRet=99)
    assert answer(made, X86_64, 5000) == names.ERRNO | 99


def test_searches_of_every_size_find_the_right_range() -> None:
    """SC-3: also where a jump over the lower half gets longer than 255 instructions."""
    for size in (1, 2, 3, *range(120, 140), *range(250, 262), *range(500, 520), 1000):
        leaves = [(3 * place, names.ERRNO | place) for place in range(size)]
        program = bpf.decode(numbers.link({X86_64: leaves}, []))
        bpf.check(program)
        for place in range(size):
            for number in (3 * place, 3 * place + 2):
                found = bpf.run(program, bpf.data(number, X86_64))
                assert found == names.ERRNO | place


# -- names -----------------------------------------------------------------------------------------


def test_unknown_names_are_ignored_and_told_once() -> None:
    made = profile("ALLOW", rule("no_such getppid", "ERRNO"), rule("no_such ὁδός", "ERRNO"))
    compiled = support.compiled(made)
    assert compiled.report.ignored == ("no_such", "ὁδός")
    assert "no_such, ὁδός" in compiled.report.lines()[0]
    assert answer(made, X86_64, 110) == names.ERRNO | 1


def test_a_name_is_not_cut_at_a_nul() -> None:
    made = profile("ALLOW", rule("mkdir getppid\0x umask", "ERRNO"))
    assert support.compiled(made).report.ignored == ("getppid\0x",)
    assert answer(made, X86_64, 110) == names.ALLOW
    assert answer(made, X86_64, 95) == names.ERRNO | 1  # umask, behind it


def test_a_call_that_another_architecture_has_is_not_unknown() -> None:
    compiled = support.compiled(profile("ALLOW", rule("socketcall set_tls", "ERRNO")))
    assert compiled.report.ignored == ()


def test_the_table_of_newer_calls_agrees_with_libseccomp_where_that_knows_them() -> None:
    for token in support.TOKENS.values():
        for name in newer.NAMES:
            known = library.resolve(token, [name])[0]
            if known >= 0:
                assert newer.number(token, name) == known
            if newer.number(token, name) >= 0:
                assert newer.name(token, newer.number(token, name)) == name


def test_a_newer_call_of_one_architecture_has_its_number_there_only() -> None:
    assert newer.number(X86_64, "uretprobe") == 335
    assert newer.number(names.X32, "uretprobe") == names.X32_BIT | 335
    assert newer.number(ARM64, "uretprobe") == -1


def test_an_architecture_that_libseccomp_lacks_is_left_out_and_told() -> None:
    lacking = [
        name for name, token in names.ARCHITECTURES.items() if not library.knows_architecture(token)
    ]
    compiled = support.compiled(profile("ALLOW", architectures=sorted(names.ARCHITECTURES)))
    assert sorted(compiled.report.skipped_architectures) == sorted(lacking)
    assert len(compiled) > 20


@pytest.mark.parametrize("name", sorted(names.ARCHITECTURES))
def test_every_architecture_compiles_to_a_program_that_the_kernel_accepts(name: str) -> None:
    made = {**support.load("docker-default"), "architectures": [name]}
    compiled = support.compiled(made)
    bpf.check(bpf.decode(compiled.program))
    token = names.ARCHITECTURES[name]
    if name not in compiled.report.skipped_architectures:
        read = support.number_of(token, "read")
        assert answer(made, names.audit_arch(token), read) == names.ALLOW


def test_the_direct_calls_beside_socketcall_are_those_of_the_library() -> None:
    numbers = [*multiplexers.DIRECT_RANGE]
    found = library.numbers_of(I386, multiplexers.MEMBERS, numbers)
    assert found == multiplexers.DIRECT_I386
    ppc = profile("ERRNO", rule("bind shmat", "ALLOW"), architectures=["SCMP_ARCH_PPC64LE"])
    assert answer(ppc, PPC64LE, 327) == names.ALLOW
    assert answer(ppc, PPC64LE, 397) == names.ALLOW


def test_x32_that_is_not_listed_is_killed_but_not_a_call_that_a_tracer_cancelled() -> None:
    """SC-1"""
    made = profile("ERRNO", rule("read", "ALLOW"), architectures=["SCMP_ARCH_X86_64"])
    assert answer(made, X86_64, names.X32_BIT) == names.KILL_PROCESS
    assert answer(made, X86_64, 0xFFFFFFFE) == names.KILL_PROCESS
    assert answer(made, X86_64, 0xFFFFFFFF) == names.ERRNO | 1
    assert answer(made, I386, 3) == names.KILL_PROCESS


# -- calls that carry others -----------------------------------------------------------------------

SOCKETCALL, IPC = 102, 117  # on i386


def test_a_rule_about_bind_holds_for_socketcall_too() -> None:
    made = profile("ALLOW", rule("bind shmat", "ERRNO", errnoRet=7))
    assert answer(made, I386, SOCKETCALL, 2) == names.ERRNO | 7
    assert answer(made, I386, SOCKETCALL, 3) == names.ALLOW
    assert answer(made, I386, 361) == names.ERRNO | 7
    for version in (0, 1 << 16):
        assert answer(made, I386, IPC, 21 | version) == names.ERRNO | 7
        assert answer(made, I386, IPC, 22 | version) == names.ALLOW


def test_a_rule_about_socketcall_itself_outweighs() -> None:
    made = profile("ERRNO", rule("bind", "LOG"), rule("socketcall", "ALLOW"))
    assert answer(made, I386, SOCKETCALL, 2) == names.ALLOW
    assert answer(made, I386, 361) == names.LOG


def test_a_rule_about_socketcall_with_conditions_or_the_default_action_adds() -> None:
    made = profile(
        "ALLOW",
        rule("bind", "ERRNO", errnoRet=7),
        rule("socketcall", "ERRNO", (0, "EQ", 3), errnoRet=8),
        rule("ipc", "ALLOW"),
        rule("shmat", "ERRNO", errnoRet=9),
    )
    assert [answer(made, I386, SOCKETCALL, call) for call in (1, 2, 3)] == [
        names.ALLOW,
        names.ERRNO | 7,
        names.ERRNO | 8,
    ]
    assert answer(made, I386, IPC, 21) == names.ERRNO | 9


def test_socketcall_and_ipc_are_decided_also_above_the_newest_call() -> None:
    """accept and semop have no numbers of their own on i386."""
    made = profile("KILL", rule("read", "ALLOW"), rule("accept", "LOG"), rule("semop", "TRAP"))
    assert answer(made, I386, 4) == names.ERRNO | names.ENOSYS
    assert [answer(made, I386, SOCKETCALL, call) for call in (5, 6)] == [names.LOG, 0]
    assert [answer(made, I386, IPC, call) for call in (1, 2)] == [names.TRAP, 0]
    lenient = profile("ERRNO", rule("read", "ALLOW"), rule("accept", "ERRNO"))
    assert answer(lenient, I386, SOCKETCALL, 5) == names.ERRNO | 1
    assert answer(lenient, I386, SOCKETCALL - 1, 5) == names.ERRNO | names.ENOSYS


def test_an_architecture_without_the_call_gets_no_code_for_it() -> None:
    plain = profile("ERRNO", rule("read", "ALLOW"), architectures=["SCMP_ARCH_X86_64"])
    rules = [rule("mmap2", "ALLOW", (0, "NE", value)) for value in range(900)]
    made = {**plain, "syscalls": [*plain["syscalls"], *rules]}
    assert len(support.compiled(made)) == len(support.compiled(plain))


def test_conditions_that_socketcall_hides_give_way_to_the_stricter_answer() -> None:
    strict = profile("ALLOW", rule("socket", "ERRNO", (0, "EQ", 38), errnoRet=7))
    assert answer(strict, I386, SOCKETCALL, 1) == names.ERRNO | 7
    lenient = profile("ERRNO", rule("socket", "ALLOW", (0, "EQ", 1)))
    assert answer(lenient, I386, SOCKETCALL, 1) == names.ERRNO | 1
    assert answer(lenient, I386, 359, 1) == names.ALLOW


def test_no_carrier_appears_where_there_is_none() -> None:
    made = profile("ALLOW", rule("bind", "ERRNO"))
    assert answer(made, X86_64, SOCKETCALL, 2) == names.ALLOW
    assert answer(made, X86_64, X32 & 0, 2) == names.ALLOW
