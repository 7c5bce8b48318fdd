# SPDX-License-Identifier: Apache-2.0
"""state: show a container as JSON."""

from __future__ import annotations

from pyrunc import jsontext
from pyrunc.cli.output import emit
from pyrunc.lifecycle.container import STOPPED, Container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.cli.flags import Args


def run(args: Args) -> int:
    container = Container.load(args.text("root"), args.positionals[0])
    status = container.status()
    shown = container.oci_state(status)
    shown["owner"] = ""
    if status == STOPPED:
        from pyrunc.lifecycle import post_mortem

        shown["postMortem"] = post_mortem.examine(container)
    emit(jsontext.encode(shown, indent=2) + "\n")
    return 0
