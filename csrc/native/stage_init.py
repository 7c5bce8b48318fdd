# SPDX-License-Identifier: Apache-2.0
"""Puts the built init program into the package and records its digest (pyrunc/init/image.py)."""

from __future__ import annotations

import hashlib
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
PACKAGE = os.path.join(os.path.dirname(os.path.dirname(HERE)), "pyrunc")


def replace(path: str, content: bytes, *, mode: int) -> None:
    """Write a file by a rename, so that nobody ever reads half a file."""
    fd = os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(fd, "wb") as file:
        file.write(content)
    os.replace(path + ".new", path)


def main() -> None:
    with open(sys.argv[1], "rb") as file:
        image = file.read()
    digest = hashlib.sha256(image).hexdigest()
    text = f'''# SPDX-License-Identifier: Apache-2.0
"""The SHA-256 of pyrunc/init/pyrunc-init, written by csrc/native/stage_init.py."""

SHA256 = "{digest}"
'''
    replace(os.path.join(PACKAGE, "init", "pyrunc-init"), image, mode=0o755)
    replace(os.path.join(PACKAGE, "init", "digest.py"), text.encode(), mode=0o644)


if __name__ == "__main__":
    main()
