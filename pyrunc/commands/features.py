# SPDX-License-Identifier: Apache-2.0
"""features: what this runtime supports, as JSON."""

from __future__ import annotations

from pyrunc import features, jsontext
from pyrunc.output import emit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.flags import Args


def run(args: Args) -> int:
    emit(jsontext.encode(features.document(), indent=4) + "\n")
    return 0
