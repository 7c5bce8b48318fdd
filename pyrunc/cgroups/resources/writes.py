# SPDX-License-Identifier: Apache-2.0
"""A write to a control file, and the checks and conversions that v1 and v2 share. PURE."""

from __future__ import annotations

import errno

from pyrunc.cgroups import names
from pyrunc.errors import Failure
from pyrunc.spec.constants import UNIFIED_CORE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyrunc.spec.model_resources import Resources


CORE = "cgroup"  # in place of a controller: what every cgroup2 but the root has
UNSET_SWAPPINESS = 2**64 - 1


class Write:
    """One value for one control file.

    Writes with the same `group` depend on each other's old values: one that fails with EINVAL is
    tried again after the others. `otherwise` takes the place of a write whose file does not exist.
    `advisory`: a kernel may lack the control, which is noted and fails nothing; the file is read
    back, because there are kernels that take the value and forget it.
    """

    __slots__ = (
        "advisory",
        "controller",
        "file",
        "group",
        "otherwise",
        "pointer",
        "tolerate",
        "value",
    )

    def __init__(
        self,
        controller: str,
        *,
        file: str,
        value: object,
        pointer: str,
        tolerate: tuple[int, ...] = (),
        group: str = "",
        otherwise: Write | None = None,
        advisory: bool = False,
    ) -> None:
        self.controller = controller
        self.file = file
        self.value = str(value)
        self.pointer = pointer
        self.tolerate = tolerate
        self.group = group
        self.otherwise = otherwise
        self.advisory = advisory

    @property
    def needs_controller(self) -> bool:
        """Return whether the file is there only when the controller is enabled."""
        return not self.advisory and self.controller != CORE

    def __repr__(self) -> str:
        return f"{self.file}={self.value!r}"


def not_on(version: int, name: str, pointer: str, *, hint: str = "") -> Failure:
    return Failure(
        f"{name} cannot be applied: cgroup v{version} has no such control",
        pointer=pointer,
        hint=hint,
    )


def swappiness(resources: Resources) -> int | None:
    """None: unset, which engines also write as -1, an unsigned number of 64 bits to the model."""
    value = resources.memory.swappiness if resources.memory is not None else None
    return None if value == UNSET_SWAPPINESS else value


def swap_total(resources: Resources) -> int | None:
    """memory.swap as the sum that the configuration means: None unset, -1 unlimited."""
    memory = resources.memory
    if memory is None:
        return None
    limit, swap = memory.limit or 0, memory.swap or 0
    if limit == -1 and swap == 0:
        # No limit on memory leaves no sensible limit on the sum.
        return -1
    if swap == 0:
        return None
    if swap > 0:
        if limit == 0:
            raise Failure(
                "unable to set swap limit without memory limit", pointer=f"{memory.pointer}/swap"
            )
        if 0 < swap < limit:
            raise Failure(
                f"memory+swap limit should be >= memory limit ({swap} < {limit})",
                pointer=f"{memory.pointer}/swap",
            )
    return swap


def pids_value(limit: int | None) -> str | None:
    """0 would forbid the container's own init; systemd cannot express it either, so it means 1."""
    if limit is None:
        return None
    return "max" if limit < 0 else str(limit or 1)


def page_size(size: str, pointer: str) -> str:
    """Return a huge page size as in file names: 64KB, 2MB, 1GB."""
    if (
        size[-2:] not in ("KB", "MB", "GB")
        or not size[:-2].isdecimal()
        or not size.isascii()
        or len(size) > 16
    ):
        raise Failure(
            f"huge page size {size[:64]!r} is not valid: write it like 2MB", pointer=pointer
        )
    return size


def rdma(resources: Resources) -> Iterator[Write]:
    """One line per device; the file is the same on v1 and v2."""
    for device, limits in resources.rdma.items():
        parts = [device]
        if limits.hca_handles is not None:
            parts.append(f"hca_handle={limits.hca_handles}")
        if limits.hca_objects is not None:
            parts.append(f"hca_object={limits.hca_objects}")
        if not device or any(letter.isspace() or ord(letter) < 32 for letter in device):
            raise Failure(f"rdma device {device[:64]!r} is not valid", pointer=limits.pointer)
        if len(parts) > 1:
            yield Write("rdma", file="rdma.max", value=" ".join(parts), pointer=limits.pointer)


def cpuset(resources: Resources) -> Iterator[Write]:
    """Return the writes of the cpuset controller, the same on both versions."""
    node = resources.cpu
    if node is None:
        return
    if node.cpus:
        yield Write("cpuset", file="cpuset.cpus", value=node.cpus, pointer=f"{node.pointer}/cpus")
    if node.mems:
        yield Write("cpuset", file="cpuset.mems", value=node.mems, pointer=f"{node.pointer}/mems")


def hugetlb(resources: Resources, *, suffix: str) -> Iterator[Write]:
    for item in resources.hugepage_limits:
        name = f"hugetlb.{page_size(item.page_size, item.pointer)}"
        yield Write("hugetlb", file=f"{name}.{suffix}", value=item.limit, pointer=item.pointer)
        # Kernels before 5.7 have no limit on reservations.
        yield Write(
            "hugetlb",
            file=f"{name}.rsvd.{suffix}",
            value=item.limit,
            pointer=item.pointer,
            tolerate=(errno.ENOENT,),
        )


def unified(resources: Resources) -> Iterator[Write]:
    for key, value in resources.unified.items():
        pointer = f"{resources.pointer}/unified/{key}"
        names.control_file(key, pointer=pointer)
        if key.startswith("cgroup.") and key not in UNIFIED_CORE:
            raise Failure(f"unified key {key!r} is not a resource", pointer=pointer)
        controller = key.partition(".")[0]
        for line in value.split("\n"):
            if line:
                yield Write(controller, file=key, value=line, pointer=pointer)
