# SPDX-License-Identifier: Apache-2.0
"""The rules of devices go into their two files one after the other, each opened once."""

from __future__ import annotations

import os
import posix
from pathlib import Path
from typing import Any

import pytest

from pyrunc.cgroups.devices import rules, v1
from pyrunc.cgroups.member import Cgroup
from pyrunc.errors import Failure
from tests.unit.cgroups.support import directory_member

pytestmark = pytest.mark.usefixtures("closed_cgroups")


@pytest.fixture
def member(tmp_path: Path) -> Cgroup:
    files = {"devices.allow": "", "devices.deny": "", "devices.list": "a *:* rwm\n"}
    return directory_member(tmp_path, version=1, controllers=("devices",), files=files)


def test_each_file_is_opened_once(member: Cgroup, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []
    real = posix.open

    def spy(path: str, *args: Any, **more: Any) -> int:
        opened.append(path)
        return real(path, *args, **more)

    target = rules.target(())
    monkeypatch.setattr(posix, "open", spy)
    before = len(os.listdir("/proc/self/fd"))
    v1.apply(member, target, new=True)
    assert opened[1:] == ["devices.deny", "devices.allow"]
    member.close()
    assert len(os.listdir("/proc/self/fd")) == before
    written = Path(member.path, "devices.allow").read_text()
    assert written == "".join(map(rules.rule_text, *zip(*target.exceptions.items(), strict=True)))


def test_only_a_new_cgroup_is_denied_all_unseen(
    member: Cgroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who is inside may not lose what it uses, not for a moment; nor may an allow-all be taken for
    granted below a parent that denies.
    """
    read: list[str] = []
    real = Cgroup.read

    def spy(self: Cgroup, name: str) -> str:
        read.append(name)
        return real(self, name)

    monkeypatch.setattr(Cgroup, "read", spy)
    v1.apply(member, rules.target(()), new=True)
    assert read == []
    v1.apply(member, rules.target(()))
    v1.apply(member, rules.Access(True), new=True)
    assert read == ["devices.list"] * 2


def test_a_refusal_names_the_rule(member: Cgroup) -> None:
    Path(member.path, "devices.allow").unlink()
    with pytest.raises(Failure, match=r"devices\.allow"):
        v1.apply(member, rules.target(()), new=True)
