# SPDX-License-Identifier: Apache-2.0
"""checkpoint: save a running container with CRIU."""

from __future__ import annotations

from pyrunc.checkpoint.dump import Checkpoint, check_caller
from pyrunc.container import Container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.flags import Args


def run(args: Args) -> int:
    check_caller(args.verb)
    container = Container.load(args.text("root"), args.positionals[0], lock=True)
    Checkpoint(args, container).perform()
    return 0
