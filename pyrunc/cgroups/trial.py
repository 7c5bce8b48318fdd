# SPDX-License-Identifier: Apache-2.0
"""Ask the kernel which values it refuses, in a cgroup that is made for the question and removed.

The trial stands where the container's cgroup would, or as near above it as the controllers are
given: what is enabled stays as it is, and no process enters. Its name tells `doctor` which process
made it. Where none can be made the rules of `resources/ranges` stand in.
"""

from __future__ import annotations

import os
import posix
import time

from pyrunc.cgroups import cpuset, enable, names, tree
from pyrunc.cgroups.limits import NO_PERMISSION
from pyrunc.cgroups.member import DENIED, GONE, Cgroup
from pyrunc.cgroups.resources import ranges
from pyrunc.cgroups.resources.writes import CORE
from pyrunc.errors import Failure, HostError, Problem
from pyrunc.host import process
from pyrunc.log import log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyrunc.cgroups import Manager
    from pyrunc.cgroups.resources.writes import Write
    from pyrunc.spec.model_resources import Resources

REMOVE_S = 2.0
KB, MB, GB = 1, 1024, 1024 * 1024
# It takes processors away from everybody else while it holds, and a refusal is no error of a write.
NOT_TRIED = ("cpuset.cpus.partition",)
PATH = "/linux/cgroupsPath"
QUOTA, PERIOD = "cpu.cfs_quota_us", "cpu.cfs_period_us"
SYSTEM, BLOCK = "/sys/devices/system", "/sys/dev/block"


class Uninterrupted:
    """Lets signals wait meanwhile: only SIGKILL leaves a cgroup."""

    def __enter__(self) -> None:
        import signal

        self.before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())

    def __exit__(self, *failure: object) -> None:
        import signal

        signal.pthread_sigmask(signal.SIG_SETMASK, self.before)


