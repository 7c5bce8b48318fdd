# SPDX-License-Identifier: Apache-2.0
"""completion: the completion of a shell, from the flag table."""

from __future__ import annotations

from pyrunc.cli.flag_table import VERBS
from pyrunc.cli.output import emit
from pyrunc.commands.completion_scripts import SCRIPTS
from pyrunc.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.cli.flags import Args


def run(args: Args) -> int:
    shell = args.positionals[0]
    if shell not in SCRIPTS:
        raise UsageError(
            f"there is no completion for the shell {shell[:32]!r}",
            hint=f"it is one of {', '.join(SCRIPTS)}",
        )
    emit(SCRIPTS[shell]([name for name, row in VERBS.items() if not row[6]]))
    return 0
