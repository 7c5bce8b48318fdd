# SPDX-License-Identifier: Apache-2.0
"""`check` prints the AppArmor profile where unprivileged user namespaces are restricted."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from pyrunc.host import facts
from pyrunc.lifecycle import predict


@pytest.mark.parametrize(
    ("euid", "label", "restricts", "told"),
    [
        (1000, "unconfined", "1", True),
        (1000, "unconfined", "0", False),
        (1000, "unconfined", "", False),
        (1000, "pyrunc (unconfined)", "1", False),
        (0, "unconfined", "1", False),
    ],
)
def test_the_profile_is_printed_for_whom_it_helps(
    monkeypatch: pytest.MonkeyPatch, euid: int, label: str, restricts: str, told: bool
) -> None:
    files = {"/proc/self/attr/current": f"{label}\n", predict.RESTRICTS: f"{restricts}\n"}
    monkeypatch.setattr(facts, "read", files.__getitem__)
    prepared: Any = SimpleNamespace(
        host=SimpleNamespace(euid=euid), new_namespaces=frozenset({"user", "mount"})
    )
    problems = list(predict._restricted_by_apparmor(prepared))
    assert bool(problems) is told
    if told:
        assert "userns," in problems[0].hint
        assert "flags=(unconfined)" in problems[0].hint
