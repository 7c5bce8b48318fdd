# SPDX-License-Identifier: Apache-2.0
"""Newer system calls that a filter of a container around us refuses.

It is asked only when something has failed with EPERM or ENOSYS: every call is made with arguments
that the kernel itself refuses with another error.
"""

from __future__ import annotations

from errno import ENOSYS, EPERM

from pyrunc.host import syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

OF_MOUNTS: Final = ("fsconfig", "open_tree", "statx", "fsopen", "fsmount", "move_mount")
# In the order of the table in csrc/native/clone.c.
REFUSABLE: Final = (
    "openat2",
    "mount_setattr",
    "pidfd_open",
    "pidfd_send_signal",
    "pidfd_getfd",
    "memfd_create",
    *OF_MOUNTS,
)
OF_THE_INIT: Final = ("openat2", "mount_setattr", *OF_MOUNTS)
ADVICE: Final = (
    "allow it in the profile of the container that pyrunc runs in (a newer engine or libseccomp "
    "there does), or run that one with seccomp=unconfined"
)


def refused_calls(errno: int) -> tuple[str, ...]:
    """Return the calls that a filter refuses, if this errno may come from one."""
    if errno not in (EPERM, ENOSYS):
        return ()
    bits = syscalls.refused_calls()
    return tuple(name for index, name in enumerate(REFUSABLE) if bits >> index & 1)


def of_init(errno: int) -> str:
    """Return a sentence for a failure of the init, which inherits the filter; empty: none."""
    names = tuple(name for name in refused_calls(errno) if name in OF_THE_INIT)
    return sentence(names) if names else ""


def sentence(names: tuple[str, ...]) -> str:
    """Return what is the matter, for the first line of an error."""
    if len(names) == 1:
        subject = f"the system call {names[0]} is"
    else:
        subject = f"the system calls {', '.join(names)} are"
    return f"{subject} refused here, probably by a filter of an outer container"
