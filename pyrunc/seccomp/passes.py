# SPDX-License-Identifier: Apache-2.0
"""Whether the init can go on under a filter that it has loaded before its last fork."""

from __future__ import annotations

import errno
import sys

from pyrunc.seccomp import bpf, library, names

CLONE_PARENT = 0x8000
PASSES = (names.ALLOW, names.LOG)
# What follows the filter until the program is executed, whatever its arguments are: the fork, the
# cgroups, the session with its terminal, and the conversation with the parent.
CALLS = (
    "pipe2", "clone", "getpid", "prctl", "read", "write", "close", "close_range", "setsid", "ioctl",
    "exit_group", "execve",
)  # fmt: skip
ARGUMENTS = {"clone": (CLONE_PARENT,)}
# Without clone3 the init uses clone.
NO_CLONE3 = (names.ERRNO | errno.ENOSYS, names.ERRNO | errno.EPERM)


def lets_fork(program: bytes) -> bool:
    """Tell whether the filter lets pass, or only logs, all that comes after it."""
    instructions = bpf.decode(program)
    token = library.NATIVE
    machine = names.audit_arch(token)

    def verdict(number: int, args: tuple[int, ...]) -> int:
        data = bpf.data(number, machine, args, high_first=sys.byteorder == "big")
        return bpf.run(instructions, data)

    numbers = library.resolve(token, [*CALLS, "clone3"])
    for name, number in zip(CALLS, numbers, strict=False):
        if verdict(number, ARGUMENTS.get(name, ())) & names.ACTION_MASK not in PASSES:
            return False
    newer = verdict(numbers[-1], ())
    return newer & names.ACTION_MASK in PASSES or newer in NO_CLONE3
