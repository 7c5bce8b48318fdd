# SPDX-License-Identifier: Apache-2.0
"""PURE: what the kernel takes in a control file, for words and where nothing can be tried.

A rule refuses only what every kernel refuses: a value of unknown form passes, so that there is no
false alarm.
"""

from __future__ import annotations

import errno

from pyrunc.spec.limits import MAX_TASKS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Final

SHOWN: Final = 8
PERIODS: Final = (1000, 1000000)  # of the bandwidth of processors, in microseconds
QUOTA: Final = 1000


class Offers:
    """What this host has; lists as the kernel writes them ("0-3,8"). None: it cannot be told.

    `files`: the control files that a cgroup here has, by controller, where one could be looked at.
    """

    __slots__ = ("above", "cpus", "disks", "files", "interfaces", "mems", "pages", "rdma")

    def __init__(
        self,
        *,
        cpus: str = "",
        mems: str = "",
        disks: Sequence[str] | None = None,
        pages: Sequence[str] | None = None,
        rdma: Sequence[str] | None = None,
        interfaces: Sequence[str] | None = None,
        files: Mapping[str, frozenset[str]] | None = None,
    ) -> None:
        self.above = ""  # the quota of a cgroup above, which version 1 lets nobody exceed
        self.cpus = cpus
        self.mems = mems
        self.disks = disks
        self.pages = pages
        self.rdma = rdma
        self.interfaces = interfaces
        self.files = files or {}


def numbers(text: str) -> set[int] | None:
    """Return the members of a kernel list; None where it has another form."""
    members: set[int] = set()
    for word in filter(None, text.strip().split(",")):
        first, _, last = word.partition("-")
        if not (first.isdecimal() and (last or first).isdecimal()) or len(word) > 16:
            return None
        members.update(range(int(first), min(int(last or first), int(first) + 65536) + 1))
    return members


def _outside(value: str, offered: str) -> int:
    wanted, there = numbers(value), numbers(offered)
    return errno.EINVAL if wanted and there and not wanted <= there else 0


def _between(value: str, low: int, high: int) -> int:
    try:
        return 0 if low <= int(value) <= high else errno.ERANGE
    except ValueError:
        return 0


def _bandwidth(value: str) -> int:
    quota, _, period = value.partition(" ")
    wrong = quota.isdecimal() and int(quota) < QUOTA
    wrong = wrong or (period.isdecimal() and _between(period, *PERIODS) != 0)
    return errno.EINVAL if wrong else 0


def _device(value: str, known: Sequence[str] | None) -> int:
    name = value.partition(" ")[0]
    if known is None or not name:
        return 0
    return errno.ENODEV if name not in ("default", *known) else 0


Rule = tuple["Callable[[str, Offers], int]", "Callable[[Offers], str]"]


def _range(low: int, high: int, unit: str = "") -> Rule:
    return (
        lambda value, offers: _between(value, low, high),
        lambda offers: f"{low} to {high}{unit}",
    )


def _listed(names: Sequence[str] | None) -> str:
    if names is None:
        return ""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more if names else "none: this host has no such device"


CPUS: Rule = (
    lambda value, offers: _outside(value, offers.cpus),
    lambda offers: f"of the processors {offers.cpus}" if offers.cpus else "",
)
MEMS: Rule = (
    lambda value, offers: _outside(value, offers.mems),
    lambda offers: f"of the memory nodes {offers.mems}" if offers.mems else "",
)
DISKS: Rule = (
    lambda value, offers: _device(value, offers.disks),
    lambda offers: _listed(offers.disks),
)
RDMA: Rule = (
    # In a network namespace of its own a device may not be seen from here.
    lambda value, offers: 0 if offers.rdma else _device(value, offers.rdma),
    lambda offers: _listed(offers.rdma),
)
INTERFACES: Rule = (
    lambda value, offers: _device(value, offers.interfaces),
    lambda offers: _listed(offers.interfaces),
)
BANDWIDTH: Rule = (
    lambda value, offers: _bandwidth(value),
    lambda offers: f"a quota of {QUOTA} or more in a period of {PERIODS[0]} to {PERIODS[1]} us",
)
PERIOD: Rule = (
    lambda value, offers: _between(value, *PERIODS) and errno.EINVAL,
    lambda offers: f"{PERIODS[0]} to {PERIODS[1]} us",
)
QUOTA_V1: Rule = (
    lambda value, offers: errno.EINVAL if value.isdecimal() and int(value) < QUOTA else 0,
    lambda offers: f"-1, or {QUOTA} us and more{offers.above}",
)
BURST: Rule = (lambda value, offers: 0, lambda offers: "0 to the quota")
RULES: Final[Mapping[str, Rule]] = {
    "cpuset.cpus": CPUS,
    "cpuset.mems": MEMS,
    "cpu.max": BANDWIDTH,
    "cpu.max.burst": BURST,
    "cpu.cfs_burst_us": BURST,
    "cpu.cfs_period_us": PERIOD,
    "cpu.cfs_quota_us": QUOTA_V1,
    "cpu.weight": _range(1, 10000),
    "cpu.weight.nice": _range(-20, 19),
    "cpu.idle": _range(0, 1),
    "io.max": DISKS,
    "io.latency": DISKS,
    "io.bfq.weight": (
        lambda value, offers: _device(value, offers.disks) if ":" in value else 0,
        lambda offers: f"1 to 1000; {DISKS[1](offers)}",
    ),
    "blkio.throttle.read_bps_device": DISKS,
    "blkio.throttle.write_bps_device": DISKS,
    "blkio.throttle.read_iops_device": DISKS,
    "blkio.throttle.write_iops_device": DISKS,
    "blkio.weight_device": DISKS,
    "blkio.bfq.weight_device": DISKS,
    "rdma.max": RDMA,
    "net_prio.ifpriomap": INTERFACES,
    "memory.swappiness": _range(0, 200),
    "memory.oom.group": _range(0, 1),
    "pids.max": (lambda value, offers: 0, lambda offers: f"max, or 0 to {MAX_TASKS}"),
}


def refusal(file: str, value: str, offers: Offers) -> int:
    """Return the errno with which the kernel refuses a value for sure; 0: it may take it."""
    there = offers.files.get(file.partition(".")[0])
    if there is not None and file not in there:
        return errno.ENOENT
    if file.startswith("hugetlb.") and offers.pages is not None:
        return errno.ENOENT if file.split(".")[1] not in offers.pages else 0
    rule = RULES.get(file)
    return rule[0](value, offers) if rule is not None else 0


def allowed(file: str, offers: Offers) -> str:
    """Say what the kernel takes in a control file; empty where there is no rule."""
    if file.startswith("hugetlb."):
        return ", ".join(offers.pages or ())
    rule = RULES.get(file)
    return rule[1](offers) if rule is not None else ""
