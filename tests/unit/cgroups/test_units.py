# SPDX-License-Identifier: Apache-2.0
"""Names and properties of systemd units."""

from __future__ import annotations

from typing import Any

import pytest

from pyrunc.cgroups.devices import rules
from pyrunc.cgroups.systemd import annotations as variants
from pyrunc.cgroups.systemd import unit_names, unit_properties
from pyrunc.errors import Failure
from tests.support.cgroups import resources

MB = 1 << 20


@pytest.mark.parametrize(
    ("path", "rootless", "parts"),
    [
        (None, False, ("system.slice", "pyrunc-web1.scope")),
        ("", True, ("user.slice", "pyrunc-web1.scope")),
        ("system.slice:docker:abc", False, ("system.slice", "docker-abc.scope")),
        ("machine.slice:libpod:a1", False, ("machine.slice", "libpod-a1.scope")),
        (":x:y", False, ("system.slice", "x-y.scope")),
        # The same units as with the other runtimes, whose names engines know.
        ("a.slice::y", False, ("a.slice", "-y.scope")),
        ("a.slice:p:", False, ("a.slice", "p-.scope")),
        ("a-b-c.slice:p:n", False, ("a.slice", "a-b.slice", "a-b-c.slice", "p-n.scope")),
        ("-:p:n", False, ("p-n.scope",)),
        ("-.slice:p:n", False, ("p-n.scope",)),
        ("a.slice:p:b-c.slice", False, ("b.slice", "b-c.slice")),
        (":p:n/../x y", False, ("system.slice", "p-n\\x2f..\\x2fx\\x20y.scope")),
    ],
)
def test_a_unit_and_its_cgroup(path: str | None, rootless: bool, parts: tuple[str, ...]) -> None:
    """CG-6"""
    assert unit_names.parse(path, container_id="web1", rootless=rootless).parts() == parts


@pytest.mark.parametrize(
    "path",
    [
        "/docker/abc",
        "a:b",
        "a.slice:b:c:d",
        "noslice:b:c",
        "a--b.slice:p:n",
        "-a.slice:p:n",
        "a-.slice:p:n",
        ".slice:p:n",
        "a/b.slice:p:n",
        "a.slice::",
        "a b.slice:p:n",
        "a.slice:p:" + "x" * 250,
        "a.slice:p:b--c.slice",
    ],
)
def test_what_is_no_unit_is_refused(path: str) -> None:
    """CG-6"""
    with pytest.raises(Failure) as caught:
        unit_names.parse(path, container_id="web1", rootless=False)
    assert caught.value.pointer == "/linux/cgroupsPath"


def test_object_paths_are_escaped_as_systemd_does() -> None:
    assert unit_names.object_path("a-1.scope").endswith("/unit/a_2d1_2escope")
    assert unit_names.object_path("1a").endswith("/unit/_31a")


def test_an_engine_may_ask_for_the_default_dependencies() -> None:
    """So that a shutdown stops containers of CRI-O with the services that are stopped by it."""
    annotations = {
        "org.systemd.property.DefaultDependencies": "true",
        "org.systemd.property.After": "['crio.service']",
    }
    found = dict(variants.properties(annotations))
    assert found == {"DefaultDependencies": ("b", True), "After": ("as", ["crio.service"])}


def test_annotations_become_properties() -> None:
    found = variants.properties(
        {
            "org.systemd.property.KillSignal": "15",
            "org.systemd.property.TimeoutStopUSec": "uint64 10000000",
            "org.systemd.property.TimeoutStopSec": "2",
            "org.systemd.property.CollectMode": "'inactive-or-failed'",
            "other": "x",
        }
    )
    assert found == [
        ("CollectMode", ("s", "inactive-or-failed")),
        ("KillSignal", ("i", 15)),
        ("TimeoutStopUSec", ("t", 2000000)),
        ("TimeoutStopUSec", ("t", 10000000)),
    ]


@pytest.mark.parametrize(
    "name", ["Ab", "A_b", "Kill Signal", "", "Slice", "Delegate", "DeviceAllow"]
)
def test_annotations_do_not_reach_what_the_driver_decides(name: str) -> None:
    """IN-8, CG-6"""
    with pytest.raises(Failure):
        variants.properties({f"org.systemd.property.{name}": "true"})


