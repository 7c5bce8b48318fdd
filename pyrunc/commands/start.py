# SPDX-License-Identifier: Apache-2.0
"""start: let a created container run its program."""

from __future__ import annotations

from pyrunc.container import Container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.flags import Args


def run(args: Args) -> int:
    Container.load(args.text("root"), args.positionals[0], lock=True).start()
    return 0
