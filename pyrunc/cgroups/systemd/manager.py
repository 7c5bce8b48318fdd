# SPDX-License-Identifier: Apache-2.0
"""The systemd driver: the container is a transient scope (or slice); systemd owns its cgroup.

The unit is made when there is a process to put into it, so `prepare` and `apply` only look and
remember; `attach` starts the unit around the init, which waits, and then writes the limits and the
device program, all before the init goes on (CG-4). Resources are given to systemd as properties,
too, so that daemon-reload changes nothing.
"""

from __future__ import annotations

import os
import posix

from pyrunc.cgroups import delegate, enable, enter, freezer, layout, tree
from pyrunc.cgroups.base import Entry, View
from pyrunc.cgroups.fs import DESTROY_S, FsManager
from pyrunc.cgroups.limits import device_target
from pyrunc.cgroups.member import Cgroup
from pyrunc.cgroups.stats import oom
from pyrunc.cgroups.systemd import annotations as variants
from pyrunc.cgroups.systemd import unit_names, unit_properties
from pyrunc.cgroups.systemd.unit_names import Unit
from pyrunc.errors import Failure, HostError
from pyrunc.log import log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from typing import Any

    from pyrunc.cgroups.layout import Layout
    from pyrunc.cgroups.systemd.calls import Manager1
    from pyrunc.cgroups.systemd.unit_properties import Property
    from pyrunc.spec.model_resources import Resources


