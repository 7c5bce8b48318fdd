# SPDX-License-Identifier: Apache-2.0
"""The profiles that the interpreter and the kernel are asked about, by a name that says what is
special.
"""

from __future__ import annotations

from typing import Any

from tests.seccomp.support import load, profile, rule

# What a small static program needs besides the calls under test.
BASE = (
    "read write close exit exit_group execve execveat mmap munmap mprotect brk rt_sigaction "
    "rt_sigprocmask rt_sigreturn arch_prctl set_tid_address getpid gettid wait4 kill "
    "tgkill close_range"
)

PROFILES: dict[str, dict[str, Any]] = {
    "docker-default": load("docker-default"),
    "containerd-default": load("containerd-default"),
    "allow-all": profile("ALLOW"),
    "log-all": profile("LOG"),
    "deny-one": profile("ALLOW", rule("getppid", "ERRNO")),
    "deny-with-errno": profile("ALLOW", rule("getppid", "ERRNO", errnoRet=77)),
    "deny-with-errno-zero": profile("ALLOW", rule("getppid", "ERRNO", errnoRet=0)),
    "deny-several": profile("ALLOW", rule("getppid getuid umask", "ERRNO", errnoRet=78)),
    "kill": profile("ALLOW", rule("getppid", "KILL")),
    "kill-thread": profile("ALLOW", rule("getppid", "KILL_THREAD")),
    "kill-process": profile("ALLOW", rule("getppid", "KILL_PROCESS")),
    "trap": profile("ALLOW", rule("getppid", "TRAP")),
    "trace-without-tracer": profile("ALLOW", rule("getppid", "TRACE", errnoRet=9)),
    "log": profile("ERRNO", rule(BASE, "ALLOW"), rule("getppid", "LOG"), defaultErrnoRet=79),
    "allow-list": profile("ERRNO", rule(BASE, "ALLOW"), rule("getppid", "ALLOW")),
    "allow-list-default-errno": profile(
        "ERRNO", rule(BASE, "ALLOW"), rule("getppid", "ALLOW"), defaultErrnoRet=80
    ),
    "allow-list-enosys": profile("ERRNO", rule(BASE, "ALLOW"), defaultErrnoRet=38),
    "allow-list-kill": profile("KILL_PROCESS", rule(BASE, "ALLOW"), rule("getppid", "ALLOW")),
    "allow-list-trap": profile("TRAP", rule(BASE, "ALLOW"), rule("getppid", "ALLOW")),
    "default-trace": profile(
        "TRACE", rule(BASE, "ALLOW"), rule("getppid", "ALLOW"), defaultErrnoRet=3
    ),
    "old": profile(
        "ERRNO", rule("mseal", "ERRNO", errnoRet=90), rule(BASE, "ALLOW"), defaultErrnoRet=81
    ),
    "very-old": profile(
        "ERRNO", rule("accept4 read write exit_group", "ALLOW"), defaultErrnoRet=82
    ),
    "newer-than-the-library": profile("ALLOW", rule("fchmodat2 cachestat", "ERRNO", errnoRet=83)),
    "newer-with-condition": profile("ALLOW", rule("cachestat", "ERRNO", (0, "EQ", 5), errnoRet=84)),
    "unknown-names": profile(
        "ALLOW", rule("no_such_call getppid neither_this", "ERRNO", errnoRet=85)
    ),
    "eq": profile("ALLOW", rule("personality", "ERRNO", (0, "EQ", 0x1000), errnoRet=86)),
    "ne": profile("ALLOW", rule("personality", "ERRNO", (0, "NE", 0xFFFFFFFF), errnoRet=86)),
    "lt": profile("ALLOW", rule("lseek", "ERRNO", (1, "LT", 0x1_0000_0001), errnoRet=86)),
    "le": profile("ALLOW", rule("lseek", "ERRNO", (1, "LE", 0x1_0000_0000), errnoRet=86)),
    "ge": profile("ALLOW", rule("lseek", "ERRNO", (1, "GE", 0x1_0000_0000), errnoRet=86)),
    "gt": profile("ALLOW", rule("lseek", "ERRNO", (1, "GT", 0xFFFFFFFF), errnoRet=86)),
    "masked": profile(
        "ALLOW", rule("ioctl", "ERRNO", (1, "MASKED_EQ", 0xFFFFFFFF, 0x5412), errnoRet=87)
    ),
    "masked-64": profile(
        "ALLOW", rule("lseek", "ERRNO", (1, "MASKED_EQ", 0xF_0000_000F, 0x3_0000_0003), errnoRet=87)
    ),
    "masked-stray-bits": profile(
        "ALLOW", rule("lseek", "ERRNO", (1, "MASKED_EQ", 0xF0, 0x13F), errnoRet=87)
    ),
    "all-of-several": profile(
        "ALLOW", rule("lseek", "ERRNO", (0, "EQ", 0xFFFF), (1, "GE", 5), (2, "LE", 2), errnoRet=88)
    ),
    "any-of-several": profile(
        "ALLOW",
        rule("lseek", "ERRNO", (1, "EQ", 3), (1, "EQ", 0x1_0000_0003), (2, "EQ", 7), errnoRet=88),
    ),
    "alternatives-in-rules": profile(
        "ERRNO",
        rule(BASE, "ALLOW"),
        rule("socket", "ALLOW", (0, "EQ", 1)),
        rule("socket", "ALLOW", (0, "EQ", 2), (1, "MASKED_EQ", 0xF, 1)),
        defaultErrnoRet=89,
    ),
    "overlapping": profile(
        "ALLOW",
        rule("lseek", "ERRNO", (1, "GE", 100), errnoRet=91),
        rule("lseek", "LOG", (1, "GE", 50)),
        rule("lseek", "ERRNO", (1, "EQ", 120), errnoRet=90),
    ),
    "unconditional-outweighs": profile(
        "ERRNO",
        rule(BASE, "ALLOW"),
        rule("lseek", "LOG", (1, "EQ", 3)),
        rule("lseek", "ALLOW"),
        defaultErrnoRet=92,
    ),
    "first-unconditional-holds": profile(
        "ALLOW", rule("getppid", "ERRNO", errnoRet=93), rule("getppid", "ERRNO", errnoRet=94)
    ),
    "impossible-on-32-bit": profile(
        "ERRNO", rule("personality", "ALLOW", (0, "EQ", 1 << 40)), rule(BASE, "ALLOW")
    ),
    "always-on-32-bit": profile(
        "ERRNO", rule("personality", "ALLOW", (0, "LT", 1 << 40)), rule(BASE, "ALLOW")
    ),
    "every-argument": profile(
        "ALLOW",
        rule(
            "mmap", "ERRNO", *[(index, "EQ", 2**64 - 1 - index) for index in range(6)], errnoRet=95
        ),
    ),
    "no-flags": profile("ALLOW", rule("getppid", "ERRNO", errnoRet=96), flags=[]),
    "all-flags": profile(
        "ALLOW",
        rule("getppid", "ERRNO", errnoRet=96),
        flags=[
            "SECCOMP_FILTER_FLAG_TSYNC",
            "SECCOMP_FILTER_FLAG_LOG",
            "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
        ],
    ),
}
