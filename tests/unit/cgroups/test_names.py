# SPDX-License-Identifier: Apache-2.0
"""Names from the configuration are refused, never cleaned."""

from __future__ import annotations

import pytest

from pyrunc.cgroups import names, place
from pyrunc.cgroups.layout import Hierarchy
from pyrunc.errors import Failure


@pytest.mark.parametrize(
    "path",
    [
        "..",
        "/..",
        "/a/../b",
        "/a/..",
        "a/./b",
        ".",
        "/a//b",
        "/a/",
        "//a",
        "/",
        "//",
        "/a\0b",
        "/a\nb",
        "/a\x7fb",
        "/a/\tb",
        "/" + "/".join("x" * 33),
        "/" + "x" * 256,
        "/" + "é" * 128,
        "/" + "/".join(["y" * 200] * 21),
    ],
)
def test_a_cgroups_path_that_needs_cleaning_is_refused(path: str) -> None:
    """CG-3"""
    with pytest.raises(Failure) as caught:
        names.cgroups_path(path)
    assert caught.value.pointer == "/linux/cgroupsPath"
    assert len(str(caught.value)) < 1024


@pytest.mark.parametrize(
    ("path", "parts"),
    [
        ("/a", ("a",)),
        ("a/b", ("a", "b")),
        ("/..a/b..", ("..a", "b..")),
        ("/a b/é", ("a b", "é")),
        ("/" + "/".join("x" * 32), ("x",) * 32),
        ("/machine.slice/libpod-abc.scope", ("machine.slice", "libpod-abc.scope")),
    ],
)
def test_a_plain_cgroups_path_is_split(path: str, parts: tuple[str, ...]) -> None:
    assert names.cgroups_path(path) == parts


@pytest.mark.parametrize(
    "key",
    [
        "../x/cgroup.procs",
        "a/b",
        ".",
        "",
        "..",
        "memory.max\0",
        "memory." + "x" * 300,
        "memory",
        ".max",
        "memory.",
        "memory..max",
        "Memory.max",
        "memory max",
        "memory.max\n",
    ],
)
def test_a_unified_key_that_is_no_control_file_is_refused(key: str) -> None:
    """CG-2"""
    with pytest.raises(Failure):
        names.control_file(key, pointer="/linux/resources/unified")


def test_control_files_of_the_kernel_are_accepted() -> None:
    for key in (
        "memory.max",
        "hugetlb.2MB.max",
        "hugetlb.1GB.rsvd.max",
        "cpu.max.burst",
        "io.bfq.weight",
    ):
        assert names.control_file(key, pointer="") == key


@pytest.mark.parametrize("path", ["..", "../other", "a/../..", "a//b", "./a", "a/."])
def test_a_sub_cgroup_does_not_leave_the_containers(path: str) -> None:
    """CG-3"""
    with pytest.raises(Failure):
        names.sub_path(path)


def hierarchy(own: str, version: int) -> Hierarchy:
    return Hierarchy(name="", controllers=(), version=version, mount="/m", device=0, own=own)


@pytest.mark.parametrize(
    ("own", "version", "parts"),
    [
        ("/", 1, ()),
        ("/a/b", 1, ("a", "b")),
        # A cgroup2 with processes gives no controllers to children: one level up.
        ("/a/b", 2, ("a",)),
        ("/", 2, ()),
        ("/../../x", 1, ()),
    ],
)
def test_relative_paths_start_at_the_callers_cgroup(
    own: str, version: int, parts: tuple[str, ...]
) -> None:
    assert place.own_parts(hierarchy(own, version)) == parts


def test_without_a_path_the_id_is_the_name() -> None:
    assert place.components(None, container_id="web1") == ("web1",)
    assert place.components("", container_id="web1") == ("web1",)
    assert place.components("/x/y", container_id="web1") == ("x", "y")
