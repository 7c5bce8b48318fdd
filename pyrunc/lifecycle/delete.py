# SPDX-License-Identifier: Apache-2.0
"""The end of a container: delete it, or what is left of one that was never finished.

What has to be undone is written down before it is made: in the intents while the container is being
created, in `made` of its state later (AR-5). Every step may be repeated, and none minds that there
is nothing left to do.
"""

from __future__ import annotations

import os

from pyrunc.errors import Failure, StateError
from pyrunc.host import process
from pyrunc.lifecycle import shape
from pyrunc.lifecycle.container import PAUSED, RUNNING, STOPPED, Container, oci_state
from pyrunc.lifecycle.state import StateDirectory
from pyrunc.lifecycle.state_root import (
    NoContainer,
    abandoned,
    check_id,
    missing,
    open_root,
    state_path,
)
from pyrunc.log import LEVELS, log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, Final


def _kill_process(record: Mapping[str, Any]) -> None:
    pidfd = process.open_pidfd(int(record["pid"]), int(record["startTime"]))
    if pidfd >= 0:
        process.signal(pidfd, process.SIGKILL)
        process.wait_dead(pidfd, process.KILL_PATIENCE_MS)
        os.close(pidfd)


def _end_criu(record: Mapping[str, Any]) -> None:
    """Wait for the criu of a killed restore, which notices and removes what it has made."""
    pidfd = process.open_pidfd(int(record["pid"]), int(record["startTime"]))
    if pidfd >= 0:
        if not process.wait_dead(pidfd, process.KILL_PATIENCE_MS):
            process.signal(pidfd, process.SIGKILL)
        os.close(pidfd)


def _kill_hook(record: Mapping[str, Any]) -> None:
    """Kill a hook of a killed create, with what it has started in its session."""
    leader = int(record["pid"])
    found = process.read_stat(leader)
    if found is None or found.start_time == int(record["startTime"]):
        process.kill_session(leader)


def _remove_cgroup(record: Mapping[str, Any]) -> None:
    from pyrunc import cgroups

    cgroups.from_record(record["record"]).destroy()


def _remove_rdt(record: Mapping[str, Any]) -> None:
    from pyrunc.cgroups import rdt

    rdt.Group.from_record(record["record"]).destroy()


def _unmount(record: Mapping[str, Any]) -> None:
    from pyrunc.lifecycle import host_mounts

    host_mounts.undo(record)


# How each kind of intent is undone; every one is happy when there is nothing to undo.
UNDO: Final = {
    "process": _kill_process,
    "criu": _end_criu,
    "hook": _kill_hook,
    "cgroup": _remove_cgroup,
    "rdt": _remove_rdt,
    "mounts": _unmount,
}


def undo(records: Sequence[Mapping[str, Any]]) -> None:
    """Undo what was made, the latest first. A pid of another boot is somebody else's.

    Every record is tried; the first failure is raised then.
    """
    first: Failure | OSError | None = None
    for record in records:
        action = UNDO.get(str(record.get("kind")))
        if action is None or not process.this_boot(record.get("boot")):
            continue
        try:
            action(record)
        except (Failure, OSError) as error:
            if first is not None:
                log.warning(str(error))
            first = first or error
    if first is not None:
        raise first


def run_poststop(saved: Sequence[Mapping[str, Any]], state: Mapping[str, Any]) -> None:
    """Run every poststop hook; the container is gone whatever they say."""
    if not saved:
        return
    from pyrunc.lifecycle import hook_results, hooks

    stopped = oci_state(state, status=STOPPED, pid=0)
    notes = hook_results.Told(str(state["id"])) if log.least == LEVELS["debug"] else None
    hooks.run_all_warn("poststop", [hooks.SavedHook(one) for one in saved], stopped, notes=notes)


def destroy(container: Container) -> None:
    """Remove what belongs to a stopped container, then run the poststop hooks."""
    state = container.state
    if state["sharedPid"]:
        container.cgroup().kill()
    if log.least == LEVELS["debug"]:  # it reads a dozen files
        from pyrunc.lifecycle import post_mortem

        post_mortem.write_record(container)
    undo(state["made"])
    container.directory.remove()
    run_poststop(state["hooks"].get("poststop") or (), state)


