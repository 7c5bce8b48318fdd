# SPDX-License-Identifier: Apache-2.0
"""state: show a container as JSON."""

from __future__ import annotations

from pyrunc import jsontext
from pyrunc.cli.output import emit
from pyrunc.lifecycle.container import Container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.cli.flags import Args


def run(args: Args) -> int:
    container = Container.load(args.text("root"), args.positionals[0])
    found = container.oci_state(container.status())
    found["owner"] = ""
    emit(jsontext.encode(found, indent=2) + "\n")
    return 0
