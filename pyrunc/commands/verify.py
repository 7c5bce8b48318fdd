# SPDX-License-Identifier: Apache-2.0
"""verify: what of a living container is not as its configuration says."""

from __future__ import annotations

from pyrunc import jsontext
from pyrunc.cli.output import emit
from pyrunc.lifecycle.container import Container
from pyrunc.lifecycle.verify import verify

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.cli.flags import Args


def run(args: Args) -> int:
    differences = verify(Container.load(args.text("root"), args.positionals[0]))
    if args.text("format") == "json":
        rows = [
            {
                "pointer": one.pointer,
                "subject": one.subject,
                "expected": one.expected,
                "found": one.found,
            }
            for one in differences
        ]
        emit(jsontext.encode(rows, indent=2) + "\n")
    else:
        emit("".join(f"{one.line()}\n" for one in differences) or "as configured\n")
    return 1 if differences else 0
