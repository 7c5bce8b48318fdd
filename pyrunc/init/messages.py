# SPDX-License-Identifier: Apache-2.0
"""The messages between the init and its parent. Generated from optable.py: do not edit. PURE."""

from __future__ import annotations

from struct import Struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

AWAIT: Final = 1  # init to parent: a rendezvous; `value` is its number
FORKED: Final = 2  # init to parent: the init goes on as process `value`
ERROR: Final = 3  # init to parent: `op`, `step` and errno; `value` is the errno
GO: Final = 4  # parent to init: go on; descriptors may come along
EXEC: Final = 5  # init to parent: about to execute the program
HOOK: Final = 6  # init to parent: the hook `op` has ended well, after `value` ms

# type, op, step, value, detail
MESSAGE: Final = Struct("<IIIi240s")
