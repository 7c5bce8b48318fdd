# SPDX-License-Identifier: Apache-2.0
"""What a user reads whose session lacks a controller."""

from __future__ import annotations

from pyrunc.cgroups import enable


def test_the_drop_in_is_told_where_the_manager_of_a_user_lacks_a_controller() -> None:
    text = enable._drop_in("/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service")
    assert "user@.service.d/delegate.conf" in text
    assert "Delegate=cpu cpuset io memory pids" in text
    assert enable._drop_in("/sys/fs/cgroup/system.slice") == ""
