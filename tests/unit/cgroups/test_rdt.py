# SPDX-License-Identifier: Apache-2.0
"""Intel RDT against a directory that looks like resctrl."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pyrunc.cgroups import rdt
from pyrunc.errors import Failure, HostError


class Node:
    def __init__(self, **values: Any) -> None:
        self.clos_id = values.get("clos_id")
        self.l3_cache_schema = values.get("l3")
        self.mem_bw_schema = values.get("mb")
        self.schemata = tuple(values.get("schemata", ()))
        self.enable_monitoring = values.get("monitoring")


@pytest.fixture
def resctrl(tmp_path: Path) -> Path:
    for name in ("info/L3", "info/MB", "mon_groups", "shared/mon_groups"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "schemata").write_text("L3:0=fffff\nMB:0=100\n")
    (tmp_path / "tasks").write_text("")
    (tmp_path / "info/last_cmd_status").write_text("mask f0f has non-consecutive 1-bits\n")
    (tmp_path / "info/L3/cbm_mask").write_text("fffff\n")
    (tmp_path / "info/L3/num_closids").write_text("16\n")
    (tmp_path / "shared/schemata").write_text("L3:0=f\n")
    (tmp_path / "shared/tasks").write_text("")
    return tmp_path


def group(resctrl: Path, **values: Any) -> rdt.Group:
    return rdt.Group.resolve(Node(**values), "web1", mount=str(resctrl))  # type: ignore[arg-type]


def test_the_schemata_are_written_in_one_order() -> None:
    node = Node(l3="L3:0=f", mb="MB:0=20", schemata=["L2:0=3"])
    assert rdt.schemata(node) == "L3:0=f\nMB:0=20\nL2:0=3"  # type: ignore[arg-type]


def test_a_group_of_the_containers_own_is_made_and_removed(resctrl: Path) -> None:
    found = group(resctrl)
    assert found.made
    assert not (resctrl / "web1").exists()
    found.prepare(Node())  # type: ignore[arg-type]
    assert (resctrl / "web1").is_dir()
    again = rdt.Group.from_record(json.loads(json.dumps(found.record())))
    again.destroy()
    again.destroy()
    assert not (resctrl / "web1").exists()


def test_an_explicit_group_is_used_and_stays(resctrl: Path) -> None:
    found = group(resctrl, clos_id="shared")
    assert not found.made
    found.prepare(Node(l3="L3:0=3"))  # type: ignore[arg-type]
    found.attach(4)
    assert (resctrl / "shared/schemata").read_text().startswith("L3:0=3\n")
    assert (resctrl / "shared/tasks").read_text() == "4"
    found.destroy()
    assert (resctrl / "shared").is_dir()


def test_a_group_without_a_schema_must_exist(resctrl: Path) -> None:
    with pytest.raises(Failure, match="closID 'absent' does not exist") as caught:
        group(resctrl, clos_id="absent")
    assert caught.value.pointer == "/linux/intelRdt/closID"


def test_the_root_class_is_never_removed(resctrl: Path) -> None:
    found = group(resctrl, clos_id="/")
    assert found.path == str(resctrl)
    found.destroy()
    assert resctrl.is_dir()


@pytest.mark.parametrize("name", ["..", ".", "a/b", "/x", "info", "mon_groups", "a\nb", "x" * 256])
def test_a_class_is_one_component_and_none_of_resctrls_own(resctrl: Path, name: str) -> None:
    """IN-6"""
    with pytest.raises(Failure, match="closID"):
        group(resctrl, clos_id=name, l3="L3:0=f")


def test_a_refused_write_carries_the_kernels_words(resctrl: Path) -> None:
    found = group(resctrl, clos_id="shared")
    (resctrl / "shared/schemata").unlink()
    with pytest.raises(Failure, match="mask f0f has non-consecutive 1-bits"):
        found.write_schemata("L3:0=f0f")


def test_monitoring_has_a_group_in_the_group(resctrl: Path) -> None:
    found = group(resctrl, clos_id="shared", monitoring=True)
    found.prepare(Node())  # type: ignore[arg-type]
    assert (resctrl / "shared/mon_groups/web1").is_dir()
    cache = resctrl / "shared/mon_groups/web1/mon_data/mon_L3_00"
    cache.mkdir(parents=True)
    (cache / "llc_occupancy").write_text("9\n")
    (cache / "mbm_total_bytes").write_text("Unavailable\n")
    (cache / "mbm_local_bytes").write_text("4\n")
    data = found.stats()
    assert data["cmt_stats"] == [{"llc_occupancy": 9}]
    assert data["mbm_stats"] == [{"mbm_local_bytes": 4}]
    assert data["l3_cache_schema"] == "L3:0=f"
    assert data["l3_cache_schema_root"] == "L3:0=fffff"
    assert data["mem_bw_schema_root"] == "MB:0=100"
    assert data["l3_cache_info"] == {"cbm_mask": "fffff", "num_closids": 16}


def test_without_resctrl_the_request_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rdt, "find_mount", lambda: None)
    with pytest.raises(HostError, match="resctrl is not mounted"):
        rdt.Group.resolve(Node(), "web1")  # type: ignore[arg-type]


def test_the_mount_is_found(tmp_path: Path) -> None:
    (tmp_path / "mountinfo").write_text(
        "5 1 0:5 / /x rw - tmpfs resctrl rw\n9 1 0:9 / /sys/fs/resctrl rw - resctrl resctrl rw\n"
    )
    assert rdt.find_mount(proc=str(tmp_path)) == "/sys/fs/resctrl"
