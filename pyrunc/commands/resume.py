# SPDX-License-Identifier: Apache-2.0
"""resume: thaw the processes of a paused container."""

from __future__ import annotations

from pyrunc.lifecycle.container import Container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.cli.flags import Args


def run(args: Args) -> int:
    Container.load(args.text("root"), args.positionals[0], lock=True).resume()
    return 0
