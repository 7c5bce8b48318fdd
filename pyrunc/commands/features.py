# SPDX-License-Identifier: Apache-2.0
"""features: what this runtime supports, as JSON."""

from __future__ import annotations

from pyrunc import jsontext
from pyrunc.cli.output import emit
from pyrunc.commands import features_document

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.cli.flags import Args


def run(args: Args) -> int:
    emit(jsontext.encode(features_document.document(), indent=4) + "\n")
    return 0
