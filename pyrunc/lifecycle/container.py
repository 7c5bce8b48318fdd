# SPDX-License-Identifier: Apache-2.0
"""The container as users see it: its status (computed, never stored), start, signals.

What `create` does is in create.py, the end in delete.py, the files in state.py.
"""

from __future__ import annotations

import os
import select

from pyrunc.errors import Failure, InitError, StateError
from pyrunc.host import process
from pyrunc.init.messages import ERROR, EXEC, HOOK, MESSAGE
from pyrunc.lifecycle.record import may_hold_frozen, maybe_frozen
from pyrunc.lifecycle.state import StateDirectory
from pyrunc.lifecycle.state_root import check_id, missing
from pyrunc.log import log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Final

    from pyrunc.cgroups import Manager, rdt

CREATED: Final = "created"
RUNNING: Final = "running"
PAUSED: Final = "paused"
STOPPED: Final = "stopped"
CREATING: Final = "creating"

TRACED_PATIENCE_MS: Final = 1_000
REPORT_PATIENCE_MS: Final = 30_000

ENDING: Final = (1, 2, 3, 15)  # SIGHUP, SIGINT, SIGQUIT, SIGTERM
RUN_HOOK: Final = "run_hook"  # the op of a startContainer hook


class Container:
    """An existing container: its open state directory and what state.json holds."""

    __slots__ = ("directory", "maybe_held", "state")

    def __init__(self, directory: StateDirectory, state: dict[str, Any]) -> None:
        self.directory = directory
        self.state = state
        self.maybe_held = False  # a cgroup above may be frozen

    @classmethod
    def load(cls, root: str, container_id: str, *, lock: bool = False) -> Container:
        """Load the container of this name; StateError when there is none."""
        directory = StateDirectory.open(root, check_id(container_id))
        if directory is None:
            raise missing(container_id)
        if lock:
            directory.lock()
        state = directory.load()
        if state is None:
            directory.close()
            raise missing(container_id)
        return cls(directory, state)

    @property
    def id(self) -> str:
        return self.directory.id

    @property
    def pid(self) -> int:
        return int(self.state["pid"])

    @property
    def start_time(self) -> int:
        return int(self.state["startTime"])

    # -- status ------------------------------------------------------------------------------------

    def status(self) -> str:
        """Return created, running, paused or stopped."""
        gate = self.directory.open_gate()
        if gate >= 0:
            # Somebody holds the reading end: only the init does, so it lives and waits.
            os.close(gate)
            status = CREATED
        elif process.alive(self.pid, self.start_time):
            status = RUNNING
        else:
            return STOPPED
        return PAUSED if self.frozen() else status

    def frozen(self) -> bool:
        """Whether the container's cgroup is frozen; one read says no, which is the usual answer."""
        where = self.state.get("freezer")
        if not where or not maybe_frozen(where):
            return False
        self.maybe_held = True
        return self.cgroup(now=True).frozen()

    def refuse_held(self, action: str) -> None:
        """Raise StateError where a cgroup above is frozen: nothing would run. After `frozen`."""
        held = self.cgroup(now=True).held_above() if self.maybe_held else ""
        if held:
            raise StateError(
                f"cannot {action}: container's cgroup unexpectedly frozen: {held}",
                hint="resume what is paused there; a unit: `systemctl thaw` with its name",
            )

    def oci_state(self, status: str) -> dict[str, Any]:
        """Return the state as the specification defines it; hooks read it."""
        return oci_state(self.state, status=status, pid=0 if status == STOPPED else self.pid)

    def cgroup(self, *, now: bool = False) -> Manager:
        """Return the manager of its cgroups; with `now` where the init is if these are gone."""
        from pyrunc import cgroups

        manager = cgroups.from_record(self.state["cgroup"])
        if now:
            manager.follow(self.pid, self.start_time)
        return manager

    def rdt(self) -> rdt.Group | None:
        """Return the container's group of Intel RDT, if it has one."""
        for record in self.state["made"]:
            if record["kind"] == "rdt":
                from pyrunc.cgroups import rdt

                return rdt.Group.from_record(record["record"])
        return None

    # -- start -------------------------------------------------------------------------------------

    def start(self) -> None:
        """Let the init pass its gate, and wait until the program runs or could not be run.

        The lock must be held.
        """
        gate = self.directory.open_gate()
        if gate < 0:
            raise self._not_startable(self.status())
        try:
            paused = self.frozen()
            self.refuse_held("start")
            if paused:
                raise self._not_startable(PAUSED)
            self._pass_gate(gate)
        except InitError as error:
            if error.op == RUN_HOOK:
                self._end()
            else:
                from pyrunc.lifecycle import unstartable

                unstartable.blame_saved(error, self.directory)
            raise
        finally:
            os.close(gate)
        self.directory.remove_gate()
        self.run_hooks("poststart", RUNNING)

    def _not_startable(self, status: str) -> StateError:
        if status == STOPPED:
            return StateError("cannot start a container that has stopped")
        if status == RUNNING:
            return StateError("cannot start an already running container")
        return StateError(f"cannot start a container in the {status} state")

    def _pass_gate(self, gate: int) -> None:
        # The report must be open before the byte is written: then the init lived when it was
        # opened, was its writer, and the end of the stream will be seen. The fifo closes at the
        # execve, or when the init ends.
        report = self.directory.open_report()
        try:
            os.write(gate, b"0")
            log.step("let the init pass its gate")
            running = False
            for message in self._messages(report):
                kind, op, step, value, detail = message
                if kind == ERROR:
                    from pyrunc.lifecycle import late

                    raise late.failure(self.state["late"], op, step, value, detail)
                if kind == HOOK:
                    self._note_hook(op, value)
                running = running or kind == EXEC
            if not running:
                raise InitError(self._why_it_ended())
            log.step("the program runs")
        except BrokenPipeError:
            raise self._not_startable(STOPPED) from None
        finally:
            os.close(report)

    def _messages(self, report: int) -> list[tuple[int, int, int, int, bytes]]:
        """Return all messages up to the end of the stream.

        Only hooks of the container may take long. Whoever holds on to a pipe that is not the one
        of the init is not waited for.
        """
        hooks = any(one["name"] == RUN_HOOK for one in self.state["late"]["ops"])
        poll = select.poll()
        poll.register(report, select.POLLIN)
        data = b""
        while True:
            ready = poll.poll(REPORT_PATIENCE_MS)
            if not ready:
                if hooks and process.alive(self.pid, self.start_time):
                    continue
                raise InitError(
                    f"the init has not reported for {REPORT_PATIENCE_MS // 1000} s",
                    hint="it may have been stopped (SIGSTOP), or wait for a device",
                )
            if not ready[0][1] & select.POLLIN:  # hung up, and nothing is left to read
                break
            try:
                part = os.read(report, 4096)
            except BlockingIOError:
                continue
            if not part:
                break
            data += part
        whole = len(data) - len(data) % MESSAGE.size
        return [MESSAGE.unpack_from(data, at) for at in range(0, whole, MESSAGE.size)]

    def _why_it_ended(self) -> str:
        try:
            killed = self.cgroup().oom_kills()
        except (Failure, OSError):
            killed = 0
        if killed:
            return "container init was OOM-killed (memory limit too low?)"
        return "the container's init ended before it could run the program"

    def _note_hook(self, op: int, duration_ms: int) -> None:
        """Keep how a hook inside has ended."""
        from pyrunc.lifecycle import hook_results, late

        ended = late.find(self.state["late"], op)
        if ended is not None:
            hook_results.Notes(self.directory).of_init([(ended, duration_ms)])

    # -- hooks -------------------------------------------------------------------------------------

    def run_hooks(self, kind: str, status: str) -> None:
        """Run the hooks of a kind; when one fails the container is stopped and destroyed."""
        saved = self.state["hooks"].get(kind)
        if not saved:
            return
        from pyrunc.lifecycle import hook_results, hooks

        listed = [hooks.SavedHook(one) for one in saved]
        notes = hook_results.Notes(self.directory)
        try:
            hooks.run_all(kind, listed, self.oci_state(status), notes=notes)
        except Failure:
            self._end()
            raise

    def _end(self) -> None:
        """Stop and destroy the container, with its poststop hooks; the first error is the cause."""
        from pyrunc.lifecycle import delete

        try:
            self.stop()
            delete.destroy(self)
        except (Failure, OSError) as error:
            log.warning(f"{self.id}: {error}")

    # -- the freezer -------------------------------------------------------------------------------

    def pause(self) -> None:
        """Freeze all processes; StateError unless they run or wait. The lock must be held."""
        status = self.status()
        if status not in (CREATED, RUNNING):
            raise StateError(f"container not running: {self.id} is {status}")
        cgroup = self.cgroup(now=True)
        # Twice: the container may move its init between cgroups of its own while we look.
        if cgroup.members and not any(self.pid in cgroup.pids() for _ in range(2)):
            raise StateError(
                f"cannot pause: the init of {self.id} has left the container's cgroup",
                hint="move it back; when the empty cgroup is removed, commands follow the init",
            )
        cgroup.freeze()

    def resume(self) -> None:
        """Thaw all processes; StateError unless they are frozen. The lock must be held."""
        status = self.status()
        if status != PAUSED:
            raise StateError(f"container not paused: {self.id} is {status}")
        cgroup = self.cgroup(now=True)
        cgroup.thaw()
        held = cgroup.held_above()
        if held:
            log.warning(f"{self.id} stays frozen with a cgroup above it: {held}")

    # -- signals -----------------------------------------------------------------------------------

    def kill(self, number: int) -> bool:
        """Signal the init, or with SIGKILL everything when the init's end would not end the rest.

        Returns whether there was something to signal. Before `start` nobody can handle a signal
        that asks for the end, and the kernel drops it for the first process of a pid namespace.
        """
        if number in ENDING and self._waits():
            number = process.SIGKILL
        everything = number == process.SIGKILL and self.state["sharedPid"]
        pidfd = process.open_pidfd(self.pid, self.start_time)
        try:
            sent = pidfd >= 0 and process.signal(pidfd, number)
            if everything:
                sent = sent or bool(self.pids_left())
                self._held_cgroup().kill()
            elif sent and number == process.SIGKILL and (self.frozen() or self._has_parts()):
                self._held_cgroup().kill()  # a frozen v1 task dies only when it is thawed
        finally:
            if pidfd >= 0:
                os.close(pidfd)
        return sent

    def _has_parts(self) -> bool:
        where = self.state.get("freezer")
        return where is not None and may_hold_frozen(where)

    def _waits(self) -> bool:
        """Whether the init waits for `start`."""
        gate = self.directory.open_gate()
        if gate >= 0:
            os.close(gate)
        return gate >= 0

    def pids_left(self) -> list[int]:
        """List what the end of the init has left in the cgroups that are the container's own.

        Without a pid namespace of its own a container can outlive its first process.
        """
        if not process.this_boot(self.state.get("boot")):
            return []
        return self.cgroup().pids(ours=True)

    def kill_all(self, number: int) -> None:
        """Signal every process of the container's cgroups, also when the init has ended."""
        self._held_cgroup().signal(number)

    def _held_cgroup(self) -> Manager:
        """Open the cgroups while they are the container's, for a command without the lock.

        A delete removes them before the id is free for another container, which may have cgroups
        of the same names: while the directory has its id, what was opened before is ours.
        """
        manager = self.cgroup(now=True)
        manager.hold()
        if not self.directory.is_current():
            raise missing(self.id)
        return manager

    def stop(self) -> None:
        """Kill the container and wait until its init is dead."""
        pidfd = process.open_pidfd(self.pid, self.start_time)
        if pidfd < 0:
            return
        try:
            self.kill(process.SIGKILL)
            if process.wait_dead(pidfd, TRACED_PATIENCE_MS):
                return
            process.kill_tracer(self.pid, "criu")  # of a checkpoint that was killed
            if not process.wait_dead(pidfd, process.KILL_PATIENCE_MS):
                raise StateError(
                    f"container init still running: process {self.pid} does not die",
                    hint="it may wait for a device or a network file system: see /proc/PID/wchan",
                )
        finally:
            os.close(pidfd)


def oci_state(state: Mapping[str, Any], *, status: str, pid: int) -> dict[str, Any]:
    document = {
        "ociVersion": state["ociVersion"],
        "id": state["id"],
        "pid": pid,
        "status": status,
        "bundle": state["bundle"],
        "rootfs": state["rootfs"],
    }
    if "created" in state:  # absent while it is being created: no time is no text of one
        document["created"] = state["created"]
    if state["annotations"]:
        document["annotations"] = state["annotations"]
    return document
