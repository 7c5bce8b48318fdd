# SPDX-License-Identifier: Apache-2.0
"""The kernel decides what the profile says: real calls of real programs under every profile of the
list.
"""

from __future__ import annotations

import errno
import os
import signal
import subprocess

import pytest

from tests.seccomp import kernel, support
from tests.seccomp.kernel import calls, comparable
from tests.seccomp.profiles_list import PROFILES
from tests.seccomp.support import I386, X32_BIT, X86_64

pytestmark = pytest.mark.skipif(bool(kernel.missing()), reason=kernel.missing() or "available")

BUSYBOX = "/bin/busybox"
ALLOW, LOG = support.ALLOW, support.LOG


def expected(action: int, number: int, unfiltered: str) -> str:
    """What the probe must say."""
    kind, data = action & 0xFFFF0000, action & 0xFFFF
    if action in (ALLOW, LOG):
        return unfiltered
    if kind == 0x50000:
        return f"value {-data}"
    if kind == 0x30000:
        return f"trap {number}"
    if kind in (0x7FF00000, 0x7FC00000):
        return f"value {-errno.ENOSYS}"
    return f"signal {int(signal.SIGSYS)}"


@pytest.fixture(scope="module")
def unfiltered() -> list[str]:
    return kernel.ask(None, [(mode, number, args) for mode, _, number, args in calls()])


@pytest.mark.parametrize("name", PROFILES)
def test_the_kernel_decides_each_call_as_the_profile_says(name: str, unfiltered: list[str]) -> None:
    """SC-1 SC-2 SC-8"""
    profile = PROFILES[name]
    answers = kernel.ask(
        support.compiled(profile), [(mode, number, args) for mode, _, number, args in calls()]
    )
    assert len(answers) == len(calls())
    wrong = []
    for (mode, machine, number, args), answer, free in zip(
        calls(), answers, unfiltered, strict=True
    ):
        padded = [*args, 0, 0, 0, 0, 0, 0][:6]
        wanted = expected(support.decide(profile, machine, number, padded), number, free)
        if comparable(answer) != comparable(wanted):
            wrong.append((mode, number, args, answer, wanted))
    assert not wrong


def test_the_list_holds_at_least_thirty_profiles() -> None:
    assert len(PROFILES) >= 30


def test_an_architecture_that_is_not_listed_is_killed() -> None:
    """SC-1"""
    profile = {**support.profile("ALLOW"), "architectures": ["SCMP_ARCH_X86_64"]}
    compiled = support.compiled(profile)
    getpid = support.number_of(I386, "getpid")
    killed = f"signal {int(signal.SIGSYS)}"
    assert kernel.ask(compiled, [(32, getpid, []), (64, X32_BIT + 39, [])]) == [killed, killed]


def test_the_native_architecture_is_there_even_if_not_listed() -> None:
    """SC-1"""
    profile = {**support.profile("ALLOW"), "architectures": ["SCMP_ARCH_AARCH64"]}
    (answer,) = kernel.ask(
        support.compiled(profile), [(64, support.number_of(X86_64, "getuid"), [])]
    )
    assert answer == f"value {os.getuid()}"


# -- programs --------------------------------------------------------------------------------------

needs_busybox = pytest.mark.skipif(not os.path.exists(BUSYBOX), reason="busybox-static is missing")


def under(name: str, script: str) -> subprocess.CompletedProcess[str]:
    return kernel.run(support.compiled(PROFILES[name]), BUSYBOX, "sh", "-c", script)


@needs_busybox
@pytest.mark.parametrize("name", ["docker-default", "containerd-default"])
@pytest.mark.parametrize(
    ("script", "output"),
    [
        ("echo $((6*7))", "42"),
        ("busybox ls / | busybox grep -c proc", "1"),
        ("busybox sleep 0.01 & wait; echo done", "done"),
        ("busybox dd if=/dev/zero bs=1k count=8 2>/dev/null | busybox wc -c", "8192"),
        ("busybox nc -l -p 0 -w 1 </dev/null >/dev/null 2>&1; echo $?", None),
        ("busybox stat -c %F /proc/self/exe", "symbolic link"),
        (
            "busybox timeout 5 busybox sh -c 'trap \"echo caught; exit\" USR1; kill -USR1 $$'",
            "caught",
        ),
    ],
)
def test_ordinary_programs_run_under_the_default_profiles(
    name: str, script: str, output: str | None
) -> None:
    result = under(name, script)
    assert result.returncode == 0, result.stderr
    if output is not None:
        assert result.stdout.strip() == output


@needs_busybox
@pytest.mark.parametrize("name", ["docker-default", "containerd-default"])
@pytest.mark.parametrize(
    "script",
    [
        "busybox mount -t tmpfs none /mnt",
        "busybox umount /proc",
        "busybox unshare -n busybox true",
        "busybox hostname $(busybox hostname)",
        "busybox swapoff -a; busybox swapon /dev/null",
        "busybox nsenter -t $$ -n busybox true",
    ],
)
def test_privileged_programs_fail_under_the_default_profiles(name: str, script: str) -> None:
    result = under(name, script)
    assert result.returncode != 0
    assert "not permitted" in result.stderr or "are you root?" in result.stderr


@needs_busybox
def test_a_denied_call_of_a_program_fails_with_the_number_of_the_profile() -> None:
    compiled = support.compiled(
        support.profile("ALLOW", support.rule("mkdir mkdirat", "ERRNO", errnoRet=errno.EDQUOT))
    )
    result = kernel.run(compiled, BUSYBOX, "mkdir", "/tmp/pyrunc-never-made")
    assert "quota" in result.stderr.lower()
    assert not os.path.exists("/tmp/pyrunc-never-made")


def test_a_value_with_high_bits_does_not_evade_a_masked_rule() -> None:
    """SC-5, R056: ioctl takes a 32-bit command, whatever the upper half of the register holds."""
    tiocsti = 0x5412
    plain = support.rule("ioctl", "ERRNO", (1, "EQ", tiocsti), errnoRet=87)
    masked = support.rule("ioctl", "ERRNO", (1, "MASKED_EQ", 0xFFFFFFFF, tiocsti), errnoRet=87)
    call = (64, support.number_of(X86_64, "ioctl"), [99, tiocsti | 1 << 32])
    for rule, answer in ((plain, -errno.EBADF), (masked, -87)):
        compiled = support.compiled(support.profile("ALLOW", rule))
        assert kernel.ask(compiled, [call]) == [f"value {answer}"]
