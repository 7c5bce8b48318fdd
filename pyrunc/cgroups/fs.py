# SPDX-License-Identifier: Apache-2.0
"""The fs driver: the container's cgroups made directly in the mounted hierarchies, v1, v2 or both.

Limits are complete before a task of the container enters (CG-4). Which of the hierarchies a
controller is on decides how its resources are converted, so a hybrid host needs no code of its own.
With no hierarchy at all this is the disabled driver: limits are errors, everything else is empty.
"""

from __future__ import annotations

import errno
import time

from pyrunc.cgroups import cpuset, delegate, enable, enter, freezer, kill, place
from pyrunc.cgroups.base import Entry
from pyrunc.cgroups.limits import NO_PERMISSION, Manager
from pyrunc.cgroups.member import DENIED, Cgroup
from pyrunc.errors import Failure, HostError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from pyrunc.cgroups.layout import Layout

DESTROY_S = 2.0


class FsManager(Manager):
    @classmethod
    def resolve(
        cls,
        layout: Layout,
        *,
        cgroups_path: str | None,
        container_id: str,
        rootless: bool = False,
        leaf: str = "",
    ) -> FsManager:
        parts = place.components(cgroups_path, container_id=container_id)
        absolute = bool(cgroups_path) and str(cgroups_path).startswith("/")
        members = [
            Cgroup.placed(hierarchy, parts if absolute else (*place.own_parts(hierarchy), *parts))
            for hierarchy in layout.hierarchies
        ]
        manager = cls(members, driver="cgroupfs", rootless=rootless, leaf=leaf)
        if rootless and not cgroups_path:
            # Nobody asked for a place: without permission the container stays where its caller is.
            manager.members = [member for member in members if member.writable()]
            manager.denied = [member for member in members if member not in manager.members]
        return manager

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> FsManager:
        known: dict[str, tuple[str, ...]] = {}
        driver = cls(
            [Cgroup.from_record(item, known=known) for item in record["cgroups"]],
            driver=str(record["driver"]),
            rootless=bool(record["rootless"]),
            leaf=delegate.single(str(record["leaf"]), noun="the leaf"),
        )
        driver.kills_before = int(record.get("killsBefore", 0))
        driver.mark = str(record.get("mark", ""))
        return driver

    # -- making ------------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Make the cgroups. One that exists must be empty and not frozen."""
        self.check_leaf()
        for member in self.members:
            try:
                self._prepare(member)
            except HostError as error:
                if self.rootless and error.errno in DENIED:
                    raise Failure(
                        NO_PERMISSION, errno=error.errno, hint=str(error), pointer="/linux"
                    ) from error
                raise

    def _prepare(self, member: Cgroup) -> None:
        new = member.make()
        if not new:
            self.refuse_used(member)
        elif self.mark:
            member.mark(self.mark)
        controllers = member.hierarchy.controllers
        self.refuse_frozen(member)
        if "cpuset" in controllers:
            cpuset.initialise(member, new=new)
        if member.hierarchy.version == 2 and self.pure:  # beside v1 its owner's choice is kept
            enable.enable(member)
            if self.leaf:
                delegate.make_leaf(member, self.leaf)
                enable.make_valid(member.open(), self.leaf)

    def refuse_used(self, member: Cgroup) -> None:
        count = len(member.pids())
        if count:
            raise Failure(
                f"container's cgroup is not empty: {count} process(es) found in {member.path}",
                pointer="/linux/cgroupsPath",
                hint="choose another cgroupsPath, or end the processes that are there",
            )
        member.claimed = True
        if member is self.find("memory"):
            self.kills_before = super().oom_kills()

    def refuse_frozen(self, member: Cgroup) -> None:
        """Refuse a cgroup in which a process would not run."""
        if member.hierarchy.version == 2:
            frozen = "frozen 0" not in member.read("cgroup.events")
        elif "freezer" in member.hierarchy.controllers:
            frozen = "THAWED" not in member.read("freezer.state")
        else:
            frozen = False
        if frozen:
            raise Failure(
                f"container's cgroup unexpectedly frozen: {member.path}",
                hint="it, or a parent of it, is paused: resume it first",
            )

    def look(self) -> None:
        """Refuse what `prepare` would, of cgroups that are there; nothing is made or changed."""
        self.check_leaf()
        for member in self.members:
            if member.kept == len(member.parts):
                self.refuse_used(member)
                self.refuse_frozen(member)

    def trial_base(self, member: Cgroup) -> int:
        """Return how many components of the path a trial of the limits may stand below."""
        return min(member.kept, len(member.parts) - 1)

    def oom_kills(self) -> int:
        """Leave out what a cgroup that was there has counted before."""
        return super().oom_kills() - self.kills_before

    # -- entering ----------------------------------------------------------------------------------

    def give(self, uid: int, gid: int) -> None:
        """Give the cgroup2 to the container's root (ids of the host), who manages what is below.

        For a container with a cgroup namespace of its own and a cgroup mount that is not read-only.
        """
        if self.unified is not None and self.pure:
            delegate.give(self.unified, uid=uid, gid=gid, leaf_name=self.leaf)

    def entry(self, *, clone: bool = True) -> Entry:
        """For the init, which enters by itself."""
        return enter.entry(self.members, clone=clone, leaf=self.leaf)

    def exec_entry(self, init_pid: int, *, paths: Sequence[str] = (), clone: bool = True) -> Entry:
        """For a process of `exec`; `paths` are the values of its --cgroup."""
        below = enter.parse_paths(paths, self.members) if paths else {}
        return enter.exec_entry(
            self.members, below=below, init_pid=init_pid, clone=clone, leaf=bool(self.leaf)
        )

    def attach(self, pid: int) -> None:
        """Move a process (with its threads) into the cgroups from outside."""
        for member in self.members:
            try:
                member.put("cgroup.procs", str(pid))
            except OSError as error:
                raise Failure(
                    f"cannot move process {pid} into {member.path}", errno=error.errno or 0
                ) from error

    # -- going away --------------------------------------------------------------------------------

    def destroy(self, *, limit_s: float = DESTROY_S) -> None:
        """Remove the cgroups, whatever part of them exists; kills what is left after `limit_s`."""
        deadline = time.monotonic() + limit_s
        busy = [member for member in self.ours() if not member.remove(deadline)]
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
