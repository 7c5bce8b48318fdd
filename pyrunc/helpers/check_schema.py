# SPDX-License-Identifier: Apache-2.0
"""A program of its own: compares a configuration with the published JSON schema.

Usage: python3 -I check_schema.py LIBRARIES <CONFIG. Answers one line: `{"problems": [[POINTER,
MESSAGE, VALUE]]}`. The launcher runs it, because a part of jsonschema is written in Rust and cannot
be linked in.
"""

from __future__ import annotations

import json
import os
import sys


def main() -> int:
    if sys.argv[1]:  # empty: all is in this program
        package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
        sys.path[:0] = [os.path.dirname(package)]
        sys.path.append(sys.argv[1])
    from pyrunc.spec import schema

    problems = schema.problems(json.load(sys.stdin))
    print(json.dumps({"problems": [[one.pointer, one.message, one.value] for one in problems]}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
