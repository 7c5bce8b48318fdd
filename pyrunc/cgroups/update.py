# SPDX-License-Identifier: Apache-2.0
"""Changing the resources of a running container: only what changed, in a safe order, or nothing.

A write is a candidate when its value differs from the one stored at the last create or update, or
when the caller asked for that property by name. The kernel's present value is read for each: equal
ones are dropped, the others are what `--dry-run` prints and what a roll-back restores.
"""

from __future__ import annotations

import errno

from pyrunc.cgroups import shrink
from pyrunc.cgroups.devices import rules as devices
from pyrunc.cgroups.limits import Manager, device_target
from pyrunc.cgroups.member import NOT_THERE, Cgroup
from pyrunc.cgroups.resources.writes import Write
from pyrunc.cgroups.stats import parse
from pyrunc.errors import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

    from pyrunc.spec.model_resources import Resources

PAGE = 4096
V1_UNLIMITED = 2**63 - PAGE
BYTES = ("memory.", "hugetlb.")
LISTS = ("cpuset.cpus", "cpuset.mems")
WEIGHTS = ("io.weight", "bfq.weight", "blkio.weight", "weight_device")


class Change:
    """One write that is due, and the kernel's value before it."""

    __slots__ = ("before", "member", "write")

    def __init__(self, member: Cgroup, *, write: Write, before: str) -> None:
        self.member = member
        self.write = write
        self.before = before

    def text(self) -> str:
        before = self.before or "(unset)"
        return f"{self.member.path}/{self.write.file}: {before} -> {self.write.value}"

    def inverse(self) -> Write | None:
        if not self.before:
            return None
        return Write(
            self.write.controller,
            file=self.write.file,
            value=self.before,
            pointer=self.write.pointer,
            group=self.write.group,
        )


# -- PURE ------------------------------------------------------------------------------------------


def subject(write: Write) -> str:
    """Return what a line of a file is about: the device, for io.max also the key."""
    first, _, rest = write.value.partition(" ")
    if write.file == "io.max":
        return f"{first} {rest.partition('=')[0]}"
    many = write.file.endswith("_device") or write.file in ("rdma.max", "net_prio.ifpriomap")
    if many or (write.file.startswith("io.") and ":" in first):
        return first
    return ""


def find(text: str, write: Write) -> str:
    """Find the present value behind a write, in the form in which it can be written again."""
    about = subject(write)
    if not about:
        return default_weight(text) if write.file.endswith(WEIGHTS) else text
    name, _, key = about.partition(" ")
    for line in text.splitlines():
        head, _, rest = line.partition(" ")
        if head != name:
            continue
        if not key:
            return line
        for pair in rest.split():
            if pair.startswith(f"{key}="):
                return f"{name} {pair}"
    if key:
        return f"{name} {key}=max"
    if ".throttle." in write.file:
        return f"{name} 0"
    return f"{name} default" if write.file.endswith(WEIGHTS) else ""


def default_weight(text: str) -> str:
    """Return the cgroup's own weight from a file that lists those of devices, too."""
    for line in text.splitlines():
        if ":" not in line.partition(" ")[0]:
            return line.removeprefix("default ")
    return text


def same(write: Write, present: str) -> bool:
    """Whether the kernel already has a value, which it may show in other words."""
    wanted = write.value
    if wanted == present:
        return True
    if write.file == "rdma.max":
        return set(wanted.split()) <= set(present.split())
    if write.file in LISTS:
        try:
            return sorted(set(parse.ranges(wanted))) == parse.ranges(present)
        except ValueError:
            return False
    if write.file.startswith(BYTES) and present.isdecimal():
        if wanted == "-1":
            return int(present) >= V1_UNLIMITED
        # Limits are kept in pages.
        return wanted.isdecimal() and int(wanted) // PAGE == int(present) // PAGE
    return False


def candidates(
    old: list[Write], new: list[Write], *, requested: Collection[str] = ()
) -> list[Write]:
    """Return the writes with a new value, and those whose property is in `requested`."""
    known = {(write.file, subject(write)): write.value for write in old}
    return [
        write
        for write in new
        if known.get((write.file, subject(write))) != write.value
        or any(write.pointer.endswith(f"/{name}") for name in requested)
    ]


def device_diff(old: devices.Access, new: devices.Access) -> list[str]:
    """Return the rules that come and go, as lines of `--dry-run`."""
    if old == new:
        return []
    lines = []
    if old.allow != new.allow:
        lines.append(f"devices: {'allow' if new.allow else 'deny'} all")
    verb = "deny" if new.allow else "allow"
    before = old.exceptions if old.allow == new.allow else {}
    for key, access in before.items():
        gone = access & ~new.exceptions.get(key, 0)
        if gone:
            lines.append(f"devices: - {verb} {devices.rule_text(key, gone)}")
    for key, access in new.exceptions.items():
        more = access & ~before.get(key, 0)
        if more:
            lines.append(f"devices: + {verb} {devices.rule_text(key, more)}")
    return lines


# -- impure ----------------------------------------------------------------------------------------


def changes(
    manager: Manager,
    old: Resources | None,
    new: Resources,
    *,
    requested: Collection[str] = (),
    enable: bool = True,
) -> list[Change]:
    """Return the due writes with the present values.

    `enable`: the controllers that they need are enabled.
    """
    _refuse_idle_shares(new, requested)
    pending = candidates(manager.writes(old), manager.writes(new), requested=requested)
    if enable:
        manager.enable_needed(pending)
    changed = []
    for write in pending:
        member = manager.find(write.controller)
        if member is None:
            continue
        chosen, present = _present(member, write, unset=not enable)
        if chosen is not None and not same(chosen, present):
            changed.append(Change(member, write=chosen, before=present))
    return changed


