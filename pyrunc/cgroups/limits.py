# SPDX-License-Identifier: Apache-2.0
"""Resources of one container: what would be written, writing it, and changing it while it runs."""

from __future__ import annotations

import errno

from pyrunc.cgroups import enable
from pyrunc.cgroups.devices import rules, v1
from pyrunc.cgroups.group import CgroupSet
from pyrunc.cgroups.resources import convert
from pyrunc.cgroups.resources.writes import CORE
from pyrunc.errors import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from pyrunc.cgroups.member import Cgroup
    from pyrunc.cgroups.resources.writes import Write
    from pyrunc.spec.model_resources import Resources

NO_PERMISSION = "rootless needs no limits + no cgrouppath when no permission is granted for cgroups"


class Manager(CgroupSet):
    """What a driver offers to the rest of the program; `cgroups.resolve` and `from_record` give it.

    In the order of a container's life:

    * `record`, `view`, `paths`, `planned`: facts for the state, the plan and `explain`; nothing
      need exist
    * `prepare`, `apply`: make the cgroups, then limits and device rules while they are empty
    * `entry`, `attach`, `give`, `give_controllers`: let the init in, hand the cgroup over
    * `exec_entry`: let a later process in
    * `pids`, `kill`, `signal`, `freeze`, `thaw`, `frozen`: the processes (in `group`)
    * `stats`, `oom_kills`, `watch_oom`: figures (in `group`)
    * `diff`, `update`, `notes`: change limits, and what was asked for and is not in force
    * `destroy`, `close`: remove the cgroups; let go of the descriptors

    `fs.FsManager` and `systemd.manager.SystemdManager` complete it: `prepare`, `entry`,
    `exec_entry`, `attach`, `destroy` are theirs. Methods raise Failure.
    """

    # -- what would be written ---------------------------------------------------------------------

    def writes(self, resources: Resources | None) -> list[Write]:
        """Return the writes for the controllers of this host, enabled or not."""
        if resources is None:
            return []
        versions = self._versions()
        try:
            return convert.to_writes(resources, versions=versions, default=self.version)
        except convert.Unavailable as missing:
            if self.denied:
                raise Failure(NO_PERMISSION, pointer=missing.pointer, errno=errno.EACCES) from None
            if self.unified is not None:
                missing.hint = enable.explain(self.unified, missing.controller) or missing.hint
            raise

    def _versions(self) -> dict[str, int]:
        """Return controller -> version of its hierarchy."""
        versions = {
            controller: 1 for member in self.members for controller in member.hierarchy.controllers
        }
        if self.unified is not None:
            for name in (*enable.offered(self.unified), CORE):
                versions.setdefault(name, 2)
        return versions

    def planned(self, resources: Resources | None) -> list[tuple[str, str]]:
        """(file, value) of every write that `apply` will do, for `explain`; nothing need exist."""
        writes = []
        for write in self.writes(resources):
            member = self.find(write.controller)
            if member is not None and write.needs_controller:
                self._refuse_unattainable(member, write)
                writes.append((f"{member.path}/{write.file}", write.value))
        writes.extend(self._planned_devices(resources))
        return writes

    def _refuse_unattainable(self, member: Cgroup, write: Write) -> None:
        # systemd enables what its units ask for.
        if member.hierarchy.version == 2 and self.driver == "cgroupfs":
            why = enable.obstacle(member, write.controller)
            if why:
                raise convert.Unavailable(write, hint=why)

    def _planned_devices(self, resources: Resources | None) -> Iterator[tuple[str, str]]:
        member = self.find("devices")
        if member is None:
            return
        access = device_target(resources)
        if member.hierarchy.version == 1:
            # A new cgroup starts with its parent's list; on a host that is everything.
            for file, line in rules.transition(rules.Access(True), access):
                yield f"{member.path}/{file}", line
        else:
            yield f"{member.path} (device program)", rules.describe(access)

    def unit_properties(self, resources: Resources | None) -> list[tuple[str, str]]:
        """(name, value) of what a service manager will be told, for `explain`: none by default."""
        return []

    # -- writing -----------------------------------------------------------------------------------

    def apply(self, resources: Resources | None) -> None:
        """All limits and the device rules; the cgroups must be empty."""
        pending = self.writes(resources)
        if pending:
            self.enable_needed(pending)
            self.put(pending)
        self.apply_devices(resources)

    def put(self, pending: list[Write]) -> None:
        """Do the writes in their order, those for one hierarchy in a row together."""
        batch: list[Write] = []
        owner: Cgroup | None = None
        for write in pending:
            member = self.find(write.controller)
            if member is not owner and owner is not None:
                owner.apply(batch)
                batch = []
            owner = member
            batch.append(write)
        if owner is not None:
            owner.apply(batch)

    def enable_needed(self, pending: list[Write]) -> None:
        """Give the cgroup2 the controllers that resources need and that it lacks."""
        member = self.unified
        if member is None:
            return
        asked = [
            write
            for write in pending
            if self.find(write.controller) is member and write.needs_controller
        ]
        wanted = {write.controller for write in asked}
        if not wanted or (member.controllers is not None and wanted <= member.controllers):
            return
        have = enable.enable(member, wanted=wanted)
        for write in asked:
            if write.controller not in have:
                raise convert.Unavailable(write, hint=enable.explain(member, write.controller))

    def apply_devices(
        self,
        resources: Resources | None,
        *,
        old: Resources | None = None,
        new: bool = True,
        member: Cgroup | None = None,
    ) -> None:
        """Apply device rules; `new`: no program is attached yet, `old`: the rules in force.

        `member`: not the container's own cgroup, but this one.
        """
        member = member or self.find("devices")
        if member is None:
            return
        access = device_target(resources)
        if member.hierarchy.version == 1:
            before = None if new else device_target(old)
            v1.apply(member, access, new=new, old=before, lenient=self.rootless)
        else:
            from pyrunc.cgroups.devices import attach

            attach.apply(member.open(), access, new=new, lenient=self.rootless)

    # -- changing ----------------------------------------------------------------------------------

    def update(
        self,
        old: Resources | None,
        new: Resources,
        *,
        requested: Collection[str] = (),
        reclaim_s: float = 0.0,
    ) -> list[str]:
        """Change a running container from `old` to `new`; what was changed, a line each.

        Up to `reclaim_s` seconds are spent on room below a lower limit of memory.
        """
        from pyrunc.cgroups import update

        return update.perform(self, old, new, requested=requested, reclaim_s=reclaim_s)

    def diff(
        self, old: Resources | None, new: Resources, *, requested: Collection[str] = ()
    ) -> list[str]:
        """List what `update` would change."""
        from pyrunc.cgroups import update

        return update.diff(self, old, new, requested=requested)


def device_target(resources: Resources | None) -> rules.Access:
    return rules.target(resources.devices if resources is not None else ())
