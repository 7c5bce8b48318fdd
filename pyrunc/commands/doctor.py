# SPDX-License-Identifier: Apache-2.0
"""doctor: what belongs to no container any more: half-created state directories and cgroups."""

from __future__ import annotations

import os

from pyrunc import deletion
from pyrunc.cgroups import doctor
from pyrunc.errors import Failure
from pyrunc.log import log
from pyrunc.output import emit
from pyrunc.state import StateDirectory, list_ids, open_root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrunc.flags import Args


def run(args: Args) -> int:
    root = args.text("root")
    fix = args.flag("fix")
    half, alive, lost = _look(root)
    lines = [f"state {name} was never finished" for name in half]
    findings = doctor.scan(alive, lost=lost, ids=half)
    lines += [finding.text() for finding in findings]
    failed = 0
    if fix:
        for name in half:
            failed += _try(lambda name=name: deletion.delete(root, name, force=True))
        for finding in findings:
            failed += _try(lambda finding=finding: doctor.remove(finding))
    emit("".join(f"{line}\n" for line in lines) or "nothing is left over\n")
    return 1 if failed or (lines and not fix) else 0


def _try(action: Any) -> int:
    try:
        action()
    except (Failure, OSError) as error:
        log.warning(str(error))
        return 1
    return 0


def _look(root: str) -> tuple[list[str], list[Any], list[Any]]:
    """Half-created containers, the cgroup records of the others, and those of the half-created."""
    root_fd = open_root(root)
    half: list[str] = []
    alive: list[Any] = []
    lost: list[Any] = []
    if root_fd < 0:
        return half, alive, lost
    for name in list_ids(root_fd):
        directory = StateDirectory.open_at(os.dup(root_fd), name)
        if directory is None:
            continue
        # A create under way holds the lock; what it has made is in use.
        busy = not directory.try_lock()
        intents = [one["record"] for one in directory.intents() if one.get("kind") == "cgroup"]
        try:
            state = directory.load()
        except Failure:
            state = None
        if state is not None:
            alive.append(state["cgroup"])
        elif busy:
            alive.extend(intents)
        else:
            half.append(name)
            lost.extend(intents)
        directory.close()
    return half, alive, lost
