# SPDX-License-Identifier: Apache-2.0
"""Lines of mountinfo, whose names a container may choose."""

from __future__ import annotations

import pytest

from pyrunc.lifecycle import host_mounts


@pytest.mark.parametrize("mark", ["\v", "\f", "\x1c", "\x85", "\u2028"])
def test_the_name_of_a_mount_point_cannot_begin_another_line(mark: str) -> None:
    line = f"31 30 0:5 /x /a{mark}32 rw shared:1 - tmpfs none rw\n"
    (found,) = host_mounts.parse(line.encode())
    assert (found.id, found.point, found.root, found.type) == (31, f"/a{mark}32", "/x", "tmpfs")


def test_what_the_kernel_escapes_comes_back() -> None:
    (found,) = host_mounts.parse(b"31 30 0:5 / /a\\040b\\011c\\012d\\134e rw - tmpfs none rw\n")
    assert found.point == "/a b\tc\nd\\e"