class SystemdManager(FsManager):
    def __init__(
        self,
        members: list[Cgroup],
        *,
        unit: Unit,
        container_id: str,
        rootless: bool,
        extra: list[Property] | None = None,
        started: bool = False,
        leaf: str = "",
        subgroup: str = "",
    ) -> None:
        super().__init__(members, driver="systemd", rootless=rootless, leaf=leaf)
        self.unit = unit
        self.container_id = container_id
        self.subgroup = subgroup  # the container's cgroup below the unit's, or nothing
        self.extra = extra or []
        self.started = started
        self.promised: Entry | None = None
        self.resources: Resources | None = None
        self.below = ""  # where in the unit a process is put that joins
        self.kills_above = -1  # of the slice, before the unit was started

    def record(self) -> dict[str, Any]:
        return {
            **super().record(),
            "unit": self.unit.name,
            "slice": self.unit.slice,
            "id": self.container_id,
            "subgroup": self.subgroup,
        }

    def view(self) -> View:
        found = super().view()
        found.enters = self.started
        return found

    def _manager(self) -> Manager1:
        from pyrunc.cgroups.systemd import calls

        return calls.connect(user=self.rootless)

    def _of_unit(self, member: Cgroup) -> Cgroup:
        """Open the cgroup of the unit itself, to look at it: the caller closes its leaf."""
        count = len(member.parts) - bool(self.subgroup)
        return Cgroup(member.hierarchy, parts=member.parts[:count], kept=min(member.kept, count))

    # -- making ------------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Refuse a cgroup that is in use or frozen; the unit itself is made by `attach`."""
        for member in map(self._of_unit, self.members):
            try:
                used = not self.unit.is_slice and member.kept == len(member.parts)
                if used and member.pids():
                    self.refuse_used(member)
                held = freezer.held_by(member, depth=member.kept)
            finally:
                member.close_fd()
            if held:
                raise Failure(
                    f"container's cgroup unexpectedly frozen: {held}",
                    pointer="/linux/cgroupsPath",
                    hint="resume what is paused there; a unit: `systemctl thaw` with its name",
                )

    def look(self) -> None:
        """`prepare` only looks."""
        self.check_leaf()
        self.prepare()

    def trial_base(self, member: Cgroup) -> int:
        """Return the depth of the manager's own cgroup: what is below its slices is systemd's."""
        return len(member.parts) - len(self.unit.parts()) - bool(self.subgroup)

    def apply(self, resources: Resources | None) -> None:
        """Check now that all can be applied; `attach` does it."""
        self.check_leaf()
        self.writes(resources)
        self.resources = resources

    def entry(self, *, clone: bool = True) -> Entry:
        """Before the unit exists there is nothing to open; `attach` fills in the leaf."""
        if self.started:
            return super().entry(clone=clone)
        self.promised = Entry("attach")
        return self.promised

    def exec_entry(self, init_pid: int, *, paths: Sequence[str] = (), clone: bool = True) -> Entry:
        """Return how `exec` enters the cgroup; a user's processes are moved by the user's systemd.

        A user may write to the container's cgroup, but not to the one above it and the
        caller's. The user's systemd has the whole branch and may.
        """
        if not self.rootless or self.unified is None:
            return super().exec_entry(init_pid, paths=paths, clone=clone)
        below = enter.parse_paths(paths, self.members) if paths else {}
        self.below = enter.places(
            self.members, below=below, init_pid=init_pid, leaf=bool(self.leaf)
        )[""]
        return Entry("attach")

    def attach(self, pid: int) -> None:
        """Start the unit with the process in it, then the limits; later: add a process to it.

        Until `settle` there is room for two processes where the first one forks.
        """
        manager = self._manager()
        try:
            if self.started:
                below = "/".join(filter(None, (self.subgroup, self.below)))
                manager.attach(self.unit.name, pid, below=below)
                return
            self.kills_above = self._kills_above()
            manager.start(
                self.unit.name,
                self._properties(pid, manager.version),
                slice_unit=self.unit.is_slice,
            )
            self.started = True
        finally:
            manager.close()
        for member in self.members:
            self._join(member, pid)
            if self.mark and not self.unit.is_slice:
                self._mark(member)
        self._limit()
        if self.leaf and self.unified is not None:
            delegate.make_leaf(self.unified, self.leaf)
            if self.promised is not None:
                self.promised.leaf = delegate.open_leaf(self.unified, self.leaf)

    def settle(self) -> None:
        """Let the limit of processes fall to what was asked for: the first one has forked."""
        wanted = self._resources_at_start()
        if wanted is not self.resources and self.resources is not None:
            self.update(wanted, self.resources)

    def _resources_at_start(self) -> Resources | None:
        return unit_properties.with_room(self.resources) if self.forks else self.resources

    def _mark(self, member: Cgroup) -> None:
        """`doctor` looks at the unit's cgroup, and at every other."""
        member.mark(self.mark)
        if self.subgroup:
            above = self._of_unit(member)
            above.mark(self.mark)
            above.close_fd()

    def _properties(self, pid: int, manager: int) -> list[Property]:
        properties = unit_properties.unit_properties(
            self.unit, container_id=self.container_id, pid=pid, version=self.version
        )
        properties += self._resource_properties(self._resources_at_start(), manager)
        # What annotations say comes last and wins, except for what they may not say at all.
        given = {name for name, _ in self.extra}
        return [item for item in properties if item[0] not in given] + self.extra

    def unit_properties(self, resources: Resources | None) -> list[tuple[str, str]]:
        """(name, value) of what systemd, the newest where none runs, will be told."""
        try:
            manager = self._manager()
        except Failure:
            version = unit_properties.NEWEST
        else:
            version = manager.version
            manager.close()
        self.resources = resources
        properties = self._properties(0, version)
        return [(name, unit_properties.show(*value)) for name, value in properties]

    def _resource_properties(self, resources: Resources | None, manager: int) -> list[Property]:
        properties = unit_properties.resource_properties(
            resources, version=self.version, manager=manager
        )
        access = device_target(resources)
        return properties + unit_properties.device_properties(
            access, manager=manager, classes=_device_classes
        )

    def _join(self, member: Cgroup, pid: int) -> None:
        """Hierarchies that systemd does not manage (v1), or where it put the process elsewhere."""
        alone = member is self.unified and self.pure
        if not alone and not member.present():
            self._prepare(member)
        elif not member.present():
            member.make()
        if pid not in tree.pids_at(member.open()):
            member.put("cgroup.procs", str(pid))
        if alone:
            # Not before: a scope that has processes and gives controllers to a cgroup below it
            # makes that a threaded one, or is refused.
            enable.enable(member)

    def _limit(self) -> None:
        pending = self.writes(self._resources_at_start())
        self.enable_needed(pending)
        self.put(pending)
        self.apply_devices(self.resources)

    # -- figures -----------------------------------------------------------------------------------

    def oom_kills(self) -> int:
        """When its last process ends systemd removes the cgroup at once; the slice still counts."""
        kills = super().oom_kills()
        member = self.find("memory")
        if kills or self.kills_above < 0 or member is None or member.present():
            return kills
        return max(0, self._kills_above() - self.kills_above)

    def _kills_above(self) -> int:
        member = self.find("memory")
        if member is None or len(member.parts) < 2:
            return -1
        parts = self._of_unit(member).parts[:-1]
        above = Cgroup(member.hierarchy, parts=parts, kept=len(parts))
        try:
            return oom.kills(above)
        finally:
            above.close_fd()

    # -- changing ----------------------------------------------------------------------------------

    def update(
        self,
        old: Resources | None,
        new: Resources,
        *,
        requested: Collection[str] = (),
        reclaim_s: float = 0.0,
    ) -> list[str]:
        """Write the control files, which can refuse; then tell systemd the same."""
        lines = super().update(old, new, requested=requested, reclaim_s=reclaim_s)
        if not lines or (self.moved_init and not self._loaded()):
            return lines
        manager = self._manager()
        try:
            before = self._resource_properties(old, manager.version)
            after = self._resource_properties(new, manager.version)
            changed = [item for item in after if item not in before]
            if any(name == "DeviceAllow" for name, _ in changed):
                changed = [item for item in changed if item[0] != "DeviceAllow"]
                changed += [item for item in after if item[0] == "DeviceAllow"]
            if changed:
                manager.set_properties(self.unit.name, changed)
                # systemd has written its rounded values: ours, which are exact, again.
                self.put(self.writes(new))
        except Failure:
            super().update(new, old or new, requested=requested)
            raise
        finally:
            manager.close()
        return lines

    # -- going away --------------------------------------------------------------------------------

    def destroy(self, *, limit_s: float = DESTROY_S) -> None:
        """Stop the unit if it is still there, then remove what is left of its cgroups.

        A unit that has failed (its time was up, it was killed for its memory) has no cgroup and
        stays loaded until it is reset.
        """
        if any(member.present() for member in self.ours()):
            self._ask(lambda manager: manager.stop(self.unit.name))
        elif self.ours() and self._loaded():
            try:
                self._ask(lambda manager: manager.reset(self.unit.name))
            except HostError as error:  # nothing of the container is left but a line in a list
                log.warning(str(error))
        super().destroy(limit_s=limit_s)

    def _ask(self, order: Callable[[Manager1], None]) -> None:
        manager = self._manager()
        try:
            order(manager)
        finally:
            manager.close()

    def _loaded(self) -> bool:
        """Whether systemd may still know the unit: its file is removed when it is forgotten."""
        above = f"/run/user/{posix.geteuid()}" if self.rootless else "/run"
        if self.rootless:
            above = os.environ.get("XDG_RUNTIME_DIR") or above
        units = f"{above}/systemd/transient"
        return not posix.access(units, posix.F_OK) or posix.access(
            f"{units}/{self.unit.name}", posix.F_OK
        )