class Trial:
    """The trial of one container's resources. `problems` has what the kernel refuses."""

    def __init__(self, manager: Manager, resources: Resources | None) -> None:
        self.manager = manager
        self.resources = resources
        self.problems: list[Problem] = []
        self.offers = offers()
        from _thread import get_native_id

        thread = get_native_id()  # a library may check in several at once
        stat = process.read_stat(thread)
        self.name = names.trial(thread, stat.start_time if stat is not None else 0)

    def run(self) -> None:
        """Try all writes."""
        manager = self.manager
        with Uninterrupted():
            pending = manager.writes(self.resources)
            for member in manager.members:
                mine = [write for write in pending if manager.find(write.controller) is member]
                self._member(member, mine)

    def with_processors(self, action: Callable[[Cgroup | None], None]) -> None:
        """Do something with a cgroup that has the limits of processors; None: none can be had.

        Whether a process may have a real-time policy is asked of its cgroup (RT_GROUP_SCHED).
        """
        member = self.manager.find("cpu")
        depth = -1
        if member is not None:
            base = self.manager.trial_base(member)
            depth = base if member.hierarchy.version == 1 else self._level(member, "cpu", base)
        if member is None or depth < 0:
            action(None)
            return
        writes = [one for one in self.manager.writes(self.resources) if one.controller == "cpu"]
        trial = Cgroup(member.hierarchy, parts=(*member.parts[:depth], self.name), kept=depth)
        with Uninterrupted():
            try:
                try:
                    trial.make()
                    if "cpuset" in member.hierarchy.controllers:
                        cpuset.initialise(trial, new=True)
                    trial.apply(writes)
                except Failure as failure:  # `run` has told it
                    log.debug(str(failure))
                action(trial)
            finally:
                trial.remove(time.monotonic() + REMOVE_S)

    # -- one hierarchy -----------------------------------------------------------------------------

    def _member(self, member: Cgroup, writes: list[Write]) -> None:
        base = self.manager.trial_base(member)
        if member.hierarchy.version == 1:
            self._at(member, depth=self._cpuset_base(member, base), writes=writes, place=True)
            return
        levels: dict[int, list[Write]] = {base: []}
        for write in writes:
            wanted = write.controller if write.needs_controller else CORE
            levels.setdefault(self._level(member, wanted, base), []).append(write)
        for depth, batch in levels.items():
            if depth < 0:
                self._by_rules(member, batch)
            else:
                self._at(member, depth=depth, writes=batch, place=depth == base)

    def _level(self, member: Cgroup, controller: str, base: int) -> int:
        """Return the depth, `base` or nearer to the top, whose cgroups have a controller."""
        if controller == CORE:
            return base
        for depth in range(base, -1, -1):
            given = tree.read_text(
                member.open_top(), f"{_path(member, depth)}/cgroup.subtree_control"
            )
            if controller in given.split():
                return depth
        return -1

    def _cpuset_base(self, member: Cgroup, base: int) -> int:
        """Return the depth from which lists can be inherited without filling those of others."""
        while base and "cpuset" in member.hierarchy.controllers:
            top, path = member.open_top(), _path(member, base)
            if all(tree.read_text(top, f"{path}/{file}") for file in cpuset.FILES):
                break
            base -= 1
        return base

    def _at(self, member: Cgroup, *, depth: int, writes: list[Write], place: bool) -> None:
        """Try in a cgroup below the first `depth` components; `place`: where the container's is."""
        if not writes and not place:
            return
        parts = (*member.parts[:depth], self.name)
        trial = Cgroup(member.hierarchy, parts=parts, kept=depth, claimed=False)
        try:
            try:
                trial.make()
            except HostError as error:
                self._not_made(member, trial, error, writes)
                return
            self._write_all(member, trial, writes, place=place)
        except OSError as error:
            if error.errno not in GONE:  # somebody has removed it: it is not known
                raise
        finally:
            trial.remove(time.monotonic() + REMOVE_S)

    def _not_made(
        self, member: Cgroup, trial: Cgroup, error: HostError, writes: list[Write]
    ) -> None:
        manager = self.manager
        if manager.driver == "cgroupfs" and member.kept < len(member.parts):
            if manager.rootless and error.errno in DENIED:
                self._add(
                    Problem("/linux", NO_PERMISSION, hint=_at_home(str(error), trial, member))
                )
            else:
                self._add(Problem(PATH, _at_home(str(error), trial, member), hint=error.hint))
            return
        self._by_rules(member, writes)

    def _write_all(
        self, member: Cgroup, trial: Cgroup, writes: list[Write], *, place: bool
    ) -> None:
        manager, controllers = self.manager, member.hierarchy.controllers
        try:
            if "cpuset" in controllers:
                cpuset.initialise(trial, new=True)
                self.offers.cpus, self.offers.mems = map(trial.read, cpuset.FILES)
            if place and manager.driver == "cgroupfs":
                manager.refuse_frozen(trial)
                if member.hierarchy.version == 2 and manager.pure:
                    enable.require_valid(trial)
        except Failure as failure:
            self._refused(member, trial, failure)
        if any(write.file == QUOTA for write in writes):
            self.offers.above = _quota_above(trial)
        pending = [write for write in writes if write.file not in NOT_TRIED]
        while pending:
            try:
                trial.apply(pending)
                break
            except Failure as failure:
                self._refused(member, trial, failure, pending)
                # What stands before it is in force; the same property says no more.
                pending = [write for write in pending if write.pointer != failure.pointer]
        if place and member is manager.find("devices"):
            try:
                manager.apply_devices(self.resources, member=trial)
            except Failure as failure:
                self._refused(member, trial, failure)

    # -- words -------------------------------------------------------------------------------------

    def _by_rules(self, member: Cgroup, writes: Sequence[Write]) -> None:
        """Refuse what every kernel refuses."""
        base = self.manager.trial_base(member)
        if base and member.hierarchy.version == 2:
            self.offers.files = _files(member, base)
        for write in writes:
            number = ranges.refusal(write.file, write.value, self.offers)
            if number and write.otherwise is not None:
                write = write.otherwise
                number = ranges.refusal(write.file, write.value, self.offers)
            if number and number not in write.tolerate and not write.advisory:
                failure = member.refused(write, OSError(number, ""))
                self._refused(member, member, failure, [write])

    def _refused(
        self, member: Cgroup, trial: Cgroup, failure: Failure, writes: Sequence[Write] = ()
    ) -> None:
        if trial is not member and not trial.present():
            return  # somebody has removed it: it is not known
        write = next((one for one in writes if one.pointer == failure.pointer), None)
        if (
            write is not None
            and write.otherwise is not None
            and write.otherwise.file in str(failure)
        ):
            write = write.otherwise
        self._add(
            Problem(
                failure.pointer,
                _at_home(str(failure), trial, member),
                value=write.value if write is not None else "",
                allowed=ranges.allowed(write.file, self.offers) if write is not None else "",
                hint=_at_home(failure.hint, trial, member),
            )
        )

    def _add(self, problem: Problem) -> None:
        """Add a problem, once: what fails in one hierarchy mostly fails in all."""
        if all(problem.pointer != other.pointer for other in self.problems):
            self.problems.append(problem)


