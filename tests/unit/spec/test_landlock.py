# SPDX-License-Identifier: Apache-2.0
"""The annotation org.pyrunc.landlock is read strictly, for the ABI of the kernel."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pyrunc.spec import landlock
from pyrunc.spec.landlock import FS, NET, SCOPED


def read(value: Any, *, abi: int = 7) -> tuple[landlock.Domain | None, list[tuple[str, str]]]:
    """The domain, and pointers (below the annotation) with messages."""
    noted: list[tuple[str, str]] = []

    def report(
        pointer: str, message: str, *, value: str = "", allowed: str = "", hint: str = ""
    ) -> None:
        noted.append((pointer.removeprefix(landlock.POINTER), message))

    text = value if isinstance(value, str) else json.dumps(value)
    return landlock.parse(text, abi=abi, report=report), noted


def test_names_become_the_bits_of_the_kernel() -> None:
    rules = [{"path": "/a", "access": ["refer"]}, {"port": 443, "access": "all"}]
    value = {FS: ["execute", "refer"], NET: ["connect_tcp"], SCOPED: ["signal"], "rules": rules}
    domain, noted = read(value)
    assert noted == []
    assert domain is not None
    assert domain.handled == {FS: 1 | 1 << 13, NET: 2, SCOPED: 2}
    assert [(rule.path, rule.port, rule.access) for rule in domain.rules] == [
        ("/a", -1, 1 << 13),
        ("", 443, 2),
    ]


@pytest.mark.parametrize(("abi", "bits"), [(1, 13), (2, 14), (3, 15), (4, 15), (5, 16), (7, 16)])
def test_all_is_bounded_by_the_abi(abi: int, bits: int) -> None:
    domain, _ = read({FS: "all"}, abi=abi)
    assert domain is not None
    assert domain.handled[FS] == (1 << bits) - 1


@pytest.mark.parametrize(
    ("value", "abi", "pointer", "since"),
    [
        ({FS: ["ioctl_dev"]}, 4, f"/{FS}", 5),
        ({FS: 1 << 14}, 2, f"/{FS}", 3),
        ({NET: "all"}, 3, f"/{NET}", 4),
        ({SCOPED: ["signal"]}, 5, f"/{SCOPED}", 6),
        ({FS: 1, "log": True}, 6, "/log", 7),
    ],
)
def test_the_abi_that_is_missing_is_named(value: Any, abi: int, pointer: str, since: int) -> None:
    domain, noted = read(value, abi=abi)
    assert domain is None
    assert noted[0][0] == pointer
    assert f"needs Landlock ABI {since}, and this kernel has ABI {abi}" in noted[0][1]


RULE = {"path": "/a", "access": 1}


@pytest.mark.parametrize(
    ("value", "pointer", "message"),
    [
        ("{", "", "not valid"),
        ('{"log": true, "log": false}', "", "not valid"),
        ("[]", "", "must be an object"),
        ({}, "", "nothing is handled"),
        ({"rules": []}, "", "nothing is handled"),
        ({FS: []}, f"/{FS}", "is not a set of rights"),
        ({FS: 0}, f"/{FS}", "is not a set of rights"),
        ({FS: -1}, f"/{FS}", "is not a set of rights"),
        ({FS: True}, f"/{FS}", "is not a set of rights"),
        ({FS: 1 << 64}, f"/{FS}", "is not a set of rights"),
        ({FS: ["read"]}, f"/{FS}/0", "is no right"),
        ({FS: [None]}, f"/{FS}/0", "is no right"),
        ({"handledAccessFs": 1}, "/handledAccessFs", "is not known"),
        ({FS: 1, "log": 1}, "/log", "must be true or false"),
        ({FS: 1, "rules": {}}, "/rules", "must be an array"),
        ({FS: 1, "rules": [1]}, "/rules/0", "must be an object"),
        ({FS: 1, "rules": [RULE, {**RULE, "port": 1}]}, "/rules/1", "either `path` or `port`"),
        ({FS: 1, "rules": [{"path": "/a"}]}, "/rules/0", "must have `access`"),
        ({FS: 1, "rules": [{**RULE, "x": 1}]}, "/rules/0/x", "is not known"),
        ({FS: 1, "rules": [{**RULE, "path": "a"}]}, "/rules/0/path", "absolute path"),
        ({FS: 1, "rules": [{**RULE, "path": "/a\0"}]}, "", "not valid"),
        ({FS: 1, "rules": [{**RULE, "access": 3}]}, "/rules/0/access", "does not deny: write_file"),
        ({FS: 1, "rules": [{"port": 1, "access": 1}]}, "/rules/0/access", "does not deny: bind"),
        ({NET: 1, "rules": [{"port": 65536, "access": 1}]}, "/rules/0/port", "from 0 to 65535"),
        ({NET: 1, "rules": [{"port": "1", "access": 1}]}, "/rules/0/port", "from 0 to 65535"),
    ],
)
def test_what_is_wrong_is_named_and_gives_no_domain(value: Any, pointer: str, message: str) -> None:
    domain, noted = read(value)
    assert domain is None
    assert noted[0][0] == pointer
    assert message in noted[0][1]


def test_a_kernel_without_landlock_runs_nothing_instead() -> None:
    domain, noted = read({FS: "all"}, abi=0)
    assert domain is None
    assert noted == [("", "this kernel has no Landlock")]


def test_a_right_without_a_name_is_the_kernel_s_to_judge() -> None:
    domain, noted = read({FS: 1 << 40})
    assert noted == []
    assert domain is not None
    assert landlock.names(FS, domain.handled[FS] | 1) == "execute, 0x10000000000"
