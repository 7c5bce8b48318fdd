# SPDX-License-Identifier: Apache-2.0
"""update: change the resource limits of a container, only those that are asked for."""

from __future__ import annotations

from pyrunc import jsontext
from pyrunc.cgroups import update
from pyrunc.cli.duration import duration_ms
from pyrunc.cli.output import emit
from pyrunc.errors import Failure, StateError, UsageError
from pyrunc.lifecycle.container import STOPPED, Container
from pyrunc.log import log
from pyrunc.spec.config import parse_resources
from pyrunc.spec.load import read_named

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from pyrunc.cli.flags import Args
    from pyrunc.errors import Problem
    from pyrunc.spec.model_resources import Resources

# flag -> (object, property, kind)
FLAGS = {
    "blkio-weight": ("blockIO", "weight", "number"),
    "cpu-period": ("cpu", "period", "number"),
    "cpu-quota": ("cpu", "quota", "number"),
    "cpu-burst": ("cpu", "burst", "number"),
    "cpu-share": ("cpu", "shares", "number"),
    "cpu-rt-period": ("cpu", "realtimePeriod", "number"),
    "cpu-rt-runtime": ("cpu", "realtimeRuntime", "number"),
    "cpuset-cpus": ("cpu", "cpus", "text"),
    "cpuset-mems": ("cpu", "mems", "text"),
    "cpu-idle": ("cpu", "idle", "number"),
    "memory": ("memory", "limit", "bytes"),
    "memory-reservation": ("memory", "reservation", "bytes"),
    "memory-swap": ("memory", "swap", "bytes"),
    "kernel-memory": ("memory", "kernel", "bytes"),
    "kernel-memory-tcp": ("memory", "kernelTCP", "bytes"),
    "pids-limit": ("pids", "limit", "number"),
}
MAX_DIGITS = 19
UNITS = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40, "p": 1 << 50}
MAX_RECLAIM_MS = 8000  # the container is locked meanwhile, and other commands wait for 10 s
RDT_FLAGS = ("l3-cache-schema", "mem-bw-schema")


def run(args: Args) -> int:
    container = Container.load(args.text("root"), args.positionals[0], lock=True)
    if container.status() == STOPPED:
        raise StateError(f"container not running: {container.id}")
    schemata = [args.text(name) for name in RDT_FLAGS if args.given(name)]
    if schemata and container.rdt() is None:
        raise StateError("updating a non-existent Intel RDT configuration is not supported")
    warnings: list[Problem] = []
    change = _read_change(args, allow_none=bool(schemata), warnings=warnings)
    reclaim_s = reclaim_seconds(args.text("reclaim"), change) if args.given("reclaim") else 0.0
    lines = apply_change(
        container,
        change,
        schemata=schemata,
        dry_run=args.flag("dry-run"),
        reclaim_s=reclaim_s,
    )
    log.misspelt(warnings)
    if args.flag("dry-run"):
        emit("".join(f"{line}\n" for line in lines))
    return 0


def apply_change(
    container: Container,
    change: dict[str, Any],
    *,
    schemata: Sequence[str] = (),
    dry_run: bool = False,
    reclaim_s: float = 0.0,
) -> list[str]:
    """Change what `change`, a partial linux.resources, names.

    Up to `reclaim_s` seconds are spent on making room below a lower limit of memory. Returns the
    writes that `dry_run` left undone, a line each. The container must be locked.
    """
    group = container.rdt()
    stored = container.state.get("resources") or {}
    old = parse_resources(jsontext.encode(stored).encode(), source="the stored resources")
    wanted = merge(stored, change)
    new = parse_resources(jsontext.encode(wanted).encode(), source="resources")
    manager = container.cgroup(now=True)
    manager.refuse_shared("update")
    requested = update.properties(_parse_partial(change))
    if dry_run:
        lines = manager.diff(old, new, requested=requested)
        return lines + (group.schemata_diff(list(schemata)) if group is not None else [])
    manager.update(old, new, requested=requested, reclaim_s=reclaim_s)
    for note in manager.notes():
        log.warning(note)
    if schemata and group is not None:
        try:
            group.write_schemata("\n".join(schemata))
        except Failure:
            manager.update(new, old)
            raise
    container.state = {**container.state, "resources": wanted}
    container.directory.save(container.state)
    return []


def _parse_partial(change: dict[str, Any]) -> Resources:
    return parse_resources(jsontext.encode(change).encode(), source="resources")


def _read_change(args: Args, *, allow_none: bool, warnings: list[Problem]) -> dict[str, Any]:
    """Return a partial linux.resources, from a file, standard input or flags.

    `warnings` is extended with those about the file.
    """
    if not args.given("resources"):
        return from_flags(args, allow_none=allow_none)
    data, source = read_named(args.text("resources"))
    parse_resources(data, source=source, warnings=warnings)
    change = jsontext.decode(data.decode())
    assert isinstance(change, dict)
    return change


