# SPDX-License-Identifier: Apache-2.0
"""process.capabilities as bit masks, less the ones that cannot be granted. PURE."""

from __future__ import annotations

from pyrunc.spec.constants import CAP_NAMES, CAPABILITIES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyrunc.init.context import Context
    from pyrunc.spec.model import Process

EVERY = (1 << 64) - 1
SYS_ADMIN = 1 << CAPABILITIES["CAP_SYS_ADMIN"]


class Sets:
    """The five sets."""

    __slots__ = ("ambient", "bounding", "effective", "inheritable", "permitted")

    def __init__(self) -> None:
        self.bounding = 0
        self.effective = 0
        self.inheritable = 0
        self.permitted = 0
        self.ambient = 0


def resolve(context: Context, process: Process) -> Sets:
    """Absent sets are empty. What the kernel would refuse is left out with a warning (CR-4).

    The checks of the specification have warned of unknown names and of ambient capabilities that
    are not in permitted and inheritable.
    """
    sets = Sets()
    wanted = process.capabilities
    if wanted is None:
        return sets
    # A new user namespace comes with every capability; elsewhere nobody has more than the caller.
    grantable = EVERY if context.userns else context.host.permitted
    for kind in ("bounding", "permitted", "inheritable"):
        asked = mask(getattr(wanted, kind) or ())
        missing = asked & ~grantable
        if missing:
            names = ", ".join(listed(missing))
            context.warn(f"{wanted.pointer}/{kind}", "the caller lacks a capability", value=names)
        setattr(sets, kind, asked & grantable)
    outside = sets.inheritable & ~sets.bounding
    if outside:  # kernel: cap_capset
        names = ", ".join(listed(outside))
        pointer = wanted.pointer + "/inheritable"
        context.warn(pointer, "what is not in bounding cannot be inheritable", value=names)
        sets.inheritable &= sets.bounding
    sets.effective = mask(wanted.effective or ()) & sets.permitted
    sets.ambient = mask(wanted.ambient or ()) & sets.permitted & sets.inheritable
    return sets


def may_hold_sys_admin(process: Process) -> bool:
    """Whether the bounding set has CAP_SYS_ADMIN, so that some program may get it."""
    given = process.capabilities
    return given is not None and bool(mask(given.bounding or ()) & SYS_ADMIN)


def mask(names: Iterable[str]) -> int:
    """Return the bits of some names; unknown names grant nothing."""
    value = 0
    for name in names:
        number = CAPABILITIES.get(name)
        if number is not None:
            value |= 1 << number
    return value


def listed(value: int) -> list[str]:
    return [name for number, name in enumerate(CAP_NAMES) if value >> number & 1]
