# SPDX-License-Identifier: Apache-2.0
"""Profiles as dictionaries: the nodes that the compiler reads, and what a profile means, said
directly.

`decide` is written from runtime-spec and docs/seccomp.md, and shares nothing with the compiler but
the tables of numbers.
"""

from __future__ import annotations

import functools
import json
import pathlib
from typing import Any

from pyrunc.seccomp import library, newer
from pyrunc.seccomp.compiler import compile_profile
from pyrunc.seccomp.filter import Filter
from pyrunc.seccomp.profile import Profile

PROFILES = pathlib.Path(__file__).parent / "profiles"

X86_64, I386, X32, ARM64 = 0xC000003E, 0x40000003, 0x4000003E, 0xC00000B7
ARM, S390X, PPC64LE, MIPS64N32 = 0x40000028, 0x80000016, 0xC0000015, 0xA0000008
TOKENS = {
    "SCMP_ARCH_X86_64": X86_64,
    "SCMP_ARCH_X86": I386,
    "SCMP_ARCH_X32": X32,
    "SCMP_ARCH_AARCH64": ARM64,
    "SCMP_ARCH_ARM": ARM,
    "SCMP_ARCH_S390X": S390X,
    "SCMP_ARCH_PPC64LE": PPC64LE,
    "SCMP_ARCH_MIPS64N32": MIPS64N32,
}
ALL_FOUR = ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32", "SCMP_ARCH_AARCH64"]
BIG = (S390X, MIPS64N32)
NARROW = (I386, X32, ARM, MIPS64N32)
X32_BIT = 0x40000000
NATIVE = library.NATIVE

KILL_PROCESS, ALLOW, LOG = 0x80000000, 0x7FFF0000, 0x7FFC0000
VALUES = {
    "SCMP_ACT_KILL": 0,
    "SCMP_ACT_KILL_THREAD": 0,
    "SCMP_ACT_KILL_PROCESS": KILL_PROCESS,
    "SCMP_ACT_TRAP": 0x30000,
    "SCMP_ACT_ERRNO": 0x50000,
    "SCMP_ACT_NOTIFY": 0x7FC00000,
    "SCMP_ACT_TRACE": 0x7FF00000,
    "SCMP_ACT_LOG": LOG,
    "SCMP_ACT_ALLOW": ALLOW,
}


class Node:
    """Stands in for a node of pyrunc.spec."""

    def __init__(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)


def node(profile: dict[str, Any]) -> Any:
    """The profile as the spec package would give it."""
    here = "/linux/seccomp"
    return Node(
        pointer=here,
        default_action=profile["defaultAction"],
        default_errno_ret=profile.get("defaultErrnoRet"),
        architectures=tuple(profile.get("architectures", ())),
        flags=tuple(profile["flags"]) if "flags" in profile else None,
        listener_path=profile.get("listenerPath"),
        listener_metadata=profile.get("listenerMetadata"),
        syscalls=tuple(
            _rule(rule, f"{here}/syscalls/{place}")
            for place, rule in enumerate(profile.get("syscalls", ()))
        ),
    )


def _rule(rule: dict[str, Any], here: str) -> Node:
    return Node(
        pointer=here,
        names=tuple(rule["names"]),
        action=rule["action"],
        errno_ret=rule.get("errnoRet"),
        args=tuple(
            Node(
                pointer=f"{here}/args/{place}",
                index=arg["index"],
                value=arg["value"],
                value_two=arg.get("valueTwo"),
                op=arg["op"],
            )
            for place, arg in enumerate(rule.get("args") or ())
        ),
    )


def compiled(profile: dict[str, Any]) -> Filter:
    return compile_profile(Profile(node(profile)))


