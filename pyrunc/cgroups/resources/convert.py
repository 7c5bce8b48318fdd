# SPDX-License-Identifier: Apache-2.0
"""Convert linux.resources to the list of writes for a host with v1 and v2 hierarchies. PURE.

The controllers are visited in the order in which they must be written. A property whose controller
is nowhere on this host is an error: it was asked for and cannot be applied (AR-6).
"""

from __future__ import annotations

from pyrunc.cgroups.resources import convert_v1, convert_v2, writes
from pyrunc.cgroups.resources.writes import Write
from pyrunc.errors import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyrunc.spec.model_resources import Resources

# Which properties of linux.resources make a controller needed at all: a create converts only what
# is present.
PRESENT = (
    ("pids", "pids"),
    ("memory", "memory"),
    ("blkio", "block_io"),
    ("cpu", "cpu"),
    ("cpuset", "cpu"),
    ("hugetlb", "hugepage_limits"),
    ("rdma", "rdma"),
    ("net_cls", "network"),
    ("net_prio", "network"),
)
V2_NAMES = {"blkio": "io"}
WEIGHTS = ("cpu.weight", "cpu.weight.nice")


def to_writes(
    resources: Resources | None, *, versions: Mapping[str, int], default: int
) -> list[Write]:
    """`versions`: controller -> 1 or 2, for all that this host has; `default`: for the others."""
    if resources is None:
        return []
    writes: list[Write] = []
    for controller, attribute in PRESENT:
        if not getattr(resources, attribute):
            continue
        version = versions.get(controller) or versions.get(V2_NAMES.get(controller, ""), default)
        table = convert_v1.CONVERTERS if version == 1 else convert_v2.CONVERTERS
        convert = table.get(controller)
        if convert is not None:
            writes.extend(convert(resources))
    if resources.unified:
        writes.extend(_unified(resources, versions))
    for write in writes:
        if write.controller not in versions:
            raise Unavailable(write)
    return writes


def _unified(resources: Resources, versions: Mapping[str, int]) -> list[Write]:
    planned = sorted(writes.unified(resources), key=lambda write: write.file != "cpu.idle")
    idle = resources.cpu is not None and resources.cpu.idle == 1
    if resources.unified.get("cpu.idle", str(int(idle))).strip() == "1":
        # As for the shares: an idle group has no weight, the kernel answers EINVAL.
        planned = [write for write in planned if write.file not in WEIGHTS]
    for write in planned:
        if versions.get(write.controller) == 1:
            raise Failure(
                f"unified resource {write.file} cannot be applied:"
                f" {write.controller} is a cgroup v1 controller here",
                pointer=write.pointer,
                hint="use the property of linux.resources that stands for it on both versions",
            )
    return planned


class Unavailable(Failure):
    """No hierarchy of this host has the controller that a resource needs."""

    def __init__(self, write: Write, *, hint: str = "") -> None:
        super().__init__(
            f"controller {write.controller} not available:"
            f" cannot write {write.value!r} to {write.file}",
            pointer=write.pointer,
            hint=hint or "the kernel lacks this controller, or it is not mounted or not enabled",
        )
        self.controller = write.controller
