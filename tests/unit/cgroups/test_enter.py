# SPDX-License-Identifier: Apache-2.0
"""Where in the container's cgroup a process of `exec` is put."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pyrunc.cgroups import enter, layout
from tests.unit.cgroups.support import directory_member


@pytest.mark.parametrize(
    ("paths", "expected"), [((), "init"), (("/",), ""), (("other",), "other"), ((":/",), "")]
)
def test_an_explicit_root_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, paths: tuple[str, ...], expected: str
) -> None:
    """Without --cgroup a process goes where the init is; with it, there or nowhere."""
    member = directory_member(tmp_path, version=2, files={"cgroup.subtree_control": "memory pids"})
    monkeypatch.setattr(layout, "parse_own", lambda _: {"": "/group/init"})
    below = enter.parse_paths(paths, [member]) if paths else {}
    found = enter.places([member], below=below, init_pid=os.getpid(), leaf=False)
    assert found[""] == expected
    member.close()
