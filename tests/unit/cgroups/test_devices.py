# SPDX-License-Identifier: Apache-2.0
"""Device rules: the emulated list, the v1 kernel's list and the v2 program decide alike (CG-7)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from pyrunc.cgroups.devices import program
from pyrunc.cgroups.devices import rules as devices
from pyrunc.cgroups.devices.rules import ANY, MKNOD, READ, WRITE, Access, Rule
from pyrunc.errors import Failure
from tests.support.cgroups import resources
from tests.unit.cgroups.device_rules import COVERING, requests, rules
from tests.unit.cgroups.support import Machine, check_reachable

pytestmark = pytest.mark.generated

Request = tuple[str, int, int, int]


class KernelList:
    """security/device_cgroup.c: a behaviour, a list of exceptions, and its matching rules."""

    def __init__(self) -> None:
        self.allow = True
        self.exceptions: list[list[int | str]] = []

    def write(self, file: str, line: str) -> None:
        allow = file == "devices.allow"
        kind, _, rest = line.partition(" ")
        if kind == "a":
            self.allow = allow
            self.exceptions = []
            return
        node, _, letters = rest.partition(" ")
        major, minor = (ANY if part == "*" else int(part) for part in node.split(":"))
        access = devices.access_bits(letters)
        if allow == self.allow:
            self._remove(kind, major, minor, access)
        else:
            self._add(kind, major, minor, access)

    def _add(self, kind: str, major: int, minor: int, access: int) -> None:
        for entry in self.exceptions:
            if entry[:3] == [kind, major, minor]:
                entry[3] = int(entry[3]) | access
                return
        self.exceptions.append([kind, major, minor, access])

    def _remove(self, kind: str, major: int, minor: int, access: int) -> None:
        for entry in list(self.exceptions):
            if entry[:3] == [kind, major, minor]:
                entry[3] = int(entry[3]) & ~access
                if not entry[3]:
                    self.exceptions.remove(entry)

    def permits(self, request: Request) -> bool:
        kind, major, minor, access = request
        for other, their_major, their_minor, theirs in self.exceptions:
            if other != kind or their_major not in (ANY, major) or their_minor not in (ANY, minor):
                continue
            bits = int(theirs)
            if access & bits if self.allow else not access & ~bits:
                return not self.allow
        return self.allow


def program_permits(access: Access, request: Request) -> bool:
    kind, major, minor, bits = request
    code = program.program(access)
    check_reachable(code)
    result = Machine(code).run(
        kind=program.TYPES[kind],
        access=program.kernel_access(bits),
        major=major,
        minor=minor,
    )
    assert result in (0, 1)
    return bool(result)


def evaluated(listed: list[Rule]) -> Access | None:
    try:
        return devices.evaluate(listed)
    except Failure as failure:
        if "cannot punch hole in existing rule" not in str(failure):
            raise
        return None


@settings(max_examples=400, deadline=None)
@given(listed=rules, request_=requests)
def test_list_kernel_and_program_decide_alike(listed: list[Rule], request_: Request) -> None:
    """CG-7"""
    access = evaluated(listed)
    if access is None:
        return
    kernel = KernelList()
    for file, line in devices.transition(Access(True), access):
        kernel.write(file, line)
    decision = access.permits(request_[:3], request_[3])
    assert kernel.permits(request_) == decision
    assert program_permits(access, request_) == decision


@settings(max_examples=400, deadline=None)
@given(listed=rules, request_=requests)
def test_the_last_rule_about_a_right_decides(listed: list[Rule], request_: Request) -> None:
    """The meaning of the list in one sentence, for each single right."""
    access = evaluated(listed)
    if access is None:
        return
    for bit in (READ, WRITE, MKNOD):
        expected = False
        for rule in listed:
            key = (rule.type, rule.major, rule.minor)
            if rule.type == "a" or (rule.access & bit and devices.covers(key, request_[:3])):
                expected = rule.allow
        assert access.permits(request_[:3], bit) == expected


@settings(max_examples=300, deadline=None)
@given(before=rules, after=rules)
def test_a_transition_arrives_and_takes_nothing_away_on_the_way(
    before: list[Rule], after: list[Rule]
) -> None:
    old, new = evaluated(before), evaluated(after)
    if old is None or new is None:
        return
    kernel = KernelList()
    for file, line in devices.transition(Access(True), old):
        kernel.write(file, line)
    probes = [
        (kind, major, minor, bit)
        for kind in "bc"
        for major in (0, 1, 2**31)
        for minor in (0, 2)
        for bit in (READ, WRITE, MKNOD)
    ]
    kept = [one for one in probes if kernel.permits(one) and new.permits(one[:3], one[3])]
    steps = devices.transition(old, new)
    for file, line in steps:
        kernel.write(file, line)
        if old.allow == new.allow and not new.allow:
            assert all(kernel.permits(one) for one in kept)
    for one in probes:
        assert kernel.permits(one) == new.permits(one[:3], one[3])
    if old == new:
        assert steps == []


def test_a_container_starts_with_nothing_but_the_defaults() -> None:
    """DV-1"""
    access = devices.target(())
    assert not access.allow
    assert access.permits(("c", 1, 3), READ | WRITE)
    assert access.permits(("c", 136, 7), READ | WRITE)
    assert access.permits(("b", 8, 0), MKNOD)
    assert not access.permits(("b", 8, 0), READ)
    assert not access.permits(("c", 1, 1), READ)
    assert not access.permits(("c", 5, 1), READ)


def test_the_configuration_may_open_everything() -> None:
    access = devices.target(resources(devices=[{"allow": True, "access": "rwm"}]).devices)
    assert access == Access(True)


def test_the_usual_deny_all_is_only_the_defaults() -> None:
    access = devices.target(resources(devices=[{"allow": False, "access": "rwm"}]).devices)
    assert access == devices.target(())


def test_an_absent_major_is_every_major() -> None:
    rule = {"allow": True, "type": "b", "minor": 0, "access": "r"}
    access = devices.evaluate(devices.from_config(resources(devices=[rule]).devices))
    assert access.exceptions == {("b", ANY, 0): READ}


def test_everything_with_a_number_is_both_types() -> None:
    rule = {"allow": True, "type": "a", "major": 10, "minor": 200, "access": "rw"}
    access = devices.evaluate(devices.from_config(resources(devices=[rule]).devices))
    assert set(access.exceptions) == {("b", 10, 200), ("c", 10, 200)}


def test_a_hole_in_a_wider_rule_is_refused_with_its_pointer() -> None:
    listed = [
        {"allow": True, "type": "c", "access": "rw"},
        {"allow": False, "type": "c", "major": 1, "minor": 1, "access": "r"},
    ]
    with pytest.raises(
        Failure, match="cannot punch hole in existing rule 'c \\*:\\* rw'"
    ) as caught:
        devices.evaluate(devices.from_config(resources(devices=listed).devices))
    assert caught.value.pointer.endswith("/devices/1")


def test_a_wider_denial_takes_back_the_narrower_rules() -> None:
    access = devices.evaluate(
        [Rule("c", 1, 1, READ), Rule("c", 1, 2, READ | WRITE), Rule("c", 1, ANY, READ, allow=False)]
    )
    assert access.exceptions == {("c", 1, 2): WRITE}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a *:* rwm\n", Access(True)),
        ("", Access(False)),
        (
            "c *:* m\nb 8:* r\nc 1:3 rwm\n",
            Access(False, {("c", ANY, ANY): MKNOD, ("b", 8, ANY): READ, ("c", 1, 3): 7}),
        ),
    ],
)
def test_devices_list_is_read(text: str, expected: Access) -> None:
    assert devices.parse_list(text) == expected


def test_a_transition_writes_only_the_difference() -> None:
    old = devices.target(())
    new = devices.target(())
    new.apply(Rule("c", 10, 229))
    assert devices.transition(old, new) == [("devices.allow", "c 10:229 rwm")]
    assert devices.transition(new, old) == [("devices.deny", "c 10:229 rwm")]


@pytest.mark.parametrize("listed", COVERING)
def test_an_exception_that_covers_another_makes_a_program_that_can_be_loaded(
    listed: list[Rule],
) -> None:
    """Whichever comes first."""
    for order in (listed, [listed[0], *listed[:0:-1]]):
        access = devices.evaluate(order)
        for kind in "bc":
            for major in (0, 1, 8, 10, 188):
                for minor in (0, 5, 7, 8, 232):
                    for bits in range(1, 8):
                        request = (kind, major, minor, bits)
                        assert program_permits(access, request) == access.permits(request[:3], bits)


@pytest.mark.parametrize("step", [1, 2])
def test_a_program_for_thousands_of_minors_is_linear_in_them(step: int) -> None:
    """A range is one comparison; the others follow each other without looking back."""
    minors = range(0, 20000, step)
    code = program.program(Access(False, {("c", 1, minor): READ for minor in minors}))
    check_reachable(code)
    machine = Machine(code)
    assert len(machine.program) < 40 + (0 if step == 1 else 4 * len(minors))
    for minor, expected in ((0, 1), (minors[-1], 1), (minors[-1] + 1, 0), (1, int(step == 1))):
        assert machine.run(kind=2, access=2, major=1, minor=minor) == expected
        assert machine.run(kind=2, access=4, major=1, minor=minor) == 0
        assert machine.run(kind=2, access=2, major=2, minor=minor) == 0


@pytest.mark.parametrize("count", [1, 4500, 30000])
def test_a_program_of_many_majors_knows_every_rule(count: int) -> None:
    """A jump reaches 32767 instructions, a list of rules may be longer."""
    exceptions = {("c", 5000 + number, 7): READ | WRITE for number in range(count)}
    code = program.program(Access(False, exceptions))
    check_reachable(code)
    machine = Machine(code)
    for number, expected in ((0, 1), (count // 2, 1), (count - 1, 1), (count, 0)):
        allowed = machine.run(kind=2, access=2, major=5000 + number, minor=7)
        assert allowed == expected


def test_the_program_of_the_defaults_is_short() -> None:
    """The verifier follows each branch: its time is most of what the program costs a create."""
    access = devices.target(())
    assert len(program.program(access)) // 8 <= 46
