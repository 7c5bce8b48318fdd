# SPDX-License-Identifier: Apache-2.0
"""Lines of mountinfo, whose names a container may choose."""

from __future__ import annotations

import pytest

from pyrunc.host import mountinfo


@pytest.mark.parametrize("mark", ["\v", "\f", "\x1c", "\x85", "\u2028"])
def test_the_name_of_a_mount_point_cannot_begin_another_line(mark: str) -> None:
    line = f"31 30 0:5 /x /a{mark}32 rw shared:1 - tmpfs none rw\n"
    (found,) = mountinfo.parse(line.encode())
    assert (found.id, found.point, found.root, found.type) == (31, f"/a{mark}32", "/x", "tmpfs")


def test_what_the_kernel_escapes_comes_back() -> None:
    (found,) = mountinfo.parse(b"31 30 0:5 / /a\\040b\\011c\\012d\\134e rw - tmpfs none rw\n")
    assert found.point == "/a b\tc\nd\\e"


def test_a_backslash_of_a_name_begins_no_escape() -> None:
    (found,) = mountinfo.parse(b"31 30 0:5 / /a\\134040b rw - tmpfs none rw\n")
    assert found.point == "/a\\040b"


def test_optional_fields_and_sources_that_look_like_the_separator_are_passed_over() -> None:
    data = (
        b"31 30 0:5 / /- rw shared:1 master:2 - tmpfs - rw,a\n32 30 0:6 / /x rw - ext4 - cgroup\n"
    )
    assert [one.type for one in mountinfo.parse(data)] == ["tmpfs", "ext4"]
    assert [one.point for one in mountinfo.parse(data, types=("tmpfs",))] == ["/-"]
    assert not list(mountinfo.parse(data, types=("cgroup",)))
