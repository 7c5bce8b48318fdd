# SPDX-License-Identifier: Apache-2.0
"""What belongs to no container is told from what does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pyrunc.cgroups import doctor, tree

M = "/sys/fs/cgroup/pids"


def record(path: str, **more: Any) -> dict[str, Any]:
    return {"cgroups": [{"mount": M, "path": path}], **more}


def found(*paths: str) -> list[tuple[str, str]]:
    return [(M, path) for path in paths]


def test_a_cgroup_of_a_living_container_and_all_around_it_is_left_alone() -> None:
    live, _ = doctor.owned([record("docker/web1")])
    seen = found("docker", "docker/web1", "docker/web1/web2", "docker/web2", "user.slice")
    assert doctor.orphans(seen, live=live, ids=["docker", "web1", "web2"]) == found("docker/web2")


def test_only_known_names_and_places_are_candidates() -> None:
    seen = found("a/x", "b/x1", "system.slice/ssh.service")
    assert doctor.orphans(seen, live=set(), ids=["x"]) == found("a/x")
    assert doctor.orphans(seen, live=set(), parents=["b"]) == found("b/x1")


def test_a_name_that_only_begins_alike_is_another() -> None:
    """IN-9"""
    live, _ = doctor.owned([record("docker/web1")])
    seen = found("docker/web1x", "docker/web")
    assert doctor.orphans(seen, live=live, parents=["docker"]) == seen


class Counted(set[tuple[str, str]]):
    """A set that counts how often it is asked, and how often it is gone through."""

    asked = walks = 0

    def __contains__(self, item: object) -> bool:
        self.asked += 1
        return super().__contains__(item)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        self.walks += 1
        return super().__iter__()


def compared(containers: int, leftovers: int) -> Counted:
    """Look for so many cgroups that are left over beside so many living containers."""
    places = [f"pods/pod{number}/live{number}" for number in range(containers)]
    gone = [f"pods/gone{number}" for number in range(leftovers)]
    live = Counted(doctor.owned(map(record, places))[0])
    seen = found("pods", *places, *gone)
    ids = [f"gone{number}" for number in range(leftovers)]
    assert doctor.orphans(seen, live=live, ids=ids) == found(*gone)
    return live


def test_what_is_left_over_is_not_compared_with_each_living_container() -> None:
    """With 1000 of each that would be a million comparisons in each hierarchy."""
    few, many = compared(10, 20), compared(500, 20)
    assert few.walks == many.walks == 1
    assert 20 <= few.asked == many.asked <= 60


def test_scopes_are_known_by_our_prefix() -> None:
    _, live = doctor.owned([record("x", unit="pyrunc-a.scope")])
    loaded = ["pyrunc-a.scope", "pyrunc-b.scope", "docker-c.scope", "pyrunc-d.service"]
    assert doctor.orphan_units(loaded, live=live) == ["pyrunc-b.scope"]


def test_rdt_groups_are_known_by_their_containers(tmp_path: Path) -> None:
    for name in ("web1", "web2", "other", "info"):
        (tmp_path / name).mkdir()
    findings = doctor.scan_rdt([{"name": "web1"}], ids=["web1", "web2"], mount=str(tmp_path))
    assert [one.name for one in findings] == [f"{tmp_path}/web2"]
    doctor.remove(findings[0])
    assert not (tmp_path / "web2").exists()
    assert doctor.scan_rdt([], ids=["x"], mount=None) == []


def test_a_finding_says_who_is_in_it() -> None:
    finding = doctor.Finding("cgroup", name="/x", pids=tuple(range(1, 12)))
    assert finding.text() == (
        "cgroup /x belongs to no container with 11 process(es): 1, 2, 3, 4, 5, 6, 7, 8, ..."
    )


def test_a_tree_is_walked_from_the_top(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "c").mkdir()
    (tmp_path / "c/link").symlink_to("/")
    import os

    fd = os.open(tmp_path, os.O_RDONLY)
    try:
        assert [path for path, _ in tree.walk(fd)] == ["", "a", "a/b", "c"]
    finally:
        os.close(fd)
