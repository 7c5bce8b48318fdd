# SPDX-License-Identifier: Apache-2.0
"""The program `pyrunc-helpers`: those of pyrunc/helpers in one, with an interpreter and libraries.

Usage: pyrunc-helpers PROGRAM WORDS..., as pyrunc/helpers/run.py calls it. PyInstaller makes the
directory that is installed as libexec/pyrunc/helpers (`make helpers`).
"""

from __future__ import annotations

import sys

from pyrunc.helpers import check_schema, move_devices, seccomp_plugins

PROGRAMS = {
    "check_schema": check_schema.main,
    "move_devices": move_devices.main,
    "seccomp_plugins": seccomp_plugins.main,
}


def main() -> int:
    name = sys.argv.pop(1) if len(sys.argv) > 1 else ""
    if name not in PROGRAMS:
        print(f"usage: pyrunc-helpers {'|'.join(PROGRAMS)} ...", file=sys.stderr)
        return 2
    return PROGRAMS[name]()


if __name__ == "__main__":
    sys.exit(main())
