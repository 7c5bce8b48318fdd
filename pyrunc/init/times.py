# SPDX-License-Identifier: Apache-2.0
"""The op that notes when each op has ended, for --trace. PURE."""

from __future__ import annotations

from pyrunc.init import ops

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from pyrunc.init.ops import Op

OBJECT: Final = "times"  # the memory file, among the objects that the parent hands over


def trace_times(slot: int) -> list[Op]:
    """Note the times in the memory file of a slot; 0: nobody asks."""
    return [ops.TraceTimes(slot=slot, action="map the file for --trace")] if slot else []
