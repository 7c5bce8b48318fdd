# SPDX-License-Identifier: Apache-2.0
"""The names of runtime-spec's ``linux.seccomp`` and the kernel values behind them. PURE.

``features`` lists these tables; the compiler reads them. Where a name is newer than the linked
libseccomp, the compiler says so (`library.py`).
"""

from __future__ import annotations

PLUGINS = "run.oci.seccomp.plugins"  # an annotation

# linux/seccomp.h, SECCOMP_RET_*: the upper half of what a filter returns. Lower (as a signed
# number) wins.
KILL_PROCESS = 0x80000000
KILL_THREAD = 0x00000000
TRAP = 0x00030000
ERRNO = 0x00050000
NOTIFY = 0x7FC00000
TRACE = 0x7FF00000
LOG = 0x7FFC0000
ALLOW = 0x7FFF0000
PASSING = (ALLOW, LOG, NOTIFY, TRACE)  # the last two: if somebody lets it
ACTION_MASK = 0xFFFF0000
DATA_MASK = 0x0000FFFF
WORD = 0xFFFFFFFF

ACTIONS = {
    "SCMP_ACT_ALLOW": ALLOW,
    "SCMP_ACT_ERRNO": ERRNO,
    "SCMP_ACT_KILL": KILL_THREAD,
    "SCMP_ACT_KILL_PROCESS": KILL_PROCESS,
    "SCMP_ACT_KILL_THREAD": KILL_THREAD,
    "SCMP_ACT_LOG": LOG,
    "SCMP_ACT_NOTIFY": NOTIFY,
    "SCMP_ACT_TRACE": TRACE,
    "SCMP_ACT_TRAP": TRAP,
}
TAKES_ERRNO = ("SCMP_ACT_ERRNO", "SCMP_ACT_TRACE")

# enum scmp_compare
OPERATORS = {
    "SCMP_CMP_NE": 1,
    "SCMP_CMP_LT": 2,
    "SCMP_CMP_LE": 3,
    "SCMP_CMP_EQ": 4,
    "SCMP_CMP_GE": 5,
    "SCMP_CMP_GT": 6,
    "SCMP_CMP_MASKED_EQ": 7,
}

X86_64 = 0xC000003E
# libseccomp's own token: for the kernel x32 is AUDIT_ARCH_X86_64 with bit 30 set in the number.
X32 = 0x4000003E
X32_BIT = 0x40000000
I386 = 0x40000003
ARM = 0x40000028
S390 = 0x00000016
S390X = 0x80000016

# libseccomp's SCMP_ARCH_* tokens, which are AUDIT_ARCH_* except for x32.
ARCHITECTURES = {
    "SCMP_ARCH_AARCH64": 0xC00000B7,
    "SCMP_ARCH_ARM": ARM,
    "SCMP_ARCH_LOONGARCH64": 0xC0000102,
    "SCMP_ARCH_M68K": 0x00000004,
    "SCMP_ARCH_MIPS": 0x00000008,
    "SCMP_ARCH_MIPS64": 0x80000008,
    "SCMP_ARCH_MIPS64N32": 0xA0000008,
    "SCMP_ARCH_MIPSEL": 0x40000008,
    "SCMP_ARCH_MIPSEL64": 0xC0000008,
    "SCMP_ARCH_MIPSEL64N32": 0xE0000008,
    "SCMP_ARCH_PARISC": 0x0000000F,
    "SCMP_ARCH_PARISC64": 0x8000000F,
    "SCMP_ARCH_PPC": 0x00000014,
    "SCMP_ARCH_PPC64": 0x80000015,
    "SCMP_ARCH_PPC64LE": 0xC0000015,
    "SCMP_ARCH_RISCV64": 0xC00000F3,
    "SCMP_ARCH_S390": S390,
    "SCMP_ARCH_S390X": S390X,
    "SCMP_ARCH_SH": 0x4000002A,
    "SCMP_ARCH_SHEB": 0x0000002A,
    "SCMP_ARCH_X32": X32,
    "SCMP_ARCH_X86": I386,
    "SCMP_ARCH_X86_64": X86_64,
}
ARCHITECTURE_NAMES = {token: name for name, token in ARCHITECTURES.items()}

# SECCOMP_FILTER_FLAG_*
TSYNC = 1
FLAG_LOG = 2
SPEC_ALLOW = 4
NEW_LISTENER = 8
TSYNC_ESRCH = 16
WAIT_KILLABLE_RECV = 32

FLAGS = {
    "SECCOMP_FILTER_FLAG_LOG": FLAG_LOG,
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW": SPEC_ALLOW,
    "SECCOMP_FILTER_FLAG_TSYNC": TSYNC,
    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV": WAIT_KILLABLE_RECV,
}

EPERM = 1
ENOSYS = 38  # the number on the architectures below differs: MIPS 89, PA-RISC 251
ENOSYS_BY_MACHINE = {
    0x08: 89,
    0x0F: 251,
}  # keyed by the ELF machine, the low half of an AUDIT_ARCH value


def enosys(audit_arch: int) -> int:
    """Return the filter's answer "no such system call" for an architecture."""
    return ERRNO | ENOSYS_BY_MACHINE.get(audit_arch & 0xFFFF, ENOSYS)


def audit_arch(token: int) -> int:
    """Return what the kernel shows a filter as `arch` for this token."""
    return X86_64 if token == X32 else token


def strictness(action: int) -> int:
    """Return the kernel's order of actions: the lowest, as a signed 32-bit number, wins."""
    return action - (1 << 32) if action >= 0x80000000 else action
