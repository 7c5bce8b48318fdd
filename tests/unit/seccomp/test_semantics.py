# SPDX-License-Identifier: Apache-2.0
"""The compiled filter, run by the interpreter, against the meaning of the profile (SC-1, SC-2,
SC-3, SC-8).
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyrunc.seccomp import arguments, bpf
from pyrunc.seccomp.names import OPERATORS
from tests.seccomp import support
from tests.seccomp.profiles_list import PROFILES
from tests.seccomp.support import ALL_FOUR, ARM64, I386, X32, X86_64, rule

pytestmark = pytest.mark.generated

MACHINES = (X86_64, I386, X32, ARM64)


def around(value: int) -> list[int]:
    """A value, its neighbours, and what differs in one of its words only."""
    near = [value - 1, value, value + 1, value ^ 1 << 32, value & 0xFFFFFFFF, value | 1 << 63]
    return [each & (1 << 64) - 1 for each in near]


def boundary_calls(profile: dict[str, Any], token: int) -> list[tuple[int, list[int]]]:
    """Calls on both sides of every border of a profile on one architecture."""
    base = support.X32_BIT if token == X32 else 0
    calls: list[tuple[int, list[int]]] = []
    for made in profile.get("syscalls", ()):
        values = {0: [0]}
        for arg in made.get("args") or ():
            interesting = around(arg["value"]) + around(arg.get("valueTwo") or 0)
            values.setdefault(arg["index"], []).extend(interesting)
        for name in made["names"][:40]:
            number = support.number_of(token, name)
            if number >= 0:
                calls += [(number, args) for args in argument_lists(values)]
    for number in support.named_numbers(profile, token) | {base, support.newest(profile, token)}:
        calls += [(near, [0] * 6) for near in (number - 1, number, number + 1) if near >= base]
    calls += [
        (number, [0] * 6) for number in (base + 600, 0x3FFFFFFF, 0x40000000, 0x7FFFFFFF, 0xFFFFFFFF)
    ]
    return calls


def argument_lists(values: dict[int, list[int]]) -> list[list[int]]:
    """Each interesting value with the first of the others, and all first ones together."""
    usual = [values.get(index, [0])[min(1, len(values.get(index, [0])) - 1)] for index in range(6)]
    lists = [usual]
    for index, candidates in values.items():
        lists += [[*usual[:index], candidate, *usual[index + 1 :]] for candidate in candidates]
    return lists


def check(profile: dict[str, Any], token: int, calls: list[tuple[int, list[int]]]) -> None:
    program = bpf.decode(support.compiled(profile).program)
    bpf.check(program)
    machine = X86_64 if token == X32 else token
    for number, args in calls:
        given = [arg & 0xFFFFFFFF for arg in args] if token == I386 else args
        got = bpf.run(program, bpf.data(number, machine, given))
        wanted = support.decide(profile, machine, number, given)
        assert got == wanted, (
            hex(token),
            number,
            [hex(arg) for arg in given],
            hex(got),
            hex(wanted),
        )


@pytest.mark.parametrize("token", MACHINES, ids=["x86_64", "i386", "x32", "arm64"])
@pytest.mark.parametrize("name", PROFILES)
def test_a_filter_decides_as_its_profile_says_at_every_border(name: str, token: int) -> None:
    """SC-8"""
    profile = {**PROFILES[name], "architectures": ALL_FOUR}
    check(profile, token, boundary_calls(profile, token))


@pytest.mark.parametrize("token", MACHINES, ids=["x86_64", "i386", "x32", "arm64"])
@pytest.mark.parametrize("size", [2, 3, arguments.MOST - 1, arguments.MOST, arguments.MOST + 1])
def test_one_of_many_values_is_found(size: int, token: int) -> None:
    """SC-8: values of one argument are tested together, those that differ in their upper words
    apart, and as far as a jump reaches.
    """
    values = [*range(7, 7 + size), 7 + size - 1, 7, 2**32 + 7, 2**32 + 8, 2**64 - 1, 2**64 - 2]
    masked = [rule("clone", "LOG", (2, "MASKED_EQ", 0xFF0000FFFF, value)) for value in values[-9:]]
    made = support.profile(
        "ERRNO",
        *(rule("personality", "ALLOW", (1, "EQ", value)) for value in values),
        *(rule("personality", "LOG", (0, "EQ", value)) for value in values[:3]),
        *masked,
    )
    check(made, token, boundary_calls(made, token))


# -- generated profiles ----------------------------------------------------------------------------

NAMES = (
    "getpid",
    "mmap",
    "clone",
    "personality",
    "ioctl",
    "fchmodat2",
    "mseal",
    "pwritev2",
    "no_such_call",
)
INTERESTING = [
    0,
    1,
    2,
    40,
    2**31 - 1,
    2**31,
    2**32 - 2,
    2**32 - 1,
    2**32,
    2**32 + 1,
    2**63,
    2**64 - 2**31,
    2**64 - 1,
]
numbers64 = st.one_of(st.sampled_from(INTERESTING), st.integers(0, 2**64 - 1))
conditions = st.fixed_dictionaries(
    {
        "index": st.integers(0, 5),
        "op": st.sampled_from(sorted(OPERATORS)),
        "value": numbers64,
        "valueTwo": numbers64,
    }
)


@st.composite
def actions(draw: st.DrawFn) -> dict[str, Any]:
    name = draw(
        st.sampled_from(sorted(support.VALUES)).filter(lambda name: name != "SCMP_ACT_NOTIFY")
    )
    with_errno = name in ("SCMP_ACT_ERRNO", "SCMP_ACT_TRACE") and draw(st.booleans())
    return {"action": name, **({"errnoRet": draw(st.integers(0, 4095))} if with_errno else {})}


@st.composite
def rules(draw: st.DrawFn) -> dict[str, Any]:
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3))
    args = draw(st.lists(conditions, max_size=3))
    return {"names": names, **draw(actions()), "args": args}


@st.composite
def profiles(draw: st.DrawFn) -> dict[str, Any]:
    default = draw(actions())
    made = {"defaultAction": default["action"], "syscalls": draw(st.lists(rules(), max_size=6))}
    if "errnoRet" in default:
        made["defaultErrnoRet"] = default["errnoRet"]
    made["architectures"] = draw(st.lists(st.sampled_from(ALL_FOUR), unique=True))
    return made


@given(profile=profiles(), extra=st.lists(numbers64, min_size=6, max_size=6))
@settings(max_examples=300, deadline=None)
def test_a_generated_profile_is_decided_as_it_says(
    profile: dict[str, Any], extra: list[int]
) -> None:
    """SC-8"""
    for token in MACHINES:
        calls = boundary_calls(profile, token)
        calls += [(number, extra) for number in support.named_numbers(profile, token)]
        check(profile, token, calls)


@pytest.mark.parametrize("operator", ["NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"])
@pytest.mark.parametrize("value", INTERESTING)
def test_an_operator_compares_both_halves_of_an_argument(operator: str, value: int) -> None:
    """SC-3"""
    profile = support.profile(
        "ERRNO", rule("ioctl", "ALLOW", (1, operator, value, 3)), defaultErrnoRet=7
    )
    for token in MACHINES:
        number = support.number_of(token, "ioctl")
        values = [near for each in (*INTERESTING, 3, value) for near in around(each)]
        check(profile, token, [(number, [9, each, 9, 9, 9, 9]) for each in values])
