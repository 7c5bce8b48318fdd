# SPDX-License-Identifier: Apache-2.0
"""Values at the edge that must be accepted: each rule's other side is in the invalid corpus."""

from __future__ import annotations

from typing import Any

import pytest

from pyrunc import spec
from pyrunc.errors import ConfigErrors
from pyrunc.spec.check_linux import interface_problem
from pyrunc.spec.check_mounts import components
from pyrunc.spec.check_resources import is_component
from tests.invalid.corpus import build
from tests.unit.spec.engine import encode

NAMESPACES = ["pid", "network", "ipc", "uts", "mount"]
MAPPING = [{"containerID": 0, "hostID": 1000, "size": 10}]
BIND = {"destination": "/x", "source": "/y", "options": ["bind"]}


def kinds(*more: Any) -> list[dict[str, Any]]:
    entries = [*NAMESPACES, *more]
    return [{"type": entry} if isinstance(entry, str) else entry for entry in entries]


ACCEPTED: dict[str, dict[str, Any]] = {
    "hostname-64": {"/hostname": "a" * 64},
    "hostname-empty": {"/hostname": "", "/linux/namespaces": kinds()},
    "env-empty-value": {"/process/env": ["A=", "B==", "C=a=b"]},
    "umask": {"/process/user/umask": 0o777},
    "rlimit-infinite": {
        "/process/rlimits": [{"type": "RLIMIT_AS", "soft": 2**64 - 1, "hard": 2**64 - 1}]
    },
    "oom-score": {"/process/oomScoreAdj": -1000},
    "scheduler-fifo": {"/process/scheduler": {"policy": "SCHED_FIFO", "priority": 99}},
    "scheduler-other": {"/process/scheduler": {"policy": "SCHED_OTHER", "nice": -20}},
    "scheduler-deadline": {
        "/process/scheduler": {
            "policy": "SCHED_DEADLINE",
            "runtime": 1000000,
            "deadline": 2000000,
            "period": 2000000,
            "flags": ["SCHED_FLAG_RECLAIM", "SCHED_FLAG_DL_OVERRUN"],
        }
    },
    "scheduler-deadline-without-period": {
        "/process/scheduler": {"policy": "SCHED_DEADLINE", "runtime": 1, "deadline": 1}
    },
    "io-priority": {"/process/ioPriority": {"class": "IOPRIO_CLASS_IDLE"}},
    "affinity": {"/process/execCPUAffinity": {"initial": "0-3, 7", "final": "0-1023:2/4"}},
    "console-size": {"/process/consoleSize": {"height": 0, "width": 65535}},
    "mount-remount-without-type": {
        "/mounts": [{"destination": "/x", "options": ["remount", "ro"]}]
    },
    "mount-propagation-without-type": {"/mounts": [{"destination": "/x", "options": ["rslave"]}]},
    "mount-dots": {"/mounts": [{"destination": "/../x/..a", "type": "tmpfs"}]},
    "mount-empty-options": {"/mounts": [{**BIND, "options": ["", "bind", ""]}]},
    "mount-overlay": {
        "/mounts": [
            {
                "destination": "/x",
                "type": "overlay",
                "options": ["lowerdir=/a\\:b:/c::/d", "upperdir=/u", "workdir=/w", ""],
            }
        ]
    },
    "mount-bind-of-type-none": {"/mounts": [{**BIND, "type": "none"}]},
    "mount-idmap": {"/mounts": [{**BIND, "uidMappings": MAPPING, "gidMappings": MAPPING}]},
    "mount-ridmap": {
        "/mounts": [
            {
                **BIND,
                "options": ["rbind", "ridmap"],
                "uidMappings": MAPPING,
                "gidMappings": MAPPING,
            }
        ]
    },
    "mount-idmap-of-the-user-namespace": {
        "/mounts": [{**BIND, "options": ["bind", "idmap"]}],
        "/linux/namespaces": kinds("user"),
        "/linux/uidMappings": MAPPING,
        "/linux/gidMappings": MAPPING,
    },
    "hooks-128": {"/hooks": {"poststop": [{"path": "/x", "timeout": 1}] * 128}},
    "namespace-paths": {
        "/linux/namespaces": kinds({"type": "cgroup", "path": "/proc/1/ns/cgroup"})
    },
    "user-namespace": {
        "/linux/namespaces": kinds("user"),
        "/linux/uidMappings": [
            {"containerID": 0, "hostID": 5, "size": 1},
            {"containerID": 1, "hostID": 0, "size": 5},
            {"containerID": 6, "hostID": 6, "size": 2**32 - 7},
        ],
        "/linux/gidMappings": MAPPING,
    },
    "user-namespace-joined": {
        "/linux/namespaces": kinds({"type": "user", "path": "/proc/1/ns/user"}),
        "/process/user/uid": 77,
    },
    "time-offsets": {
        "/linux/namespaces": kinds("time"),
        "/linux/timeOffsets": {"monotonic": {"secs": -1, "nanosecs": 999_999_999}},
    },
    "net-devices": {
        "/linux/netDevices": {"eth0": {"name": "eth1"}, "eth1": {"name": "eth0"}, "x": {}}
    },
    "net-device-template": {"/linux/netDevices": {"a": {"name": "e%d"}, "b": {"name": "e%d"}}},
    "device-fifo": {"/linux/devices": [{"type": "p", "path": "/run/fifo"}]},
    "device-twice": {
        "/linux/devices": [
            {"type": "c", "path": "/dev/a", "major": 1, "minor": 3},
            {"type": "u", "path": "/dev//a", "major": 1, "minor": 3},
        ]
    },
    "device-beside-proc": {
        "/linux/devices": [{"type": "c", "path": "/proc2/a", "major": 1, "minor": 3}]
    },
    "cgroups-path-relative": {"/linux/cgroupsPath": "a/b"},
    "cgroups-path-systemd": {"/linux/cgroupsPath": "a-b.slice:docker:x.scope"},
    "cgroups-path-empty": {"/linux/cgroupsPath": ""},
    "cgroups-path-slashes": {"/linux/cgroupsPath": "//a///b/"},
    "memory-unlimited": {"/linux/resources": {"memory": {"limit": -1, "swap": -1}}},
    "memory-swap": {"/linux/resources": {"memory": {"limit": 5, "swap": 5}}},
    "cpu": {
        "/linux/resources": {
            "cpu": {"quota": -1, "burst": 5, "idle": 1, "cpus": "0-3,7", "mems": "0"}
        }
    },
    "block-io": {
        "/linux/resources": {
            "blockIO": {
                "weight": 10,
                "leafWeight": 1000,
                "weightDevice": [{"major": 8, "minor": 0, "leafWeight": 10}],
                "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 0}],
            }
        }
    },
    "huge-pages": {"/linux/resources": {"hugepageLimits": [{"pageSize": "64KB", "limit": 0}]}},
    "rdma": {"/linux/resources": {"rdma": {"mlx5_1": {"hcaHandles": 0}}}},
    "unified": {"/linux/resources": {"unified": {"hugetlb.1GB.max": "a\nb", "io.max": ""}}},
    "device-rules": {
        "/linux/resources": {
            "devices": [{"allow": True, "type": "", "major": None, "minor": -1, "access": "mrw"}]
        }
    },
    "seccomp-notify": {
        "/linux/seccomp": {
            "defaultAction": "SCMP_ACT_ALLOW",
            "listenerPath": "/run/agent.sock",
            "listenerMetadata": "x",
            "flags": [],
            "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}],
        }
    },
    "seccomp-trace": {
        "/linux/seccomp": {"defaultAction": "SCMP_ACT_TRACE", "defaultErrnoRet": 65535}
    },
    "rdt": {
        "/linux/intelRdt": {
            "closID": "/",
            "schemata": ["L3:0=f", "MB:0=70"],
            "l3CacheSchema": "L3:0=f\nL3:1=f",
            "memBwSchema": "MB:0=70",
            "enableMonitoring": True,
        }
    },
    "personality": {"/linux/personality": {"domain": "LINUX32", "flags": []}},
    "memory-policy": {
        "/linux/memoryPolicy": {
            "mode": "MPOL_BIND",
            "nodes": "0-3,7",
            "flags": ["MPOL_F_NUMA_BALANCING", "MPOL_F_STATIC_NODES"],
        }
    },
    "memory-policy-local": {"/linux/memoryPolicy": {"mode": "MPOL_LOCAL"}},
    "memory-policy-preferred": {"/linux/memoryPolicy": {"mode": "MPOL_PREFERRED", "nodes": ""}},
    "propagation": {"/linux/rootfsPropagation": "rshared"},
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_a_value_at_the_edge_is_accepted_without_a_warning(name: str) -> None:
    assert spec.parse_config(build({"set": ACCEPTED[name]})).warnings == ()


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"/linux/intelRdt": {"enableCMT": True}}, "/linux/intelRdt/enableCMT"),
        ({"/linux/intelRdt": {"l3CacheSchema": "MB:0=1"}}, "/linux/intelRdt/l3CacheSchema"),
        ({"/mounts": [{**BIND, "type": "ext4"}]}, "/mounts/0/type"),
        (
            {
                "/linux/namespaces": kinds({"type": "user", "path": "/x"}),
                "/linux/uidMappings": MAPPING,
            },
            "/linux/uidMappings",
        ),
    ],
)
def test_what_is_odd_but_harmless_is_a_warning(changes: dict[str, Any], pointer: str) -> None:
    (warning,) = spec.parse_config(build({"set": changes})).warnings
    assert warning.pointer == pointer


