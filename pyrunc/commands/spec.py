# SPDX-License-Identifier: Apache-2.0
"""spec: write a config.json to start from."""

from __future__ import annotations

import os

from pyrunc import jsontext
from pyrunc.errors import Failure
from pyrunc.host import facts as host
from pyrunc.spec import defaults

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.cli.flags import Args


def run(args: Args) -> int:
    facts = host.probe()
    document = defaults.default_config(cgroup_version=_cgroup_version())
    if args.flag("rootless"):
        document = defaults.rootless_config(document, euid=facts.euid, egid=facts.egid)
    name = args.text("file")
    path = os.path.join(args.text("bundle"), name)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        fd = os.open(path, flags, 0o666)
    except FileExistsError:
        raise Failure(f"File {name} exists. Remove it first") from None
    except OSError as error:
        raise Failure(f"cannot create {path}", errno=error.errno or 0) from None
    try:
        os.write(fd, (jsontext.encode(document, indent="\t") + "\n").encode())
    finally:
        os.close(fd)
    return 0


def _cgroup_version() -> int:
    """2 when cgroup2 is the only hierarchy."""
    return 2 if os.path.exists("/sys/fs/cgroup/cgroup.controllers") else 1
