# SPDX-License-Identifier: Apache-2.0
"""list: the containers of a state root, as a table, as JSON, or only their ids."""

from __future__ import annotations

import os

from pyrunc import jsontext
from pyrunc.cli.output import emit
from pyrunc.errors import Failure
from pyrunc.lifecycle.container import Container
from pyrunc.lifecycle.state import StateDirectory, has_state
from pyrunc.lifecycle.state_root import list_ids, open_root
from pyrunc.log import log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrunc.cli.flags import Args

COLUMNS = ("ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER")
KEYS = ("id", "pid", "status", "bundle", "created", "owner")
LEAST_WIDTH = 12
GAP = 3


def run(args: Args) -> int:
    root_fd = open_root(args.text("root"))
    if root_fd < 0 and args.given("root"):
        log.warning(f"the state root {args.text('root')} does not exist: it holds no containers")
    if args.flag("quiet"):
        names = [] if root_fd < 0 else list_ids(root_fd)
        emit("".join(f"{name}\n" for name in names if has_state(root_fd, name)))
        return 0
    containers = [] if root_fd < 0 else _containers(root_fd)
    if args.text("format") == "json":
        emit((jsontext.encode(containers) if containers else "null") + "\n")
    else:
        emit(_table(containers))
    return 0


def _containers(root_fd: int) -> list[dict[str, Any]]:
    rows = []
    owners: dict[int, str] = {}
    for name in list_ids(root_fd):
        try:
            directory = StateDirectory.open_at(os.dup(root_fd), name)
            if directory is None:
                continue
            try:
                state = directory.load()
                if state is not None:
                    container = Container(directory, state)
                    uid = state["owner"]
                    if uid not in owners:
                        owners[uid] = _owner(uid)
                    told = container.oci_state(container.status())
                    rows.append({**told, "owner": owners[uid]})
            finally:
                directory.close()
        except (Failure, OSError) as error:
            log.warning(f"list: {name}: {error}")
    return rows


def _owner(uid: int) -> str:
    """Return the name of a user from /etc/passwd: the launcher has no name services."""
    try:
        with open("/etc/passwd", encoding="utf-8", errors="surrogateescape") as file:
            for line in file:
                fields = line.split(":")
                if len(fields) > 2 and fields[2] == str(uid):
                    return fields[0]
    except OSError:  # no such file: nobody has a name
        pass
    return f"#{uid}"


def _table(containers: list[dict[str, Any]]) -> str:
    rows = [COLUMNS, *(tuple(str(one[key]) for key in KEYS) for one in containers)]
    widths = [max(LEAST_WIDTH, *(len(row[i]) + GAP for row in rows)) for i in range(len(COLUMNS))]
    return "".join(
        "".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() + "\n"
        for row in rows
    )
