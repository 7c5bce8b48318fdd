# SPDX-License-Identifier: Apache-2.0
"""Filters that may be loaded before the init's last fork, and those that may not."""

from __future__ import annotations

from typing import Any

import pytest

from tests.seccomp.support import compiled

ALLOW, ERRNO, KILL, LOG = "SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_KILL", "SCMP_ACT_LOG"
ENOSYS, EIO = 38, 5
# What docker's profile says of clone: no new namespaces.
NO_NAMESPACES = [{"index": 0, "value": 0x7E020000, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}]


def refusing(name: str, action: str = ERRNO, errno: int = 1) -> dict[str, Any]:
    rule: dict[str, Any] = {"names": [name], "action": action}
    rule |= {"errnoRet": errno} if action == ERRNO else {}
    return {"defaultAction": ALLOW, "syscalls": [rule]}


@pytest.mark.parametrize(
    "profile",
    [
        refusing("mount"),
        refusing("clone3", errno=ENOSYS),
        refusing("clone3"),
        refusing("clone", LOG),
        {
            "defaultAction": ERRNO,
            "syscalls": [
                {
                    "names": [
                        "pipe2", "getpid", "prctl", "read", "write", "close", "close_range",
                        "setsid", "ioctl", "exit_group", "execve", "clone3",
                    ],
                    "action": ALLOW,
                },
                {"names": ["clone"], "action": ALLOW, "args": NO_NAMESPACES},
            ],
        },
    ],
    ids=["mount", "clone3-enosys", "clone3-eperm", "logged", "masked"],
)  # fmt: skip
def test_a_filter_that_lets_the_init_fork(profile: dict[str, Any]) -> None:
    """JN-10."""
    assert compiled(profile).lets_fork


@pytest.mark.parametrize(
    "profile",
    [
        refusing("clone"),
        refusing("clone", KILL),
        refusing("clone3", KILL),
        refusing("clone3", errno=EIO),
        refusing("pipe2"),
        refusing("close_range"),
        refusing("setsid"),
    ],
    ids=["clone", "clone-kill", "clone3-kill", "clone3-eio", "pipe2", "close_range", "setsid"],
)
def test_a_filter_that_does_not(profile: dict[str, Any]) -> None:
    """JN-10."""
    assert not compiled(profile).lets_fork
