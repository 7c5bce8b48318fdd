# SPDX-License-Identifier: Apache-2.0
"""Our decisions beside those of libseccomp's own generator, which runc and crun use.

The differences are explained in docs/decisions/010-seccomp-compiler.md: several rules with
conditions for one call, values beyond 32 bits on 32-bit architectures, conditions on calls that
socketcall and ipc carry, and calls newer than the library.
"""

from __future__ import annotations

import os
import random
from typing import Any

import pytest

from pyrunc._native import ffi, lib
from pyrunc.seccomp import bpf, library, names, newer
from tests.seccomp import support
from tests.seccomp.profiles_list import PROFILES
from tests.seccomp.support import ALL_FOUR, ARM64, I386, X32, X86_64

pytestmark = pytest.mark.generated

MACHINES = (X86_64, I386, X32, ARM64)
CALLS = ("mmap", "clone", "personality", "ioctl", "lseek", "prctl", "read", "openat")


def generated(profile: dict[str, Any]) -> list[tuple[int, int, int, int]]:
    """The program that libseccomp makes of a profile, as runc and crun would ask for it."""
    lib.seccomp_api_set(6)
    default = support.action_value(profile["defaultAction"], profile.get("defaultErrnoRet"))
    context = ffi.gc(lib.seccomp_init(default), lib.seccomp_release)
    lib.seccomp_attr_set(context, lib.SCMP_FLTATR_ACT_BADARCH, names.KILL_PROCESS)
    for name in profile["architectures"]:
        lib.seccomp_arch_add(context, support.TOKENS[name])
    for made in profile["syscalls"]:
        action = support.action_value(made["action"], made.get("errnoRet"))
        if action == default:
            continue
        for number in library.resolve(library.NATIVE, made["names"]):
            if number != library.UNKNOWN:
                add(context, action, number, made.get("args") or [])
    fd = os.memfd_create("generated")
    try:
        assert lib.seccomp_export_bpf(context, fd) == 0
        return bpf.decode(os.pread(fd, 1 << 20, 0))
    finally:
        os.close(fd)


def add(context: Any, action: int, number: int, args: list[dict[str, Any]]) -> None:
    conditions = [
        (arg["index"], names.OPERATORS[arg["op"]], arg["value"], arg.get("valueTwo") or 0)
        for arg in args
    ]
    indices = [condition[0] for condition in conditions]
    groups = [conditions]
    if len(set(indices)) < len(indices):
        groups = [[condition] for condition in conditions]
    for group in groups:
        array = ffi.new("struct scmp_arg_cmp[]", group) if group else ffi.NULL
        assert lib.seccomp_rule_add_array(context, action, number, len(group), array) == 0


def agree(profile: dict[str, Any], machines: tuple[int, ...] = MACHINES) -> None:
    """Same decisions for every number the profile is old enough to know, with many arguments."""
    pick = random.Random(1)
    ours = bpf.decode(support.compiled(profile).program)
    theirs = generated(profile)
    values = [0, 1, 8, 2**32 - 1, 2**32, 2**64 - 1]
    for made in profile["syscalls"]:
        for arg in made.get("args") or ():
            values += [(arg["value"] + delta) % 2**64 for delta in (-1, 0, 1)]
            values.append((arg.get("valueTwo") or 0) % 2**64)
    for token in machines:
        machine = X86_64 if token == X32 else token
        base = names.X32_BIT if token == X32 else 0
        for number in range(base, support.newest(profile, token) + 1):
            if carried(token, number):
                continue
            for _ in range(8):
                args = [pick.choice(values) & (names.WORD if token == I386 else 2**64 - 1)] * 6
                data = bpf.data(number, machine, args)
                assert bpf.run(ours, data) == bpf.run(theirs, data), (hex(token), number, args)


def carried(token: int, number: int) -> bool:
    carriers = [support.number_of(token, name) for name in ("socketcall", "ipc")]
    return number in carriers


SINGLE = [
    name
    for name in PROFILES
    if name
    not in {
        "overlapping",  # libseccomp prunes by shape, not by strictness
        "impossible-on-32-bit",
        "always-on-32-bit",
        "every-argument",
        "first-unconditional-holds",
        "unconditional-outweighs",
        "lt",
        "le",
        "ge",
        "gt",
        "masked-64",
    }
]


@pytest.mark.parametrize("name", SINGLE)
def test_we_decide_as_libseccomp_does(name: str) -> None:
    rules = [
        {**made, "names": [name for name in made["names"] if name not in newer.NAMES]}
        for made in PROFILES[name]["syscalls"]
    ]
    agree({**PROFILES[name], "syscalls": rules, "architectures": ALL_FOUR})


@pytest.mark.parametrize("name", ["lt", "le", "ge", "gt", "masked-64", "every-argument"])
def test_we_decide_as_libseccomp_does_where_arguments_have_64_bits(name: str) -> None:
    agree({**PROFILES[name], "architectures": ALL_FOUR}, (X86_64, ARM64))


@pytest.mark.parametrize("name", ["first-unconditional-holds", "unconditional-outweighs"])
def test_we_decide_as_libseccomp_does_where_rules_without_conditions_meet(name: str) -> None:
    agree({**PROFILES[name], "architectures": ALL_FOUR})


def test_we_decide_as_libseccomp_does_for_one_random_rule_of_each_call() -> None:
    pick = random.Random(7)
    for _ in range(150):
        rules = []
        for name in CALLS:
            indices = pick.sample(range(6), pick.randint(0, 1))
            args = [
                {
                    "index": index,
                    "op": pick.choice(sorted(names.OPERATORS)),
                    "value": pick.choice([0, 5, 2**31, 2**32 - 1]),
                    "valueTwo": pick.choice([0, 4, 2**31]),
                }
                for index in indices
            ]
            rules.append({"names": [name], "action": "SCMP_ACT_ERRNO", "errnoRet": 5, "args": args})
        agree(support.profile("ALLOW", *rules))