def properties(node: dict[str, Any], *, version: int = 2, manager: int = 252) -> dict[str, Any]:
    found = unit_properties.resource_properties(resources(**node), version=version, manager=manager)
    return {name: value for name, (_, value) in found}


INFINITY = 2**64 - 1


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        (
            {"memory": {"limit": 64 * MB, "swap": 96 * MB, "reservation": MB}},
            {"MemoryMax": 64 * MB, "MemorySwapMax": 32 * MB, "MemoryLow": MB},
        ),
        ({"memory": {"limit": -1}}, {"MemoryMax": INFINITY, "MemorySwapMax": INFINITY}),
        ({"pids": {"limit": 0}}, {"TasksMax": 1}),
        ({"pids": {"limit": -1}}, {"TasksMax": INFINITY}),
        ({"cpu": {"shares": 1024}}, {"CPUWeight": 100}),
        ({"cpu": {"idle": 1, "shares": 1024}}, {"CPUWeight": 0}),
        ({"cpu": {"idle": 0}}, {"CPUWeight": 100}),
        ({"cpu": {"idle": 0, "shares": 2}}, {"CPUWeight": 1}),
        ({"cpu": {"shares": 2}, "unified": {"cpu.weight": "7"}}, {"CPUWeight": 7}),
        ({"cpu": {"idle": 1}, "unified": {"cpu.weight": "7"}}, {"CPUWeight": 0}),
        ({"cpu": {"idle": 1}, "unified": {"cpu.idle": "0"}}, {"CPUWeight": 100}),
        ({"unified": {"cpu.idle": "1", "cpu.weight": "7"}}, {"CPUWeight": 0}),
        ({"unified": {"cpu.weight.nice": "-20"}}, {"CPUWeight": 8668}),
        ({"unified": {"cpu.weight.nice": "5"}}, {"CPUWeight": 33}),
        ({"unified": {"memory.max": "64M"}}, {"MemoryMax": 64 * MB}),
        ({"unified": {"memory.high": "0x10"}}, {"MemoryHigh": 16}),
        (
            {"cpu": {"quota": 1, "period": 100000}},
            {"CPUQuotaPerSecUSec": 10000, "CPUQuotaPeriodUSec": 100000},
        ),
        (
            {"cpu": {"quota": 50000}},
            {"CPUQuotaPerSecUSec": 500000, "CPUQuotaPeriodUSec": 100000},
        ),
        (
            {"cpu": {"quota": 33333, "period": 100000}},
            {"CPUQuotaPerSecUSec": 340000, "CPUQuotaPeriodUSec": 100000},
        ),
        (
            {"cpu": {"quota": -1}},
            {"CPUQuotaPerSecUSec": INFINITY, "CPUQuotaPeriodUSec": 100000},
        ),
        (
            {"cpu": {"cpus": "0-2,9", "mems": "0"}},
            {"AllowedCPUs": b"\x07\x02", "AllowedMemoryNodes": b"\x01"},
        ),
        (
            {"unified": {"memory.high": "5", "memory.min": "max", "cpu.max": "2000 10000"}},
            {
                "MemoryHigh": 5,
                "MemoryMin": INFINITY,
                "CPUQuotaPerSecUSec": 200000,
                "CPUQuotaPeriodUSec": 10000,
            },
        ),
    ],
)
def test_resources_are_given_to_systemd_too(node: dict[str, Any], expected: dict[str, Any]) -> None:
    assert properties(node) == expected


@pytest.mark.parametrize(
    "key", ["memory.max", "cpu.weight", "cpu.weight.nice", "cpu.max", "pids.max"]
)
def test_a_unified_value_that_systemd_cannot_be_told_is_an_error_with_its_place(key: str) -> None:
    with pytest.raises(Failure) as caught:
        properties({"unified": {key: "lots"}})
    assert caught.value.pointer == f"/unified/{key}"


def test_an_old_systemd_gets_only_what_it_knows() -> None:
    node = {"cpu": {"quota": 50000, "cpus": "0"}, "unified": {"memory.oom.group": "1"}}
    assert properties(node, manager=241) == {"CPUQuotaPerSecUSec": 500000}
    assert properties({"unified": {"memory.oom.group": "1"}}, manager=253) == {"OOMPolicy": "kill"}