def _device_classes() -> dict[tuple[str, int], str]:
    text = layout.read_whole("/proc/devices").decode("utf-8", "replace")
    return unit_properties.device_classes(text)


def resolve(
    layout: Layout,
    *,
    cgroups_path: str | None,
    container_id: str,
    rootless: bool,
    annotations: Mapping[str, str],
    leaf: str = "",
) -> SystemdManager:
    unit = unit_names.parse(cgroups_path, container_id=container_id, rootless=rootless)
    extra = variants.properties(annotations)
    top = _top(layout, rootless=rootless)
    subgroup = delegate.subgroup(annotations)
    parts = (*top, *unit.parts(), *((subgroup,) if subgroup else ()))
    members = [Cgroup.placed(one, parts) for one in layout.hierarchies]
    return SystemdManager(
        members,
        unit=unit,
        container_id=container_id,
        rootless=rootless,
        extra=extra,
        leaf=leaf,
        subgroup=subgroup,
    )


def _top(layout: Layout, *, rootless: bool) -> tuple[str, ...]:
    """Return the cgroup of the systemd that is asked: the caller's user manager or process 1."""
    if not rootless:
        return ()
    own = layout.hierarchies[-1].own
    parts = tuple(part for part in own.split("/") if part)
    for index, part in enumerate(parts):
        if part.startswith("user@") and part.endswith(".service"):
            return parts[: index + 1]
    from pyrunc.cgroups.systemd import calls

    manager = calls.connect(user=True)
    try:
        return tuple(part for part in manager.control_group.split("/") if part)
    finally:
        manager.close()


def from_record(record: Mapping[str, Any]) -> SystemdManager:
    unit = Unit(str(record["unit"]), str(record["slice"]))
    unit_names.check_slice(unit.slice)
    if not unit_names.UNIT_CHARACTERS.issuperset(unit.name):
        raise Failure("the saved state names no systemd unit")
    known: dict[str, tuple[str, ...]] = {}
    driver = SystemdManager(
        [Cgroup.from_record(item, known=known) for item in record["cgroups"]],
        unit=unit,
        container_id=str(record["id"]),
        rootless=bool(record["rootless"]),
        started=True,
        leaf=delegate.single(str(record["leaf"]), noun="the leaf"),
        subgroup=delegate.single(str(record["subgroup"]), noun="the sub-cgroup"),
    )
    driver.mark = str(record.get("mark", ""))
    return driver
