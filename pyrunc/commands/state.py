# SPDX-License-Identifier: Apache-2.0
"""state: show a container as JSON."""

from __future__ import annotations

from pyrunc import jsontext
from pyrunc.container import Container
from pyrunc.output import emit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.flags import Args


def run(args: Args) -> int:
    container = Container.load(args.text("root"), args.positionals[0])
    found = container.oci_state(container.status())
    found["owner"] = ""
    emit(jsontext.encode(found, indent=2) + "\n")
    return 0
