# SPDX-License-Identifier: Apache-2.0
"""checkpoint: refused until it exists (CK-1); the flags are there, because engines probe them."""

from __future__ import annotations

from pyrunc.errors import HostError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.flags import Args


def run(args: Args) -> int:
    raise HostError(
        f"{args.verb} is not available: pyrunc cannot save and restore containers yet",
        hint="use runc or crun for containers that must be checkpointed",
    )
