# SPDX-License-Identifier: Apache-2.0
"""Device programs of arbitrary rules, before the kernel's own verifier."""

from __future__ import annotations

import os

import pytest
from hypothesis import given, settings

from pyrunc.cgroups.devices import attach, program, rules
from pyrunc.cgroups.devices.rules import ANY, READ, WRITE, Access, Rule
from pyrunc.errors import Failure
from tests.unit.cgroups.device_rules import COVERING
from tests.unit.cgroups.device_rules import rules as lists_of_rules


def load(access: Access) -> None:
    os.close(attach.load(program.program(access)))


@pytest.fixture(scope="module", autouse=True)
def _verifier() -> None:
    try:
        load(Access(False))
    except OSError as error:
        pytest.skip(f"this kernel loads no device program: {error}")


@settings(max_examples=200, deadline=None)
@given(listed=lists_of_rules)
def test_the_kernel_takes_the_program_of_any_rules(listed: list[Rule]) -> None:
    try:
        access = rules.evaluate(listed)
    except Failure:
        return  # a hole in a wider rule
    load(access)


@pytest.mark.parametrize("listed", COVERING)
def test_the_kernel_takes_rules_that_cover_each_other(listed: list[Rule]) -> None:
    load(rules.evaluate(listed))
    load(rules.evaluate([*rules.DEFAULTS, *listed]))


LARGE = {
    "1,500 minors of a major": {("c", 1, minor): READ for minor in range(1500)},
    "every second of 20,000 minors": {("c", 1, minor): READ for minor in range(0, 20000, 2)},
    "4,095 majors": {("b", major, 7): READ | WRITE for major in range(4095)},
    "minors of every access": {("c", 1, minor): 1 + minor // 2 % 7 for minor in range(0, 7000, 2)},
    "minors of any major, too": {
        **{("c", ANY, minor): READ for minor in range(0, 3000, 2)},
        **{("c", major, 2 * major + 1): WRITE for major in range(3000)},
    },
}


@pytest.mark.parametrize("name", LARGE)
@pytest.mark.parametrize("base", [False, True])
def test_the_kernel_takes_a_long_list(name: str, base: bool) -> None:
    """It verifies a million instructions and keeps 8,192 branches for later."""
    load(Access(base, LARGE[name]))


def test_a_program_that_is_refused_is_refused_with_the_verifiers_words() -> None:
    with pytest.raises(OSError, match=r"the verifier says: .*unreachable insn") as caught:
        attach.load(program.VERDICTS[True] * 2)
    assert caught.value.errno == 22