def test_v1_has_other_names() -> None:
    node = {"cpu": {"shares": 5}, "memory": {"limit": MB}, "blockIO": {"weight": 50}}
    assert properties(node, version=1) == {
        "MemoryLimit": MB,
        "CPUShares": 5,
        "BlockIOWeight": 50,
    }


def allowed(*nodes: dict[str, Any], manager: int = 252, classes: str = "") -> list[tuple[str, str]]:
    access = rules.target(resources(devices=list(nodes)).devices)
    found = unit_properties.device_properties(
        access, manager=manager, classes=lambda: unit_properties.device_classes(classes)
    )
    entries: list[tuple[str, str]] = found[2][1][1]
    return entries


CLASSES = "Character devices:\n  1 mem\n136 pts\n188 ttyUSB\n\nBlock devices:\n  8 sd\n"
WHOLE = {"allow": True, "type": "c", "major": 188, "access": "rwm"}


@pytest.mark.parametrize(
    ("manager", "classes", "entry"),
    [
        (252, "", "char-188"),
        (240, CLASSES, "char-188"),
        (239, CLASSES, "char-ttyUSB"),
        (239, "", "char-*"),
    ],
)
def test_a_rule_for_all_devices_of_a_driver_holds_for_one_that_is_plugged_in_later(
    manager: int, classes: str, entry: str
) -> None:
    """The driver may not be loaded yet; ours is the program that is exact."""
    found = dict(allowed(WHOLE, manager=manager, classes=classes))
    assert found[entry] == "rwm"
    assert [name for name, _ in allowed(WHOLE, manager=manager)].count(entry) <= 1


def test_a_rule_for_a_minor_number_of_every_driver_is_not_lost() -> None:
    rule = {"allow": True, "type": "b", "minor": 5, "access": "r"}
    assert dict(allowed(rule))["block-*"] in ("rm", "mr")


def test_device_rules_are_kept_across_a_daemon_reload() -> None:
    found = unit_properties.device_properties(rules.target(()), manager=252, classes=dict)
    assert found[:2] == [("DevicePolicy", ("s", "strict")), ("DeviceAllow", ("a(ss)", []))]
    entries = found[2][1][1]
    assert ("/dev/char/1:3", "rwm") in entries
    assert ("char-136", "rwm") in entries
    assert ("char-*", "m") in entries
    assert ("block-*", "m") in entries


def test_a_container_that_may_use_everything_has_no_strict_policy() -> None:
    found = unit_properties.device_properties(rules.Access(True), manager=252, classes=dict)
    assert ("DevicePolicy", ("s", "auto")) in found


def test_a_scope_holds_the_process_and_delegates() -> None:
    unit = unit_names.parse("a.slice:p:n", container_id="n", rootless=False)
    found = dict(unit_properties.unit_properties(unit, container_id="n", pid=7, version=2))
    assert found["PIDs"] == ("au", [7])
    assert found["Slice"] == ("s", "a.slice")
    assert found["Delegate"] == ("b", True)
    assert found["IOAccounting"] == ("b", True)


def test_a_slice_wants_its_slice() -> None:
    unit = unit_names.parse("a.slice:p:b.slice", container_id="n", rootless=False)
    found = dict(unit_properties.unit_properties(unit, container_id="n", pid=7, version=1))
    assert found["Wants"] == ("as", ["a.slice"])
    assert "Delegate" not in found
    assert "PIDs" not in found
    assert found["BlockIOAccounting"] == ("b", True)


@pytest.mark.parametrize(
    ("node", "limits"),
    [
        ({"pids": {"limit": 1}}, (2, None)),
        ({"pids": {"limit": 0}, "unified": {"pids.max": "1"}}, (2, "2")),
        ({"pids": {"limit": -1}, "unified": {"pids.max": "7"}}, (-1, "7")),
    ],
)
def test_there_is_room_for_two_processes_while_one_takes_the_place_of_the_other(
    node: dict[str, Any], limits: tuple[int, str | None]
) -> None:
    """What was asked for stays as it was."""
    asked = resources(**node)
    wider = unit_properties.with_room(asked)
    assert wider is not None
    assert wider.pids is not None
    assert (wider.pids.limit, wider.unified.get("pids.max")) == limits
    assert asked.pids is not None
    assert asked.pids.limit == node["pids"]["limit"]
