# SPDX-License-Identifier: Apache-2.0
"""`checkpoint --together` and `restore --together`: several containers as one.

Each container has its own criu and its own images. The first criu waits, with its processes held
and its sockets in repair mode, until those after it have come as far; only then do they let go. So
no end of a connection runs while the other one is missing, and all is as before when one fails.
"""

from __future__ import annotations

from pyrunc.checkpoint.dump import Checkpoint
from pyrunc.errors import Failure
from pyrunc.lifecycle.container import RUNNING
from pyrunc.log import log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyrunc.checkpoint.options import CriuOptions
    from pyrunc.checkpoint.restore import Restoration
    from pyrunc.lifecycle.container import Container

    Step = Callable[[], None]

# -- checkpoint ------------------------------------------------------------------------------------


def save(containers: Sequence[Container], options: Callable[[str], CriuOptions]) -> None:
    """Save containers, whose locks are held, at one moment; `options`: by the id."""
    checkpoints = [Checkpoint(options(one.id), one) for one in containers]
    held: list[Container] = []
    stay = False
    try:
        for container in containers:
            if container.status() == RUNNING:
                held.append(container)
                container.pause()
        nest([one.save for one in checkpoints], [one.hold for one in checkpoints])
        stay = any(one.stays for one in checkpoints)
    except BaseException:
        stay = True
        raise
    finally:
        if stay:
            _let_go(held)
    if not stay:
        _end(checkpoints)


def _let_go(held: Sequence[Container]) -> None:
    """Thaw what was frozen here; what cannot be thawed is named, and the others go on."""
    for container in held:
        try:
            container.cgroup(now=True).thaw()
        except (Failure, OSError) as error:
            log.warning(f"{container.id} stays frozen: {error}")


def _end(checkpoints: Sequence[Checkpoint]) -> None:
    """Remove what is left of all; the first error is raised when every one was tried."""
    first: Failure | OSError | None = None
    for checkpoint in checkpoints:
        try:
            checkpoint.end()
        except (Failure, OSError) as error:
            first = first or error
    if first is not None:
        raise first


def nest(steps: Sequence[Step], holds: Sequence[Callable[[Step], None]]) -> None:
    """Run the first step; at its moment of holding still the second, and so on.

    A step that fails makes those around it fail at that moment.
    """
    for hold, following in zip(holds, steps[1:], strict=False):
        hold(following)
    steps[0]()


# -- restore ---------------------------------------------------------------------------------------


def bring_back(makers: Sequence[Callable[[], Restoration]]) -> None:
    """Restore containers, detached: none runs before all are there, or none is left."""
    restorations: list[Restoration] = []
    try:
        for make in makers:
            restorations.append(make())  # claims the id
        nest([each.perform for each in restorations], [each.hold for each in restorations])
    except BaseException:
        for restoration in reversed(restorations):
            restoration.undo()
        raise
    finally:
        for restoration in restorations:
            restoration.close()
