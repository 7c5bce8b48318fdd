# SPDX-License-Identifier: Apache-2.0
"""doctor: what belongs to no container any more, and with --fix its removal.

State directories that were never finished or cannot be read, with what their intents name; cgroups
and units made for state directories that are gone; mounts below the state root and RDT groups of
containers that are not there.
"""

from __future__ import annotations

import os
from functools import partial

from pyrunc.cgroups import doctor, rdt
from pyrunc.cli.choices import rootless
from pyrunc.cli.output import emit
from pyrunc.errors import Failure
from pyrunc.host import facts, syscalls
from pyrunc.lifecycle import delete, host_mounts
from pyrunc.lifecycle.state import StateDirectory
from pyrunc.lifecycle.state_root import abandoned, check_id, default_root, list_ids, open_root
from pyrunc.log import log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from typing import Any

    from pyrunc.cgroups.doctor import Finding
    from pyrunc.cli.flags import Args

    Problems = list[tuple[str, Callable[[], object]]]

SYSTEMD = "/run/systemd/system"


class Survey:
    """What a state root holds. The lists are of cgroup records and of RDT records."""

    def __init__(self, only: Collection[str]) -> None:
        self.only = only
        self.containers: list[str] = []
        self.half: list[str] = []
        self.damaged: list[str] = []
        self.alive: list[Any] = []
        self.lost: list[Any] = []
        self.alive_rdt: list[Any] = []
        self.lost_rdt: list[Any] = []
        self.abandoned: list[str] = []  # directories without an id
        self.mounts: list[tuple[str, str]] = []  # path, id of the half-created container


def run(args: Args) -> int:
    root = os.path.abspath(args.text("root") or default_root())
    only = frozenset(args.positionals)
    for container_id in only:
        check_id(container_id)
    seen = survey(root, only=only)
    problems = _mounts(root, seen)
    problems += _states(root, seen, force=args.flag("force"))
    chosen = rootless(args)
    user = facts.probe().rootless if chosen is None else chosen
    problems += _findings(seen, user=user, force=args.flag("force"))
    emit("".join(f"{text}\n" for text, _ in problems) or "nothing is left over\n")
    if not problems:
        return 0
    if not args.flag("fix"):
        return 1
    failed = [text for text, repair in problems if not _done(repair)]
    return 1 if failed else 0


def _done(repair: Callable[[], object]) -> bool:
    try:
        repair()
    except (Failure, OSError) as error:
        hint = getattr(error, "hint", "")
        log.warning(f"{error} ({hint})" if hint else str(error))
        return False
    return True


# -- looking ---------------------------------------------------------------------------------------


def survey(root: str, *, only: Collection[str] = ()) -> Survey:
    """Every state directory of a root. One whose lock is held is in use, whatever it looks like.

    `only`: what was left by others than these ids is passed over.
    """
    seen = Survey(only)
    root_fd = open_root(root)
    if root_fd < 0:
        return seen
    for name in list_ids(root_fd):
        directory = StateDirectory.open_at(os.dup(root_fd), name)
        if directory is not None:
            _survey_one(directory, seen)
            directory.close()
    seen.abandoned = [] if only else abandoned(root_fd)
    os.close(root_fd)
    return seen


def _survey_one(directory: StateDirectory, seen: Survey) -> None:
    busy = not directory.try_lock()
    intents = delete.sound_intents(directory)
    groups = [one["record"] for one in intents if one.get("kind") == "cgroup"]
    rdt_groups = [one["record"] for one in intents if one.get("kind") == "rdt"]
    damaged = False
    try:
        state = directory.load()
    except Failure:
        state, damaged = None, True
    asked = not seen.only or directory.id in seen.only
    if state is None and not busy and asked:
        (seen.damaged if damaged else seen.half).append(directory.id)
        if not damaged:
            seen.lost += groups
            seen.lost_rdt += rdt_groups
            seen.mounts += _left_mounts(intents, directory.id)
            return
    # A damaged state may be that of a running container.
    seen.containers.append(directory.id)
    seen.alive += groups if state is None else [state["cgroup"]]
    seen.alive_rdt += rdt_groups


def _left_mounts(intents: list[dict[str, Any]], name: str) -> list[tuple[str, str]]:
    left = []
    for intent in intents:
        if intent.get("kind") == "mounts" and intent["namespace"] == os.readlink(
            host_mounts.NAMESPACE
        ):
            before = set(intent["before"])
            below = str(intent["below"])
            left += [(path, name) for at, path in host_mounts.mounts(below) if at not in before]
    return left


# -- what is wrong, and the repair of each ---------------------------------------------------------


def _states(root: str, seen: Survey, *, force: bool) -> Problems:
    problems: Problems = [
        (f"directory {name} was left by a killed command", partial(_tidy, root))
        for name in seen.abandoned
    ]
    for name in seen.half:
        text = f"state {name} was never finished"
        problems.append((text, partial(delete.delete, root, name, force=True)))
    for name in seen.damaged:
        text = f"state {name} cannot be read"
        problems.append((text, partial(_delete_damaged, root, name, force=force)))
    return problems


def _tidy(root: str) -> None:
    root_fd = open_root(root)
    if root_fd >= 0:
        abandoned(root_fd, remove=True)
        os.close(root_fd)


def _delete_damaged(root: str, name: str, *, force: bool) -> None:
    if not force:
        raise Failure(
            f"state {name} may be that of a running container",
            hint="`pyrunc doctor --fix --force` kills what is left of it",
        )
    delete.delete(root, name, force=True)


def _mounts(root: str, seen: Survey) -> Problems:
    """Those of half-created containers go with their state; those in the state root first."""
    problems: Problems = [
        (f"mount {path} was left by {name}", _with_its_state) for path, name in seen.mounts
    ]
    for _, path in reversed(list(host_mounts.mounts(root))):
        name = path.removeprefix(f"{root}/").partition("/")[0]
        asked = not seen.only or name in seen.only
        if path != root and name not in seen.containers and asked:
            flags = host_mounts.MNT_DETACH | host_mounts.UMOUNT_NOFOLLOW
            repair = partial(syscalls.umount2, path, flags)
            problems.append((f"mount {path} belongs to no container", repair))
    return problems


def _with_its_state() -> None:
    """Nothing is left to do."""


def _findings(seen: Survey, *, user: bool, force: bool) -> Problems:
    findings = _units(seen, user=user)
    units = {one.name for one in findings}
    findings += [
        one
        for one in doctor.scan(seen.alive, lost=seen.lost, ids=seen.half)
        if not units.intersection(one.name.split("/"))  # it goes with its unit
    ]
    ids = {*seen.half, *(one.name.rpartition("/")[2] for one in findings)}
    ids |= {str(one["name"]) for one in seen.lost_rdt}
    findings += doctor.scan_rdt(seen.alive_rdt, ids=ids - {"/"}, mount=rdt.find_mount())
    if seen.only:
        findings = [one for one in findings if any(map(one.concerns, seen.only))]
    return [
        (one.text(), partial(doctor.remove, one, end_processes=force, user=user))
        for one in findings
    ]


def _units(seen: Survey, *, user: bool) -> list[Finding]:
    if not os.path.isdir(SYSTEMD):
        return []
    try:
        return doctor.scan_units(seen.alive, user=user)
    except Failure as failure:
        log.warning(f"systemd's units were not looked at: {failure}")
        return []
