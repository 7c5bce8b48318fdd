# SPDX-License-Identifier: Apache-2.0
"""The rules of devices go into their two files one after the other, each opened once."""

from __future__ import annotations

import os
import posix
from pathlib import Path
from typing import Any

import pytest

from pyrunc.cgroups import devices, devices_v1
from pyrunc.cgroups.member import Member
from pyrunc.errors import Failure
from tests.unit.cgroups.support import directory_member

pytestmark = pytest.mark.usefixtures("closed_cgroups")


@pytest.fixture
def member(tmp_path: Path) -> Member:
    files = {"devices.allow": "", "devices.deny": "", "devices.list": "a *:* rwm\n"}
    return directory_member(tmp_path, version=1, controllers=("devices",), files=files)


def test_each_file_is_opened_once(member: Member, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []
    real = posix.open

    def spy(path: str, *args: Any, **more: Any) -> int:
        opened.append(path)
        return real(path, *args, **more)

    target = devices.target(())
    monkeypatch.setattr(posix, "open", spy)
    before = len(os.listdir("/proc/self/fd"))
    devices_v1.apply(member, target, new=True)
    assert opened[1:] == ["devices.deny", "devices.allow"]
    member.close()
    assert len(os.listdir("/proc/self/fd")) == before
    written = Path(member.path, "devices.allow").read_text()
    assert written == "".join(map(devices.rule_text, *zip(*target.exceptions.items(), strict=True)))


def test_only_a_new_cgroup_is_denied_all_unseen(
    member: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who is inside may not lose what it uses, not for a moment; nor may an allow-all be taken for
    granted below a parent that denies.
    """
    read: list[str] = []
    real = Member.read

    def spy(self: Member, name: str) -> str:
        read.append(name)
        return real(self, name)

    monkeypatch.setattr(Member, "read", spy)
    devices_v1.apply(member, devices.target(()), new=True)
    assert read == []
    devices_v1.apply(member, devices.target(()))
    devices_v1.apply(member, devices.Access(True), new=True)
    assert read == ["devices.list"] * 2


def test_a_refusal_names_the_rule(member: Member) -> None:
    Path(member.path, "devices.allow").unlink()
    with pytest.raises(Failure, match=r"devices\.allow"):
        devices_v1.apply(member, devices.target(()), new=True)
