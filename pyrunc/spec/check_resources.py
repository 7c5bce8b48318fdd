# SPDX-License-Identifier: Apache-2.0
"""Rules of resources. What a controller of the host can do is checked where it is used. PURE."""

from __future__ import annotations

from pyrunc.spec.check_process import check_list
from pyrunc.spec.constants import UNIFIED_CORE
from pyrunc.spec.limits import MAX_TASKS
from pyrunc.spec.problems import Problems, join, show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.spec.model_resources import (
        BlockIo,
        Cpu,
        DeviceRule,
        Memory,
        Network,
        Rdma,
        Resources,
        WeightDevice,
    )

WEIGHTS = (10, 1000)  # 0 is unset
UNSET_SWAPPINESS = 2**64 - 1  # -1 as an unsigned number, which engines write for "unset"
MAX_SWAPPINESS = 200  # since Linux 5.8; 100 before
KEY_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-")


def check_resources(resources: Resources, problems: Problems, *, partial: bool = False) -> None:
    """`partial`: the rest of the limits is that of a running container (`update`)."""
    pointer = resources.pointer
    for rule in resources.devices:
        _device_rule(rule, problems)
    if resources.memory is not None:
        _memory(resources.memory, problems, partial=partial)
    if resources.cpu is not None:
        _cpu(resources.cpu, problems)
    if resources.pids is not None and (resources.pids.limit or 0) > MAX_TASKS:
        allowed = f"at most {MAX_TASKS}, or -1 for unlimited"
        problems.kind(f"{resources.pids.pointer}/limit", resources.pids.limit, allowed)
    if resources.block_io is not None:
        _block_io(resources.block_io, problems)
    for limit in resources.hugepage_limits:
        if limit.has("page_size") and not _is_page_size(limit.page_size):
            problems.kind(limit.pointer + "/pageSize", limit.page_size, "such as 64KB, 2MB, 1GB")
    if resources.network is not None:
        _network(resources.network, problems)
    for name, device in resources.rdma.items():
        _rdma(name, device, problems)
    for key in resources.unified:
        _unified(key, join(pointer + "/unified", key), problems)


def is_component(name: str) -> bool:
    """One component of a path that names something below a directory."""
    return bool(name) and name not in (".", "..") and "/" not in name and name.isprintable()


def _device_rule(rule: DeviceRule, problems: Problems) -> None:
    pointer = rule.pointer + "/access"
    if not rule.access:
        if not problems.touches(rule.pointer):
            problems.add(
                rule.pointer, "a device rule needs 'access'", allowed="a composition of r, w, m"
            )
    elif not set(rule.access) <= set("rwm") or len(set(rule.access)) != len(rule.access):
        problems.kind(pointer, rule.access, "a composition of r, w, m")


def _memory(memory: Memory, problems: Problems, *, partial: bool) -> None:
    pointer = memory.pointer
    limit, swap = memory.limit or 0, memory.swap or 0
    for name in ("limit", "reservation", "swap", "kernel", "kernelTCP"):
        attribute = "kernel_tcp" if name == "kernelTCP" else name
        value = getattr(memory, attribute)
        if value is not None and value < -1:
            problems.kind(f"{pointer}/{name}", value, "bytes, or -1 for unlimited")
    if memory.kernel and memory.kernel > 0:
        problems.warn(
            pointer + "/kernel",
            "applied only where the kernel can: cgroup v2 and Linux 5.16 have no such limit",
        )
    if swap > 0 and limit == 0 and not partial:
        problems.add(pointer + "/swap", "unable to set swap limit without memory limit")
    elif 0 < swap < limit:
        problems.add(
            pointer + "/swap",
            "memory+swap limit should be >= memory limit",
            value=str(swap),
            allowed=f"at least {limit}",
        )
    swappiness = memory.swappiness
    if swappiness is not None and swappiness not in (*range(MAX_SWAPPINESS + 1), UNSET_SWAPPINESS):
        problems.kind(pointer + "/swappiness", swappiness, f"0 to {MAX_SWAPPINESS}")


def _cpu(cpu: Cpu, problems: Problems) -> None:
    pointer = cpu.pointer
    if cpu.burst and cpu.quota and 0 < cpu.quota < cpu.burst:
        problems.kind(pointer + "/burst", cpu.burst, f"at most the quota, {cpu.quota}")
    if cpu.idle is not None and cpu.idle not in (0, 1):
        problems.kind(pointer + "/idle", cpu.idle, "0 or 1")
    if cpu.idle == 1 and cpu.shares:
        problems.warn(pointer + "/shares", "ignored: an idle cgroup (cpu.idle is 1) has no weight")
    check_list(cpu.cpus, pointer + "/cpus", problems, of="CPUs")
    check_list(cpu.mems, pointer + "/mems", problems, of="memory nodes")


def _block_io(block_io: BlockIo, problems: Problems) -> None:
    low, high = WEIGHTS
    weighted: list[BlockIo | WeightDevice] = [block_io, *block_io.weight_device]
    for entry in weighted:
        for name, weight in (("weight", entry.weight), ("leafWeight", entry.leaf_weight)):
            if weight and not low <= weight <= high:
                problems.kind(f"{entry.pointer}/{name}", weight, f"{low} to {high}, or 0 for unset")
    for device in block_io.weight_device:
        given = device.has("weight") or device.has("leaf_weight")
        if not given and not problems.touches(device.pointer):
            problems.add(device.pointer, "at least one of weight and leafWeight is required")


def _is_page_size(text: str) -> bool:
    number, unit = text[:-2], text[-2:]
    is_number = number.isascii() and number.isdigit() and number[0] != "0" and len(number) < 8
    return unit in ("KB", "MB", "GB") and is_number


def _network(network: Network, problems: Problems) -> None:
    for entry in network.priorities:
        if entry.has("name") and (not is_component(entry.name) or " " in entry.name):
            problems.kind(entry.pointer + "/name", entry.name, "the name of a network interface")


def _rdma(name: str, device: Rdma, problems: Problems) -> None:
    if not is_component(name) or " " in name:
        problems.add(device.pointer, "not the name of an RDMA device", value=show(name))
    elif not problems.touches(device.pointer) and not (
        device.has("hca_handles") or device.has("hca_objects")
    ):
        problems.add(device.pointer, "at least one of hcaHandles and hcaObjects is required")


def _unified(key: str, pointer: str, problems: Problems) -> None:
    """`controller.parameter`: a file of the container's cgroup, nothing else."""
    controller, dot, parameter = key.partition(".")
    if not (controller and dot and parameter) or len(key) > 64 or not set(key) <= KEY_CHARACTERS:
        problems.add(
            pointer,
            "not a file of a cgroup controller",
            value=show(key),
            allowed="controller.parameter, such as memory.high",
        )
    elif controller == "cgroup" and key not in UNIFIED_CORE:
        problems.add(
            pointer,
            f"unified key {key!r} is not a resource",
            allowed=f"a file of a controller, or {', '.join(UNIFIED_CORE)}",
        )
