# SPDX-License-Identifier: Apache-2.0
"""The tables against what the interpreter and the headers of this machine say."""

from __future__ import annotations

import resource
import signal
from pathlib import Path

import pytest

from pyrunc.spec import constants, options, signals


def test_signal_numbers_are_those_of_this_machine() -> None:
    for member in signal.Signals:
        if member.name not in ("SIGRTMIN", "SIGRTMAX"):
            assert signals.SIGNALS[member.name] == member.value
    assert (signal.SIGRTMIN, signal.SIGRTMAX) == (signals.SIGRTMIN, signals.SIGRTMAX)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("9", 9),
        ("0", 0),
        ("64", 64),
        ("KILL", 9),
        ("SIGKILL", 9),
        ("sigterm", 15),
        ("Term", 15),
        ("SIGCLD", 17),
        ("RTMIN", 34),
        ("SIGRTMIN+0", 34),
        ("rtmin+30", 64),
        ("RTMAX-1", 63),
    ],
)
def test_a_signal_is_a_number_or_a_name(text: str, number: int) -> None:
    assert signals.signal_number(text) == number


@pytest.mark.parametrize(
    "text",
    ["", "SIG", "65", "999999999999", "-9", "+9", " 9", "9 ", "0x9", "1e1", "٩", "KILLL",
     "SIGSIGKILL", "RTMIN+31", "RTMIN-1", "RTMAX+1", "RTMIN+", "RTMIN+1x", "RTMIN+-1", "KILL\n"],
)  # fmt: skip
def test_nothing_else_is_a_signal(text: str) -> None:
    """IN-9, PY-6"""
    assert signals.signal_number(text) is None


def test_resource_limits_are_those_of_this_machine() -> None:
    names = [
        name for name in dir(resource) if name.startswith("RLIMIT_") and name != "RLIMIT_OFILE"
    ]
    assert len(constants.RLIMITS) == 16
    for name in names:
        assert constants.RLIMITS[name] == getattr(resource, name)


def defines(header: str) -> dict[str, int]:
    path = Path("/usr/include/linux") / header
    if not path.exists():
        pytest.skip(f"{path} is not installed (linux-libc-dev)")
    found = {}
    for line in path.read_text().splitlines():
        parts = line.split()
        if len(parts) >= 3 and parts[0] == "#define" and parts[2].isalnum():
            try:
                found[parts[1]] = int(parts[2], 0)
            except ValueError:
                continue
    return found


def test_capability_numbers_are_those_of_the_header() -> None:
    header = {name: value for name, value in defines("capability.h").items() if "CAP_" in name[:4]}
    for name, number in header.items():
        assert constants.CAPABILITIES[name] == number


def test_namespace_and_scheduler_numbers_are_those_of_the_header() -> None:
    header = defines("sched.h")
    names = {"mount": "NS", "network": "NET"}
    for name, flag in constants.NAMESPACES.items():
        assert header["CLONE_NEW" + names.get(name, name.upper())] == flag
    policies = {"SCHED_OTHER": "SCHED_NORMAL"}
    for name, number in constants.SCHEDULER_POLICIES.items():
        assert header.get(policies.get(name, name), number) == number
    for name, number in constants.SCHEDULER_FLAGS.items():
        assert header[name] == number


def test_mount_attributes_are_those_of_the_header() -> None:
    header = defines("mount.h")
    for name, value in vars(options).items():
        if name.startswith("MOUNT_ATTR_"):
            assert header[name] == value


def test_every_seccomp_name_is_given_once() -> None:
    for names in (
        constants.SECCOMP_ACTIONS,
        constants.SECCOMP_OPERATORS,
        constants.SECCOMP_ARCHITECTURES,
        constants.CAP_NAMES,
    ):
        assert len(set(names)) == len(names)