def _refuse_idle_shares(new: Resources, requested: Collection[str]) -> None:
    """Refuse shares for an idle cgroup, which has no weight."""
    if new.cpu is None or new.cpu.idle != 1 or "cpu/shares" not in requested:
        return
    if "cpu/idle" not in requested:
        raise Failure(
            "cpu.shares cannot be changed while cpu.idle is 1",
            pointer=f"{new.cpu.pointer}/shares",
            hint="an idle cgroup has no weight: set cpu.idle to 0 (--cpu-idle 0) with it",
        )


def _refuse_moved(manager: Manager, old: Resources | None, new: Resources) -> None:
    """Refuse to change device rules that are not in force: they went with the first cgroup."""
    if manager.moved_init and device_target(old) != device_target(new):
        raise Failure(
            "cannot change the device rules: the cgroup that had them is gone,"
            " and the container's init is in another",
            pointer=f"{new.pointer}/devices",
            hint="change limits alone",
        )


def _present(member: Cgroup, write: Write, *, unset: bool) -> tuple[Write | None, str]:
    """Return the write, or its substitute where its file is missing, and the file's value.

    `unset`: the file may be missing because its controller is not enabled yet.
    """
    try:
        return write, find(member.read(write.file), write)
    except OSError as error:
        if error.errno == errno.ENOENT and write.otherwise is not None:
            return _present(member, write.otherwise, unset=unset)
        if write.advisory and error.errno in NOT_THERE:
            member.note(write)
            return None, ""
        if error.errno in write.tolerate:
            return None, ""
        if error.errno == errno.ENOENT and unset and not _enabled(member, write.controller):
            return write, ""
        if error.errno in (errno.EACCES, errno.EINVAL, errno.EOPNOTSUPP):
            return write, ""  # a file that cannot be read, only written
        raise member.refused(write, error) from error


def _enabled(member: Cgroup, controller: str) -> bool:
    return member.hierarchy.version == 1 or controller in member.read("cgroup.controllers").split()


def diff(
    manager: Manager, old: Resources | None, new: Resources, *, requested: Collection[str] = ()
) -> list[str]:
    """Return the lines of `update --dry-run`; none when nothing would change."""
    due = changes(manager, old, new, requested=requested, enable=False)
    _refuse_moved(manager, old, new)
    lines = [change.text() for change in due]
    return lines + device_diff(device_target(old), device_target(new))


def perform(
    manager: Manager,
    old: Resources | None,
    new: Resources,
    *,
    requested: Collection[str] = (),
    reclaim_s: float = 0.0,
) -> list[str]:
    """Do it: all of it or, after a failure, nothing. Returns what `diff` would have shown.

    With `reclaim_s`, room below a lower limit of memory is made first, for that long at most.
    """
    _refuse_moved(manager, old, new)
    due = changes(manager, old, new, requested=requested)
    rules = device_diff(device_target(old), device_target(new))
    room = shrink.Room()
    written = room.written
    try:
        if reclaim_s:
            room.make(due, limit_s=reclaim_s)
        check_usage(due, new)
        written = due
        manager.put([change.write for change in due])
        if rules:
            manager.apply_devices(new, old=old, new=False)
        room.close(keep=due)
    except Failure as failure:
        lost = [*roll_back(written), *room.close()]
        if rules and written is due:
            try:
                manager.apply_devices(old, old=new, new=False)
            except Failure as again:
                lost.append(str(again))
        if lost:
            failure.detail = f"not restored: {'; '.join(lost)}"
        raise
    return [change.text() for change in due] + rules


def roll_back(due: list[Change]) -> list[str]:
    """Restore the values before, the last first; what could not be restored."""
    lost = []
    for member in dict.fromkeys(change.member for change in due):
        inverse = [
            write
            for change in reversed(due)
            if change.member is member and (write := change.inverse()) is not None
        ]
        for batch in _groups(inverse):
            try:
                member.apply(batch)
            except Failure as failure:
                lost.append(str(failure))
    return lost


def _groups(writes: list[Write]) -> list[list[Write]]:
    """Each ungrouped write alone, so that one failure keeps no other from being restored."""
    groups: list[list[Write]] = []
    for write in writes:
        if write.group and groups and groups[-1][0].group == write.group:
            groups[-1].append(write)
        else:
            groups.append([write])
    return groups


def check_usage(due: list[Change], new: Resources) -> None:
    """memory.checkBeforeUpdate: cgroup2 would kill processes to get below a limit."""
    if new.memory is None or not new.memory.check_before_update:
        return
    for change in due:
        if change.write.file != "memory.max" or not change.write.value.isdecimal():
            continue
        usage = int(change.member.read("memory.current"))
        try:
            peak = change.member.read("memory.peak")
        except OSError:  # this file is younger than the others
            peak = "unknown"
        if usage > int(change.write.value):
            raise Failure(
                f"unable to set memory limit to {change.write.value}"
                f" (current usage: {usage}, peak usage: {peak})",
                pointer=change.write.pointer,
            )


def properties(resources: Resources) -> set[str]:
    """Return the properties that a partial object sets, as `requested` names them."""
    return {
        f"{group}/{name}"
        for group in ("memory", "cpu", "pids", "blockIO")
        if (node := getattr(resources, type(resources).FIELDS[group][0])) is not None
        for name, (attribute, _, _) in type(node).FIELDS.items()
        if getattr(node, attribute) not in (None, ())
    }
