# SPDX-License-Identifier: Apache-2.0
"""Calls that carry others: socketcall and ipc of the older architectures. PURE.

A rule about ``bind`` must hold for ``socketcall(SYS_BIND, ...)`` too. The arguments of the inner
call lie in memory, where no filter can look: of a rule with conditions and the default, the
stricter answer holds.
"""

from __future__ import annotations

from pyrunc.seccomp.names import OPERATORS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyrunc.seccomp.arguments import Alternative

# linux/net.h and linux/ipc.h: the first argument. That of ipc has a version in its upper half.
SOCKETCALL = {
    "socket": 1,
    "bind": 2,
    "connect": 3,
    "listen": 4,
    "accept": 5,
    "getsockname": 6,
    "getpeername": 7,
    "socketpair": 8,
    "send": 9,
    "recv": 10,
    "sendto": 11,
    "recvfrom": 12,
    "shutdown": 13,
    "setsockopt": 14,
    "getsockopt": 15,
    "sendmsg": 16,
    "recvmsg": 17,
    "accept4": 18,
    "recvmmsg": 19,
    "sendmmsg": 20,
}
IPC = {
    "semop": 1,
    "semget": 2,
    "semctl": 3,
    "semtimedop": 4,
    "msgsnd": 11,
    "msgrcv": 12,
    "msgget": 13,
    "msgctl": 14,
    "shmat": 21,
    "shmdt": 22,
    "shmget": 23,
    "shmctl": 24,
}
# libseccomp answers with a pseudo number for these names where a multiplexer exists. The numbers
# of the direct calls of i386, which are in every default profile; for other architectures the
# library is searched (`library.numbers_of`).
DIRECT_I386 = {
    "recvmmsg": 337,
    "sendmmsg": 345,
    "socket": 359,
    "socketpair": 360,
    "bind": 361,
    "connect": 362,
    "listen": 363,
    "accept4": 364,
    "getsockopt": 365,
    "setsockopt": 366,
    "getsockname": 367,
    "getpeername": 368,
    "sendto": 369,
    "sendmsg": 370,
    "recvfrom": 371,
    "recvmsg": 372,
    "shutdown": 373,
    "semget": 393,
    "semctl": 394,
    "shmget": 395,
    "shmctl": 396,
    "shmat": 397,
    "shmdt": 398,
    "msgget": 399,
    "msgsnd": 400,
    "msgrcv": 401,
    "msgctl": 402,
}
MEMBERS = frozenset(SOCKETCALL) | frozenset(IPC)
DIRECT_RANGE = range(100, 500)  # where the direct calls are, above an architecture's base

MULTIPLEXERS = {"socketcall": (SOCKETCALL, 0xFFFFFFFF), "ipc": (IPC, 0xFFFF)}


def alternatives(multiplexer: str, inner: Mapping[str, Sequence[int]]) -> list[Alternative]:
    """Return what the actions for inner calls, by their names, mean for the multiplexer."""
    members, mask = MULTIPLEXERS[multiplexer]
    equal = OPERATORS["SCMP_CMP_MASKED_EQ"]
    return [
        (action, ((0, equal, mask, members[name]),))
        for name, actions in inner.items()
        for action in actions
    ]
