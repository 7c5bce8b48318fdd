# SPDX-License-Identifier: Apache-2.0
"""pause: freeze the processes of a container."""

from __future__ import annotations

from pyrunc.lifecycle.container import Container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.cli.flags import Args


def run(args: Args) -> int:
    Container.load(args.text("root"), args.positionals[0], lock=True).pause()
    return 0
