# SPDX-License-Identifier: Apache-2.0
"""The fs driver: the container's cgroups made directly in the mounted hierarchies, v1, v2 or both.

Limits are complete before a task of the container enters (CG-4). Which of the hierarchies a
controller is on decides how its resources are converted, so a hybrid host needs no code of its own.
With no hierarchy at all this is the disabled driver: requests for limits are errors, everything
else is empty.
"""

from __future__ import annotations

import errno
import posix
import time

from pyrunc.cgroups import convert, cpuset, devices, devices_v1, enable, freezer, kill, place, tree
from pyrunc.cgroups.base import Entry, View
from pyrunc.cgroups.member import DENIED, Member
from pyrunc.errors import Failure, HostError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from pyrunc.cgroups.layout import Layout
    from pyrunc.cgroups.writes import Write
    from pyrunc.spec.model_resources import Resources

DESTROY_S = 2.0
# The hierarchy whose list of processes stands for the container's, best first.
LISTING = ("freezer", "devices", "pids")
NO_PERMISSION = "rootless needs no limits + no cgrouppath when no permission is granted for cgroups"


class FsManager:
    def __init__(
        self,
        members: list[Member],
        *,
        driver: str = "cgroupfs",
        rootless: bool = False,
        optional: bool = False,
    ) -> None:
        self.driver = driver
        self.members = members
        self.rootless = rootless
        # Nobody asked for a place: a rootless caller without permission runs where it is.
        self.optional = optional
        self.denied: list[Member] = []

    # -- known before anything is made
    # ---------------------------------------------------------------------------

    @classmethod
    def resolve(
        cls, layout: Layout, *, cgroups_path: str | None, container_id: str, rootless: bool
    ) -> FsManager:
        members = [
            Member.placed(
                hierarchy,
                place.parts_for(hierarchy, cgroups_path=cgroups_path, container_id=container_id),
            )
            for hierarchy in layout.hierarchies
        ]
        return cls(members, rootless=rootless, optional=rootless and not cgroups_path)

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> FsManager:
        return cls(
            [Member.from_record(item) for item in record["cgroups"]],
            driver=str(record["driver"]),
            rootless=bool(record["rootless"]),
            optional=bool(record["optional"]),
        )

    def record(self) -> dict[str, object]:
        return {
            "driver": self.driver,
            "rootless": self.rootless,
            "optional": self.optional,
            "cgroups": [member.record() for member in self.members],
        }

    def paths(self) -> dict[str, str]:
        """Controller -> path, "" for cgroup2: the form in which other programs know them."""
        found = {}
        for member in self.members:
            for controller in member.hierarchy.controllers or (member.hierarchy.name,):
                found[controller] = member.path
        return found

    def view(self) -> View:
        version = 1 if any(member.hierarchy.version == 1 for member in self.members) else 2
        return View(
            version,
            tuple((member.hierarchy, "/" + "/".join(member.parts)) for member in self.members),
        )

    # -- making ------------------------------------------------------------------------------------
    # --------------

    def prepare(self) -> None:
        """Make the cgroups. One that exists must be empty and not frozen."""
        for member in self.members:
            try:
                self._prepare(member)
            except HostError as error:
                if not (self.optional and error.errno in DENIED):
                    raise
                self.denied.append(member)
        if self.denied:
            self.members = [member for member in self.members if member not in self.denied]

    def _prepare(self, member: Member) -> None:
        if not member.make():
            self._refuse_used(member)
        controllers = member.hierarchy.controllers
        if "freezer" in controllers:
            self._refuse_frozen(member, "freezer.state", "THAWED")
        elif "cpuset" in controllers:
            cpuset.initialise(member)
        elif member.hierarchy.version == 2:
            self._refuse_frozen(member, "cgroup.events", "frozen 0")
            if (
                len(self.members) == 1
            ):  # a hybrid host's cgroup2 keeps the setting that its owner chose
                enable.enable(member)

    def _refuse_used(self, member: Member) -> None:
        count = len(tree.subtree_pids(member.open()))
        if count:
            raise Failure(
                f"container's cgroup is not empty: {count} process(es) found in {member.path}",
                pointer="/linux/cgroupsPath",
                hint="choose another cgroupsPath, or end the processes that are there",
            )
        member.claimed = True

    def _refuse_frozen(self, member: Member, file: str, thawed: str) -> None:
        if thawed not in member.read(file):
            raise Failure(
                f"container's cgroup unexpectedly frozen: {member.path}",
                hint="it, or a parent of it, is paused: resume it first",
            )

    # -- resources ---------------------------------------------------------------------------------
    # --------------

    def _find(self, controller: str) -> Member | None:
        for member in self.members:
            if controller in member.hierarchy.controllers or member.hierarchy.version == 2:
                return member  # the cgroup2 is the last
        return None

    def _versions(self, *, made: bool) -> dict[str, int]:
        """Controller -> version of its hierarchy: what the host has or, once made, the cgroup."""
        found = {
            controller: 1 for member in self.members for controller in member.hierarchy.controllers
        }
        for member in self.members:
            if member.hierarchy.version == 2:
                for name in self._offered(member, made=made):
                    found.setdefault(name, 2)
        return found

    def _offered(self, member: Member, *, made: bool) -> list[str]:
        if made and len(self.members) == 1:
            return member.read("cgroup.controllers").split()
        top = member.open_top()
        try:
            return tree.read_text(top, "cgroup.controllers").split()
        finally:
            posix.close(top)

    def writes(self, resources: Resources | None, *, made: bool) -> list[Write]:
        if resources is None:
            return []
        versions = self._versions(made=made)
        default = 2 if self.members and self.members[0].hierarchy.version == 2 else 1
        try:
            return convert.to_writes(resources, versions=versions, default=default)
        except convert.Unavailable as missing:
            if self.denied:
                raise Failure(NO_PERMISSION, pointer=missing.pointer, errno=errno.EACCES) from None
            last = self.members[-1] if self.members else None
            if last is not None and last.hierarchy.version == 2:
                missing.hint = enable.explain(last, missing.controller) or missing.hint
            raise

    def planned(self, resources: Resources | None) -> list[tuple[str, str]]:
        """(file, value) of every write that `apply` will do, for `explain`; nothing need exist."""
        found = []
        for write in self.writes(resources, made=False):
            member = self._find(write.controller)
            if member is not None:
                found.append((f"{member.path}/{write.file}", write.value))
        found.extend(self._planned_devices(resources))
        return found

    def _planned_devices(self, resources: Resources | None) -> Iterator[tuple[str, str]]:
        member = self._find("devices")
        if member is None:
            return
        access = devices.target(resources.devices if resources is not None else ())
        if member.hierarchy.version == 1:
            # A new cgroup starts with its parent's list; on a host that is everything.
            for file, line in devices.transition(devices.Access(True), access):
                yield f"{member.path}/{file}", line
        else:
            yield f"{member.path} (device program)", devices.describe(access)

    def apply(self, resources: Resources | None) -> None:
        """All limits and the device rules; the cgroups must be empty."""
        pending = self.writes(resources, made=True)
        if pending:
            self._enable_needed(pending)
            self.put(pending)
        self._apply_devices(resources)

    def put(self, pending: list[Write]) -> None:
        """Do the writes in their order, those for one hierarchy in a row together."""
        batch: list[Write] = []
        owner: Member | None = None
        for write in pending:
            member = self._find(write.controller)
            if member is not owner and owner is not None:
                owner.apply(batch)
                batch = []
            owner = member
            batch.append(write)
        if owner is not None:
            owner.apply(batch)

    def _enable_needed(self, pending: list[Write]) -> None:
        """On a hybrid host the cgroup2 gets a controller when a resource needs it."""
        last = self.members[-1] if self.members else None
        if last is None or last.hierarchy.version == 1 or len(self.members) == 1:
            return
        wanted = {w.controller for w in pending if self._find(w.controller) is last}
        if wanted:
            missing = wanted - enable.enable(last, wanted=wanted)
            for controller in missing:
                raise HostError(
                    f"controller {controller} not available in {last.path}",
                    hint=enable.explain(last, controller),
                )

    def _apply_devices(self, resources: Resources | None) -> None:
        member = self._find("devices")
        if member is None:
            return
        access = devices.target(resources.devices if resources is not None else ())
        if member.hierarchy.version == 1:
            devices_v1.apply(member, access)
        else:
            from pyrunc.cgroups import bpf

            bpf.apply(member.open(), access, lenient=self.rootless)

    # -- entering ----------------------------------------------------------------------------------
    # --------------

    def entry(self, *, clone: bool = True) -> Entry:
        """For a task that enters by itself. Without `clone` it enters a cgroup2 by writing, too."""
        if not self.members:
            return Entry("none")
        into = -1
        fds: list[int] = []
        try:
            for member in self.members:
                if member.hierarchy.version == 1:
                    fds.append(posix.open("tasks", tree.WRITE, dir_fd=member.open()))
                elif clone:
                    into = posix.dup(member.open())
                else:
                    fds.append(posix.open("cgroup.procs", tree.WRITE, dir_fd=member.open()))
        except OSError as error:
            Entry("tasks", fds=tuple(fds), into=into).close()
            raise Failure("cannot open the container's cgroup", errno=error.errno or 0) from error
        return Entry("tasks" if fds else "into", fds=tuple(fds), into=into)

    def attach(self, pid: int) -> None:
        """Move a process (with its threads) into the cgroups from outside."""
        for member in self.members:
            try:
                member.put("cgroup.procs", str(pid))
            except OSError as error:
                raise Failure(
                    f"cannot move process {pid} into {member.path}", errno=error.errno or 0
                ) from error

    # -- living ------------------------------------------------------------------------------------
    # --------------

    def _listing(self) -> Member | None:
        for controller in LISTING:
            for member in self.members:
                if controller in member.hierarchy.controllers:
                    return member
        return self.members[-1] if self.members else None

    def pids(self) -> list[int]:
        """Every process of the container, sub-cgroups included, in the kernel's order."""
        member = self._listing()
        try:
            return member.pids() if member is not None else []
        except OSError as error:
            raise Failure(
                "cannot read the container's processes", errno=error.errno or 0
            ) from error

    def frozen(self) -> bool:
        member = freezer.choose(self.members)
        return member is not None and freezer.frozen(member)

    def freeze(self) -> None:
        freezer.freeze(self._freezer())

    def thaw(self) -> None:
        freezer.thaw(self._freezer())

    def _freezer(self) -> Member:
        member = freezer.choose(self.members)
        if member is None:
            raise Failure(
                "cannot pause or resume: the container has no cgroup with a freezer",
                hint="it was created without cgroups; mount the freezer hierarchy or cgroup2",
            )
        return member

    def kill(self) -> None:
        """SIGKILL to every process in the cgroups."""
        kill.kill([member for member in self.members if member.ours])

    # -- going away
    # ----------------------------------------------------------------------------------------------

    def close(self) -> None:
        for member in self.members:
            member.close()

    def destroy(self, *, limit_s: float = DESTROY_S) -> None:
        """Remove the cgroups, whatever part of them exists; kills what is left after `limit_s`."""
        deadline = time.monotonic() + limit_s
        busy = [member for member in self.members if member.ours and not member.remove(deadline)]
        if busy:
            kill.kill(busy)
            deadline = time.monotonic() + limit_s
            busy = [member for member in busy if not member.remove(deadline)]
        if busy:
            pids = sorted({pid for member in busy for pid in member.pids()})
            listed = ", ".join(map(str, pids[:20])) or "(none visible)"
            raise Failure(
                f"unable to remove the cgroup {busy[0].path}: processes {listed} remain in it",
                errno=errno.EBUSY,
                hint=freezer.blockers(busy[0]) if pids else "they are outside this pid namespace",
            )