def from_flags(args: Args, *, allow_none: bool = False) -> dict[str, Any]:
    """Return the properties that were given as flags."""
    change: dict[str, Any] = {}
    for flag, (group, name, kind) in FLAGS.items():
        if args.given(flag):
            text = args.text(flag)
            value = text if kind == "text" else number(text, flag=flag, units=kind == "bytes")
            change.setdefault(group, {})[name] = value
    memory = change.get("memory", {})
    if memory.get("limit") == -1 and "swap" not in memory:
        memory["swap"] = -1  # a limit of memory plus swap cannot be below no limit of memory
    if not change and not allow_none:
        raise UsageError("nothing to update: give a limit or --resources", usage="update")
    return change


def reclaim_seconds(text: str, change: dict[str, Any]) -> float:
    """Parse --reclaim, which needs a limit of memory in `change`; UsageError otherwise."""
    time_ms = duration_ms(text, flag="reclaim")
    if time_ms > MAX_RECLAIM_MS:
        raise UsageError(
            f"--reclaim {text[:32]} is too long: at most {MAX_RECLAIM_MS // 1000}s",
            hint="other commands wait for the container meanwhile: repeat the update instead",
        )
    limit = (change.get("memory") or {}).get("limit")
    high = str((change.get("unified") or {}).get("memory.max", ""))
    if not (isinstance(limit, int) and limit > 0) and not high.strip().isdecimal():
        raise UsageError("--reclaim needs a limit of memory to reach: give --memory, too")
    return time_ms / 1000


def number(text: str, *, flag: str, units: bool) -> int:
    """Parse a decimal number or -1; with `units` also 512m, 1GiB, 2gb."""
    if text == "-1":
        return -1
    digits, factor = _split_unit(text) if units else (text, 1)
    if not (digits.isascii() and digits.isdigit() and len(digits) <= MAX_DIGITS):
        allowed = "a number of bytes such as 512m, or -1" if units else "a decimal number, or -1"
        raise UsageError(f'invalid value "{text[:32]}" for --{flag}: it must be {allowed}')
    return int(digits) * factor


def _split_unit(text: str) -> tuple[str, int]:
    """Split a size into the digits and what the unit multiplies them by."""
    lower = text.lower()
    plain = lower.removesuffix("b")
    short = plain.removesuffix("i")
    if short[-1:] in UNITS and short:
        return short[:-1], UNITS[short[-1]]
    return plain, 1


IDLE = "cpu.idle"  # and the weights, as keys of unified
WEIGHTS = ("cpu.weight", "cpu.weight.nice")


def merge(stored: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """Merge a change into the stored resources: properties one by one, devices by their numbers."""
    result = dict(stored)
    for group, value in change.items():
        before = result.get(group)
        if isinstance(value, dict) and isinstance(before, dict):
            result[group] = _merge_group(before, value)
        elif value is not None:
            result[group] = value
    _settle_idle(result, change)
    return result


def _settle_idle(result: dict[str, Any], change: dict[str, Any]) -> None:
    """Forget what the kernel forgets: the weight of a group that becomes idle or is so no more.

    Raises Failure for a weight in unified while the group is idle, which has none.
    """
    cpu, unified = change.get("cpu") or {}, change.get("unified") or {}
    made_idle = cpu.get("idle") is not None or IDLE in unified
    weight = next((key for key in WEIGHTS if key in unified), "")
    if not made_idle and not weight and not cpu.get("shares"):
        return
    before = result.get("cpu") or {}, result.get("unified") or {}
    was_idle = before[0].get("idle") == 1 or before[1].get(IDLE, "0").strip() == "1"
    if weight and was_idle and not made_idle:
        raise Failure(
            f"{weight} cannot be changed while cpu.idle is 1",
            pointer=f"/unified/{weight}",
            hint="an idle cgroup has no weight: set cpu.idle to 0 (--cpu-idle 0) with it",
        )
    idle = {"idle"} if made_idle else set()
    forgotten = (
        {"shares", *idle} - cpu.keys() if made_idle or weight else set(),
        {*WEIGHTS, *(f"cpu.{name}" for name in idle)} - unified.keys(),
    )
    for group, stored, gone in zip(("cpu", "unified"), before, forgotten, strict=True):
        if stored:
            result[group] = {key: value for key, value in stored.items() if key not in gone}


def _merge_group(before: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    merged = dict(before)
    for name, value in change.items():
        present = merged.get(name)
        if isinstance(value, list) and isinstance(present, list) and _are_devices(value, present):
            by_device = {(one["major"], one["minor"]): one for one in (*present, *value)}
            merged[name] = list(by_device.values())
        elif value is not None:
            merged[name] = value
    return merged


def _are_devices(*lists: list[Any]) -> bool:
    return all(isinstance(one, dict) and "major" in one for items in lists for one in items)
