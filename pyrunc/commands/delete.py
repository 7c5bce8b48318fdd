# SPDX-License-Identifier: Apache-2.0
"""delete: remove a container and everything that belongs to it."""

from __future__ import annotations

from pyrunc.lifecycle import delete
from pyrunc.lifecycle.state_root import matching_ids

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.cli.flags import Args


def run(args: Args) -> int:
    root = args.text("root")
    ids = matching_ids(root, args.positionals[0]) if args.flag("regex") else [args.positionals[0]]
    for container_id in ids:
        delete.delete(root, container_id, force=args.flag("force"))
    return 0
