# SPDX-License-Identifier: Apache-2.0
"""The cgroups of one container as one thing: who is in it, freezing, killing, figures."""

from __future__ import annotations

from pyrunc.cgroups import enable, freezer, kill, moved
from pyrunc.cgroups.base import View
from pyrunc.cgroups.member import Cgroup
from pyrunc.errors import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from pyrunc.cgroups.stats.oom import Watch

# The hierarchy whose list of processes stands for the container's, best first.
LISTING = ("freezer", "devices", "pids")


class CgroupSet:
    """`members`: one per hierarchy, a cgroup2 last; none at all for a container without cgroups."""

    def __init__(
        self, members: list[Cgroup], *, driver: str, rootless: bool = False, leaf: str = ""
    ) -> None:
        self.members = members
        self.leaf = leaf  # where in it the processes are, so that the container manages its cgroup
        self.driver = driver
        self.mark = ""  # the state directory of the container, which new cgroups are marked with
        self.rootless = rootless
        self.forks = False  # a process that is attached goes on as its child
        self.moved_init = 0  # the init, where it has left its cgroup and that is gone
        self.kills_before = 0  # OOM kills that a cgroup which was there had counted already
        # Hierarchies that a rootless caller may not write to and does not need.
        self.denied: list[Cgroup] = []

    def record(self) -> dict[str, Any]:
        return {
            "driver": self.driver,
            "rootless": self.rootless,
            "leaf": self.leaf,
            "killsBefore": self.kills_before,
            "mark": self.mark,
            "cgroups": [member.record() for member in self.members],
        }

    def paths(self) -> dict[str, str]:
        """Return controller -> path, "" for cgroup2, as other programs know the cgroups."""
        by_controller = {}
        for member in self.members:
            for controller in member.hierarchy.controllers or (member.hierarchy.name,):
                by_controller[controller] = member.path
        return by_controller

    def view(self) -> View:
        hierarchies = tuple(
            (member.hierarchy, "/" + "/".join(member.parts)) for member in self.members
        )
        return View(self.version, hierarchies, leaf=bool(self.leaf))

    def check_leaf(self) -> None:
        if self.leaf and not self.pure:
            raise Failure(
                "a writable cgroup is requested, but this host's controllers are not on cgroup2",
                pointer="/annotations",
            )

    def settle(self) -> None:
        """Do what `attach` has left for the moment when the process that stays is alone."""

    def give_controllers(self) -> None:
        """Enable the controllers of a cgroup that the container manages for what is below it.

        Its processes are in the leaf by then. A service manager inside cannot do it: what it takes
        for the root of its tree is the leaf.
        """
        if self.unified is not None:
            enable.give(self.unified)

    @property
    def unified(self) -> Cgroup | None:
        """The cgroup2, alone or beside v1 hierarchies."""
        last = self.members[-1] if self.members else None
        return last if last is not None and last.hierarchy.version == 2 else None

    @property
    def pure(self) -> bool:
        """Whether all controllers are the cgroup2's: v1 hierarchies beside it have names only."""
        return self.unified is not None and not any(
            member.hierarchy.controllers for member in self.members
        )

    @property
    def version(self) -> int:
        """That of the controllers; without any cgroup, 2."""
        return 1 if self.members and not self.pure else 2

    def find(self, controller: str) -> Cgroup | None:
        """Return the cgroup in a controller's hierarchy; the cgroup2 if no v1 hierarchy has it."""
        for member in self.members:
            if controller in member.hierarchy.controllers:
                return member
        return self.unified

    def notes(self) -> list[str]:
        """Return what was asked for, is not in force, and is no error; a sentence each."""
        return [note for member in self.members for note in member.notes]

    def release(self) -> list[int]:
        """Give the descriptors away, to be closed."""
        return [fd for member in self.members for fd in member.release()]

    def close(self) -> None:
        for member in self.members:
            member.close()

    def look_again(self) -> None:
        """See which cgroups are there now that nobody else creates or deletes the container.

        The one before it of this id may have had the same; what is gone with it will be ours.
        """
        for member in self.members:
            member.look_again()

    def correct(self, record: Mapping[str, Any]) -> None:
        """Put into a record of before `prepare` what has been found to be there.

        Others make and remove the parents that they share with the container.
        """
        for noted, member in zip(record["cgroups"], self.members, strict=True):
            noted["kept"] = member.kept

    def ours(self) -> list[Cgroup]:
        """List the cgroups that the container may kill in and remove (CG-8)."""
        return [
            member for member in self.members if member.ours and not member.is_of_another(self.mark)
        ]

    def hold(self) -> None:
        """Open the cgroups that are there: from now on these are meant, whatever has their names.

        The others leave the set.
        """
        for member in list(self.members):
            try:
                member.open()
            except FileNotFoundError:
                self.members.remove(member)

    def follow(self, pid: int, start_time: int) -> None:
        """Take the cgroups where the init is for those that it has left, where these are gone."""
        moved.follow(self, pid, start_time)

    def refuse_shared(self, action: str) -> None:
        """Raise Failure where the init has moved to cgroups that it shares with others."""
        if self.moved_init:
            moved.refuse_shared(self, action)

    # -- processes ---------------------------------------------------------------------------------

    def pids(self, *, ours: bool = False) -> list[int]:
        """Every process of the container, sub-cgroups included, in the kernel's order.

        With `ours` only where the cgroup belongs to the container alone.
        """
        if self.moved_init and not ours:
            return moved.processes(self)[0]
        return self.listed(ours=ours)

    def listed(self, *, ours: bool = False) -> list[int]:
        """Every process in the cgroups, whoever's it is."""
        members = self.ours() if ours else self.members
        for controller in LISTING:
            for member in members:
                if controller in member.hierarchy.controllers:
                    return member.pids()
        return members[-1].pids() if members else []

    def kill(self) -> None:
        """SIGKILL to every process in the cgroups."""
        kill.kill(self.ours())
        if self.moved_init:
            moved.signal(self, kill.SIGKILL)
            if self.frozen() and not moved.processes(self)[1]:
                freezer.thaw(self._freezer())  # a frozen v1 task dies only then

    def signal(self, number: int) -> None:
        """Send a signal to every process in the cgroups."""
        if number == kill.SIGKILL:
            self.kill()
            return
        if self.moved_init:
            moved.signal(self, number)
            return
        ours = self.ours()
        member = freezer.choose(ours) or next(iter(ours), None)
        if member is not None:
            kill.signal_all(member, number)

    def frozen(self) -> bool:
        member = freezer.choose(self.members)
        return member is not None and freezer.frozen(member)

    def held_above(self) -> str:
        """Return the path of a cgroup above that holds this one frozen; empty: none does."""
        member = freezer.choose(self.members)
        return freezer.held_by(member, depth=len(member.parts) - 1) if member is not None else ""

    def freeze(self) -> None:
        self.refuse_shared("pause")
        freezer.freeze(self._freezer())

    def thaw(self) -> None:
        self.refuse_shared("resume")
        freezer.thaw(self._freezer())

    def _freezer(self) -> Cgroup:
        member = freezer.choose(self.members)
        if member is None:
            raise Failure(
                "cannot pause or resume: the container has no cgroup with a freezer",
                hint="it was created without cgroups; mount the freezer hierarchy or cgroup2",
            )
        return member

    # -- figures -----------------------------------------------------------------------------------

    def stats(self, *, only: frozenset[str] | None = None) -> dict[str, Any]:
        """Return the `data` of `events`, or its figures of some controllers."""
        from pyrunc.cgroups.stats import collect as stats

        self.refuse_shared("tell its figures")
        return stats.collect(self.members, only=only)

    def oom_kills(self) -> int:
        """How many processes of the container the kernel has killed for its memory limit."""
        from pyrunc.cgroups.stats import oom

        member = self.find("memory")
        return oom.kills(member) if member is not None else 0

    def watch_oom(self) -> Watch:
        """Return descriptors to poll for OOM events, and what they mean."""
        from pyrunc.cgroups.stats import oom

        member = self.find("memory")
        if member is None:
            raise Failure("cannot watch for OOM events: the container has no memory cgroup")
        self.refuse_shared("watch for OOM events")
        return oom.Watch(member)