def load(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((PROFILES / f"{name}.json").read_text())
    return found


def rule(
    names: str, action: str, *args: tuple[int, str, int] | tuple[int, str, int, int], **more: Any
) -> dict[str, Any]:
    """rule("read write", "ERRNO", (0, "EQ", 1), errnoRet=5)"""
    made: dict[str, Any] = {"names": names.split(), "action": f"SCMP_ACT_{action}", **more}
    if args:
        made["args"] = [
            {"index": arg[0], "op": f"SCMP_CMP_{arg[1]}", "value": arg[2], "valueTwo": (*arg, 0)[3]}
            for arg in args
        ]
    return made


def profile(default: str, *rules: dict[str, Any], **more: Any) -> dict[str, Any]:
    """profile("ALLOW", rule(...), defaultErrnoRet=5)"""
    return {
        "defaultAction": f"SCMP_ACT_{default}",
        "architectures": ALL_FOUR,
        "syscalls": list(rules),
        **more,
    }


# -- the meaning of a profile ----------------------------------------------------------------------


@functools.cache
def tables(token: int) -> dict[str, int]:
    """Numbers that libseccomp gives when asked by number: also those of direct calls beside
    socketcall and ipc.
    """
    base = newer.BASES.get(token, 0)
    return {library.name_of(token, base + number): base + number for number in range(480)}


def number_of(token: int, name: str) -> int:
    """The number of a call on an architecture, or something negative."""
    found = library.resolve(token, [name])[0]
    if found < 0:
        found = tables(token).get(name, -1)
    return found if found >= 0 else newer.number(token, name)


def action_value(action: str, errno_ret: int | None) -> int:
    carries = action in ("SCMP_ACT_ERRNO", "SCMP_ACT_TRACE")
    return VALUES[action] | ((1 if errno_ret is None else errno_ret) if carries else 0)


def strictest(actions: list[int]) -> int:
    return min(actions, key=lambda action: action - (1 << 32) if action >> 31 else action)


def condition_holds(arg: dict[str, Any], args: list[int], narrow: bool) -> bool:
    word, value, second = args[arg["index"]], arg["value"], arg.get("valueTwo") or 0
    operator = arg["op"].removeprefix("SCMP_CMP_")
    if narrow:
        word &= 0xFFFFFFFF
        if operator == "MASKED_EQ" or value >= 2**64 - 2**31:
            value, second = value & 0xFFFFFFFF, second & 0xFFFFFFFF
    holds: bool = {
        "NE": word != value,
        "LT": word < value,
        "LE": word <= value,
        "EQ": word == value,
        "GE": word >= value,
        "GT": word > value,
        "MASKED_EQ": word & value == second & value,
    }[operator]
    return holds


def rule_matches(made: dict[str, Any], args: list[int], narrow: bool) -> bool:
    conditions = made.get("args") or []
    indices = [condition["index"] for condition in conditions]
    holding = [condition_holds(condition, args, narrow) for condition in conditions]
    return any(holding) if len(set(indices)) < len(indices) else all(holding)


def named_numbers(profile: dict[str, Any], token: int) -> set[int]:
    found = {
        number_of(token, name) for made in profile.get("syscalls", ()) for name in made["names"]
    }
    return {number for number in found if number >= 0}


def newest(profile: dict[str, Any], token: int) -> int:
    numbers = named_numbers(profile, token)
    if token == ARM:
        numbers = {number for number in numbers if not 0xF0000 <= number <= 0xFFFFF}
    if token == X32:
        numbers = {number for number in numbers if not 512 <= number - X32_BIT <= 547}
    return max(numbers, default=-1)


def decide(profile: dict[str, Any], machine: int, number: int, args: list[int]) -> int:
    """What a filter for this profile must return. Without socketcall and ipc, see
    test_multiplexers.
    """
    default = action_value(profile["defaultAction"], profile.get("defaultErrnoRet"))
    listed = {TOKENS.get(name, 0) for name in profile.get("architectures", ())} | {NATIVE}
    token = machine
    if machine == X86_64 and number >= X32_BIT:
        token = X32
        if X32 not in listed:
            return default if number == 0xFFFFFFFF else KILL_PROCESS
    if token not in listed:
        return KILL_PROCESS
    if token == S390X and number == 0 and has_stub(profile, token):
        return enosys(token)  # where calls with large numbers arrive
    matching = []
    for made in profile.get("syscalls", ()):
        action = action_value(made["action"], made.get("errnoRet"))
        if action == default or number not in {number_of(token, name) for name in made["names"]}:
            continue
        if not made.get("args"):
            matching.append((0, action))
        elif rule_matches(made, args, token in NARROW):
            matching.append((1, action))
    unconditional = [action for kind, action in matching if kind == 0]
    if unconditional:
        return unconditional[0]
    if matching:
        return strictest([action for _, action in matching])
    return unmatched(profile, default, token, number)


def unmatched(profile: dict[str, Any], default: int, token: int, number: int) -> int:
    if not has_stub(profile, token):
        return default
    private = (token == ARM and 0xF0000 <= number <= 0xFFFFF) or (
        token == X32 and 512 <= number - X32_BIT <= 547
    )
    return default if private or number <= newest(profile, token) else enosys(token)


def enosys(token: int) -> int:
    return 0x50000 | (89 if token == MIPS64N32 else 38)


def has_stub(profile: dict[str, Any], token: int) -> bool:
    """Whether numbers that are newer than the profile do not exist."""
    lenient = profile["defaultAction"] in ("SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_TRACE")
    return not lenient and newest(profile, token) >= 0
