# SPDX-License-Identifier: Apache-2.0
"""The default system call filter.

What programs need, without what reaches the kernel's rarely used parts or other namespaces.

It allows each call that libseccomp knows for this machine but DENIED; a call newer than libseccomp
answers ENOSYS, so that programs fall back. The list follows the reasons that the engines publish
for their profiles.
"""

from __future__ import annotations

from pyrunc.seccomp import library

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

DENIED: Final = frozenset(
    (
        # the kernel itself: modules, another kernel, clocks, swap, accounting, quotas
        *("create_module", "delete_module", "finit_module", "init_module", "query_module"),
        *("get_kernel_syms", "kexec_file_load", "kexec_load", "reboot", "swapoff", "swapon"),
        *("acct", "quotactl", "quotactl_fd", "nfsservctl", "syslog", "uselib", "ustat", "sysfs"),
        *("_sysctl", "clock_adjtime", "clock_adjtime64", "clock_settime", "clock_settime64"),
        *("adjtimex", "settimeofday", "stime", "vhangup", "lookup_dcookie"),
        # namespaces and mounts
        *("mount", "umount", "umount2", "pivot_root", "setns", "unshare", "fsopen", "fsconfig"),
        *("fsmount", "fspick", "move_mount", "open_tree", "open_tree_attr", "mount_setattr"),
        *("statmount", "listmount", "open_by_handle_at", "name_to_handle_at", "chroot"),
        # other processes and what they hold
        *("ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "kcmp"),
        *("pidfd_getfd", "move_pages", "migrate_pages", "mbind", "set_mempolicy"),
        *("set_mempolicy_home_node", "get_mempolicy"),
        # parts of the kernel with a history of faults, or not aware of namespaces
        *("bpf", "perf_event_open", "userfaultfd", "io_uring_enter", "io_uring_register"),
        *("io_uring_setup", "fanotify_init", "fanotify_mark", "add_key", "keyctl", "request_key"),
        # raw hardware, old personalities
        *("ioperm", "iopl", "modify_ldt", "personality", "vm86", "vm86old", "vserver"),
        # under conditions, below
        *("clone", "clone3", "socket"),
    )
)
MOST_CALLS = 1024  # no architecture has numbers beyond, but those of private ranges
NAMESPACE_FLAGS = 0x7E020000  # CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET
FAMILIES = (1, 2, 10, 16)  # AF_UNIX, AF_INET, AF_INET6, AF_NETLINK
ENOSYS = 38


def default_profile() -> dict[str, Any]:
    """Return a profile in the format of linux.seccomp for this machine's architecture."""
    native = library.NATIVE
    known = {library.name_of(native, number) for number in range(MOST_CALLS)} - {""}
    return {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": 1,
        "syscalls": [
            {"names": sorted(known - DENIED), "action": "SCMP_ACT_ALLOW"},
            # The flags are in the first argument, but on s390.
            _when("clone", "SCMP_CMP_MASKED_EQ", NAMESPACE_FLAGS, 0),
            *(_when("socket", "SCMP_CMP_EQ", family) for family in FAMILIES),
            # The flags of clone3 are in memory, where a filter cannot look: libraries use clone.
            {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": ENOSYS},
        ],
    }


def _when(name: str, operator: str, value: int, second: int = 0) -> dict[str, Any]:
    """Allow a call if its first argument is so."""
    condition = {"index": 0, "op": operator, "value": value, "valueTwo": second}
    return {"names": [name], "action": "SCMP_ACT_ALLOW", "args": [condition]}
