# SPDX-License-Identifier: Apache-2.0
"""System calls that are newer than the oldest libseccomp we link with (2.5, Linux 5.17). PURE.

Since Linux 5.1 a new system call gets the same number on every architecture, on top of the
architecture's base (MIPS, x32). A profile that names one of these is honoured whatever the age of
the library: ignoring the name in a profile whose default is to allow would leave the call open.
"""

from __future__ import annotations

from pyrunc.seccomp.names import ARCHITECTURES, X32, X32_BIT, X86_64

UNIFIED = {
    "cachestat": 451,
    "fchmodat2": 452,
    "map_shadow_stack": 453,
    "futex_wake": 454,
    "futex_wait": 455,
    "futex_requeue": 456,
    "statmount": 457,
    "listmount": 458,
    "lsm_get_self_attr": 459,
    "lsm_set_self_attr": 460,
    "lsm_list_modules": 461,
    "mseal": 462,
    "setxattrat": 463,
    "getxattrat": 464,
    "listxattrat": 465,
    "removexattrat": 466,
    "open_tree_attr": 467,
    "file_getattr": 468,
    "file_setattr": 469,
    "listns": 470,
}

# Calls that not every architecture has.
PRIVATE = {
    (X86_64, "uretprobe"): 335,
    (X86_64, "uprobe"): 336,
    (X32, "uretprobe"): X32_BIT | 335,
    (X32, "uprobe"): X32_BIT | 336,
    (ARCHITECTURES["SCMP_ARCH_RISCV64"], "riscv_hwprobe"): 258,
}

BASES = {
    X32: X32_BIT,
    ARCHITECTURES["SCMP_ARCH_MIPS"]: 4000,
    ARCHITECTURES["SCMP_ARCH_MIPSEL"]: 4000,
    ARCHITECTURES["SCMP_ARCH_MIPS64"]: 5000,
    ARCHITECTURES["SCMP_ARCH_MIPSEL64"]: 5000,
    ARCHITECTURES["SCMP_ARCH_MIPS64N32"]: 6000,
    ARCHITECTURES["SCMP_ARCH_MIPSEL64N32"]: 6000,
}

NAMES = frozenset(UNIFIED) | {name for _, name in PRIVATE}


def number(token: int, name: str) -> int:
    """Return the number of a newer call on an architecture, or -1."""
    if name not in NAMES:
        return -1
    private = PRIVATE.get((token, name))
    if private is not None:
        return private
    unified = UNIFIED.get(name)
    return -1 if unified is None else unified + BASES.get(token, 0)


def name(token: int, number: int) -> str:
    """Return the name of a number on an architecture, or an empty string."""
    base = BASES.get(token, 0)
    for candidate, unified in UNIFIED.items():
        if unified + base == number:
            return candidate
    for (owner, candidate), private in PRIVATE.items():
        if owner == token and private == number:
            return candidate
    return ""