def _path(member: Cgroup, depth: int) -> str:
    return "/".join(member.parts[:depth]) or "."


def _at_home(text: str, trial: Cgroup, member: Cgroup) -> str:
    """Put the container's own cgroup in the place of the trial: the words of `create`."""
    return text.replace(trial.path, member.path)


def _quota_above(trial: Cgroup) -> str:
    """Name the nearest cgroup above that has a quota; empty when none has."""
    top = trial.open_top()
    for depth in range(len(trial.parts) - 1, 0, -1):
        path = _path(trial, depth)
        quota, period = (tree.read_text(top, f"{path}/{file}") for file in (QUOTA, PERIOD))
        if quota != "-1":
            return (
                f", no more than {quota} us of {period} us, as {trial.hierarchy.mount}/{path} has"
            )
    return ""


def _files(member: Cgroup, base: int) -> dict[str, frozenset[str]]:
    """Return the files of the nearest cgroup that is there, by controller."""
    fd = tree.open_verified(
        _path(member, base), device=member.hierarchy.device, dir_fd=member.open_top()
    )
    try:
        present = frozenset(posix.listdir(fd))
        return dict.fromkeys((CORE, *tree.read_text(fd, "cgroup.controllers").split()), present)
    finally:
        posix.close(fd)


# -- what the host has -----------------------------------------------------------------------------


def offers() -> ranges.Offers:
    """Look at the host. What cannot be read is empty, and then not compared with."""
    import socket

    return ranges.Offers(
        cpus=_read(f"{SYSTEM}/cpu/possible"),
        mems=_read(f"{SYSTEM}/node/possible") or _only_node(),
        disks=_disks(),
        pages=_pages(),
        rdma=_names("/sys/class/infiniband") or (_names("/sys/class") and []),
        interfaces=[name for _index, name in socket.if_nameindex()],
    )


def _read(path: str) -> str:
    try:
        with open(path, encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


def _names(path: str) -> list[str] | None:
    try:
        return sorted(posix.listdir(path))
    except OSError:
        return None


def _only_node() -> str:
    """Return the one node of a kernel without NUMA, which lists processors and no nodes."""
    present = _names(SYSTEM)
    return "0" if present and "cpu" in present and "node" not in present else ""


def _disks() -> list[str] | None:
    """Return the numbers of the disks; the kernel takes no partition."""
    numbers = _names(BLOCK)
    return numbers and [one for one in numbers if not os.path.exists(f"{BLOCK}/{one}/partition")]


def _pages() -> list[str] | None:
    sizes = _names("/sys/kernel/mm/hugepages")
    return sizes and [_page(name) for name in sizes]


def _page(name: str) -> str:
    """Return a size of huge pages as in file names; `hugepages-2048kB` is 2MB."""
    size = int(name.removeprefix("hugepages-").removesuffix("kB"))
    for unit, text in ((GB, "GB"), (MB, "MB")):
        if size >= unit:
            return f"{size // unit}{text}"
    return f"{size}KB"