def delete(root: str, container_id: str, *, force: bool) -> None:
    """Delete a container, or what is left of one."""
    directory = StateDirectory.open(root, check_id(container_id))
    if directory is None:
        if force:
            _tidy(root)
            _end_lost(root, container_id)
            return
        raise missing(container_id)
    try:
        _delete(directory, force=force)
    except NoContainer:
        if not force:
            raise
    finally:
        directory.close()


def _tidy(root: str) -> None:
    """Directories that a killed command has left without an id: one may have been for this id."""
    root_fd = open_root(root)
    if root_fd >= 0:
        try:
            abandoned(root_fd, remove=True)
        finally:
            os.close(root_fd)


def _end_lost(root: str, container_id: str) -> None:
    """End a container whose state directory is gone: its cgroups carry the directory's path.

    The id is ours meanwhile, so that what is found belongs to no container of now.
    """
    from pyrunc.cgroups import doctor

    owner = state_path(root, container_id)
    if not doctor.end_marked(owner, dry_run=True):
        return
    directory = StateDirectory.claim(root, container_id)
    try:
        log.warning(
            f"the state of container {container_id} is lost: what its cgroups hold is killed"
        )
        doctor.end_marked(owner)
        directory.remove()
    finally:
        directory.close()


def _delete(directory: StateDirectory, *, force: bool) -> None:
    locked = directory.try_lock()
    if not locked and force:
        _kill_unlocked(directory)
    if not locked:
        directory.lock()
    state = _load(directory) if force else directory.load()
    if state is None:
        _delete_half_created(directory)
        if not force:
            raise missing(directory.id)
        return
    container = Container(directory, state)
    try:
        _end(container, force=force)
    except (Failure, OSError) as error:
        if not force:
            raise
        log.warning(f"{error}: what the intents name is removed")
        _delete_half_created(directory)


def _end(container: Container, *, force: bool) -> None:
    status = container.status()
    if status in (RUNNING, PAUSED) and not force:
        raise StateError(
            f"cannot delete container {container.id} that is not stopped: {status}",
            hint="--force kills it first",
        )
    if status != STOPPED:
        container.stop()
    destroy(container)


def _load(directory: StateDirectory) -> dict[str, Any] | None:
    """Load the state for `delete --force`; an unreadable one counts as one never finished."""
    try:
        state = directory.load()
    except StateError as error:
        log.warning(str(error))
        return None
    if state is None:
        return None
    whole = ({"kind": "cgroup", "record": state["cgroup"]}, *state["made"])
    if not all(map(_sound, whole)):
        return None
    for record in state["made"]:
        if record["kind"] == "cgroup" and _places(record["record"]) != _places(state["cgroup"]):
            log.warning(f"the state of container {directory.id} names two different cgroups")
            return None
    return state


def _places(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the driver with the unit, and where the cgroups of a record are.

    The record of an intent is older: it does not say yet that an existing cgroup became ours.
    """
    cgroups = [(cgroup["mount"], cgroup["path"]) for cgroup in record["cgroups"]]
    return [(str(record["driver"]), str(record.get("unit"))), *cgroups]


def sound_intents(directory: StateDirectory) -> list[dict[str, Any]]:
    """Return the intents that can be undone, with a warning for every other one."""
    try:
        return [record for record in directory.intents() if _sound(record)]
    except StateError as error:
        log.warning(f"{error}: cgroups and mounts that it named may be left")
        return []


def _sound(record: Mapping[str, Any]) -> bool:
    wrong = shape.record(record)
    if not wrong and record["kind"] == "cgroup":
        from pyrunc import cgroups

        try:
            cgroups.from_record(record["record"])
        except Failure as error:
            wrong = str(error)
    if wrong:
        log.warning(f"a record of what was made is damaged ({wrong}): what it named may be left")
    return not wrong


def _kill_unlocked(directory: StateDirectory) -> None:
    """Kill the container without its lock, for which a command may hold on and wait.

    Its end lets that command go.
    """
    state = _load(directory)
    if state is not None:
        Container(directory, state).kill(process.SIGKILL)
        return
    undo([record for record in sound_intents(directory) if record["kind"] == "process"])


def _delete_half_created(directory: StateDirectory) -> None:
    """Remove what a killed create has left, as its intents name it (AR-5); the init ends itself."""
    records = sound_intents(directory)
    undo(records)
    directory.remove()
    for record in records:
        if record.get("kind") == "hooks":
            run_poststop(record["poststop"], record["state"])
