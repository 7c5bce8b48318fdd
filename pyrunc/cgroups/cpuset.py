# SPDX-License-Identifier: Apache-2.0
"""Give a new cpuset cgroup of v1 its processors and memory nodes.

It has neither when it is made, and takes no task until it has both.
"""

from __future__ import annotations

from pyrunc.cgroups import tree
from pyrunc.errors import HostError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyrunc.cgroups.member import Cgroup

FILES = ("cpuset.cpus", "cpuset.mems")


def initialise(member: Cgroup, *, new: bool) -> None:
    """Fill the empty lists of the cgroup, and of its parents first, from their parents.

    Those of a new one are empty, or what its parent has (cgroup.clone_children): not read.
    """
    top = member.open_top()
    try:
        for file in FILES:
            _inherit(top, member.parts, file, known_empty=new)
    except OSError as error:
        raise HostError(
            f"cannot initialise the cpuset {member.path}", errno=error.errno or 0
        ) from error


def _inherit(top: int, parts: Sequence[str], file: str, *, known_empty: bool = False) -> str:
    path = "/".join((*parts, file))
    value = "" if known_empty else tree.read_text(top, path)
    if value or not parts:
        return value
    value = _inherit(top, parts[:-1], file)
    if value:
        tree.write_at(top, path, value)
    return value
