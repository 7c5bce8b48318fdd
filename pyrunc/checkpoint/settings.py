# SPDX-License-Identifier: Apache-2.0
"""The configuration file that CRIU reads beside our options, whose settings win over them."""

from __future__ import annotations

import os
from errno import ENOENT

from pyrunc.checkpoint import program
from pyrunc.errors import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

ANNOTATION: Final = "org.criu.config"
USUAL: Final = ("/etc/criu/pyrunc.conf", "/etc/criu/runc.conf")


def find(annotations: Mapping[str, str]) -> str:
    """Return the path of CRIU's configuration file, "" for none.

    The annotation names one, or with "" forbids it; without it the first of USUAL that exists. It
    can name programs that run as root, so nobody else may write to it.
    """
    path = annotations.get(ANNOTATION)
    if path is None:
        path = next((one for one in USUAL if os.path.isfile(one)), "")
        pointer = ""
    else:
        pointer = f"/annotations/{ANNOTATION}"
        if path and not path.startswith("/"):
            raise Failure(f"annotation {ANNOTATION}: it must be an absolute path", pointer=pointer)
        if path and not os.path.isfile(path):
            raise Failure(f"annotation {ANNOTATION}: {path}", errno=ENOENT, pointer=pointer)
    if path:
        program.check_trusted(path, noun="the configuration of CRIU", pointer=pointer)
    return path