def bind_with(*options: str) -> bytes:
    return build({"set": {"/mounts": [{**BIND, "options": ["bind", *options]}]}})


@pytest.mark.parametrize(
    ("options", "value"),
    [
        (("mode=755", "ro", "size=1k"), "'mode=755,size=1k'"),
        (("context=a:b", "mode=755", "mode=755"), "'context=a:b,mode=755,mode=755'"),
        (("x=",), "'x='"),
    ],
)
def test_data_of_a_bind_mount_is_one_warning(options: tuple[str, ...], value: str) -> None:
    (warning,) = spec.parse_config(bind_with(*options)).warnings
    assert warning.pointer == "/mounts/0/options"
    assert warning.value == value
    assert "tmpfs" in warning.hint


@pytest.mark.parametrize(
    ("option", "meant"),
    [
        ("noexecc", "noexec"),
        ("rpivate", "rprivate"),
        ("readonly", "ro"),
        ("ro=recursive", "ro"),
        ("Nosuid=1", "nosuid"),
        ("readonly=true", "ro"),
        ("nothing-like-it", ""),
        ("=x", ""),
    ],
)
def test_what_is_no_data_is_refused_by_a_bind_mount(option: str, meant: str) -> None:
    with pytest.raises(ConfigErrors) as caught:
        spec.parse_config(bind_with("mode=755", option))
    (problem,) = caught.value.problems
    assert problem.pointer == "/mounts/0/options/2"
    assert problem.hint == (f"did you mean '{meant}'?" if meant else "")


@pytest.mark.parametrize(
    ("path", "parts"),
    [
        ("/", []),
        ("", []),
        ("//a/./b//", ["a", "b"]),
        ("/a/../..", []),
        ("/..a/b..", ["..a", "b.."]),
        ("a/b", ["a", "b"]),
    ],
)
def test_paths_are_compared_by_component(path: str, parts: list[str]) -> None:
    """IN-9, PR-8"""
    assert components(path) == parts


@pytest.mark.parametrize("name", ["eth0", "a" * 15, "é", "x-1.2@if3", "e%d"])
def test_names_of_interfaces(name: str) -> None:
    """IN-6"""
    assert interface_problem(name) == ""


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a" * 16, "é" * 8, "a/b", "a:b", "a b", "a\tb", "a\nb", "a\u2028b"]
)
def test_no_names_of_interfaces(name: str) -> None:
    """IN-6"""
    assert interface_problem(name)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/", "a\nb", "\0"])
def test_what_is_not_one_component_of_a_path(name: str) -> None:
    """IN-6"""
    assert not is_component(name)


def test_exec_may_not_have_less_than_a_program_and_a_directory() -> None:
    assert spec.parse_process(encode({"cwd": "/", "args": ["a"]})).env == ()
