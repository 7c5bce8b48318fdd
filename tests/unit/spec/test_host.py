# SPDX-License-Identifier: Apache-2.0
"""What a configuration may ask for on a given host."""

from __future__ import annotations

from typing import Any

import pytest

from pyrunc import spec
from pyrunc.errors import ConfigErrors
from pyrunc.spec.check_host import check_host, check_host_process
from pyrunc.spec.defaults import default_config, rootless_config
from tests.unit.spec.engine import encode


class Host:
    def __init__(self, **facts: Any) -> None:
        self.euid = facts.get("euid", 0)
        self.apparmor = facts.get("apparmor", False)
        self.selinux = facts.get("selinux", False)
        self.last_cap = facts.get("last_cap", 40)


def problems_of(config: dict[str, Any], *, cgroup_version: int = 0, **facts: Any) -> list[str]:
    try:
        check_host(spec.parse_config(encode(config)), Host(**facts), cgroup_version=cgroup_version)
    except ConfigErrors as errors:
        return [problem.line() for problem in errors.problems]
    return []


def process(**properties: Any) -> dict[str, Any]:
    config = default_config()
    config["process"].update(properties)
    return config


def linux(**properties: Any) -> dict[str, Any]:
    config = default_config()
    config["linux"].update(properties)
    return config


def test_the_templates_fit_their_users() -> None:
    assert problems_of(default_config()) == []
    assert problems_of(rootless_config(default_config(), euid=1000, egid=1000), euid=1000) == []


@pytest.mark.parametrize("config", [process(selinuxLabel="a:b:c:s0"), linux(mountLabel="a:b:c:s0")])
def test_an_selinux_label_needs_selinux(config: dict[str, Any]) -> None:
    """PS-5"""
    (problem,) = problems_of(config)
    phrase = "selinux label is specified in config, but selinux is disabled or not supported"
    assert phrase in problem
    assert problems_of(config, selinux=True) == []


def test_an_apparmor_profile_needs_apparmor() -> None:
    """PS-5"""
    config = process(apparmorProfile="docker-default")
    assert len(problems_of(config)) == 1
    assert problems_of(config, apparmor=True) == []
    assert problems_of(process(apparmorProfile="unconfined")) == []
    assert problems_of(process(apparmorProfile="")) == []
    assert len(problems_of(process(apparmorProfile="unconfined_x"))) == 1


def test_unified_needs_cgroup_v2() -> None:
    config = linux(resources={"unified": {"memory.high": "1"}})
    (problem,) = problems_of(config, cgroup_version=1)
    assert problem.startswith("/linux/resources/unified: 'unified' needs cgroup v2")
    assert problems_of(config, cgroup_version=2) == []


def test_a_capability_that_the_kernel_does_not_know_is_warned_of() -> None:
    """CR-4"""
    config = process(capabilities={"bounding": ["CAP_KILL", "CAP_BPF"]})
    (warning,) = check_host(spec.parse_config(encode(config)), Host(last_cap=37))
    assert warning.pointer == "/process/capabilities/bounding/1"
    assert check_host(spec.parse_config(encode(config)), Host(last_cap=40)) == ()


def test_without_root_a_container_needs_a_user_namespace_with_mappings() -> None:
    (problem,) = problems_of(default_config(), euid=1000)
    assert "rootless containers require user namespaces" in problem


def rootless(**properties: Any) -> dict[str, Any]:
    config = rootless_config(default_config(), euid=1000, egid=1000)
    for pointer, value in properties.items():
        parent = config["linux"] if pointer != "mounts" and pointer != "user" else config
        if pointer == "user":
            config["process"]["user"].update(value)
        elif pointer == "mounts":
            config["mounts"] = [*config["mounts"], *value]
        else:
            parent[pointer] = value
    return config


MAPPING = [{"containerID": 0, "hostID": 1000, "size": 10}]
BIND = {"destination": "/x", "source": "/y", "options": ["rbind"]}


@pytest.mark.parametrize(
    ("properties", "phrase"),
    [
        (
            {"user": {"additionalGids": [0]}},
            "cannot set any additional groups in a rootless container",
        ),
        (
            {"mounts": [{"destination": "/x", "type": "tmpfs", "options": ["uid=1"]}]},
            "the uid is not mapped in the user namespace",
        ),
        (
            {"mounts": [{"destination": "/x", "type": "devpts", "options": ["gid=5"]}]},
            "the gid is not mapped in the user namespace",
        ),
        (
            {"mounts": [{**BIND, "uidMappings": MAPPING, "gidMappings": MAPPING}]},
            "id-mapped mounts need root",
        ),
        (
            {"mounts": [{**BIND, "options": ["rbind", "idmap"]}]},
            "id-mapped mounts need root",
        ),
    ],
)
def test_what_a_container_without_root_cannot_have(properties: dict[str, Any], phrase: str) -> None:
    problems = problems_of(rootless(**properties), euid=1000)
    assert len(problems) == 1
    assert phrase in problems[0]
    assert problems_of(rootless(**properties), euid=0) == []


def test_network_devices_need_root() -> None:
    config = rootless(netDevices={"eth0": {}})
    config["linux"]["namespaces"].append({"type": "network"})
    assert len(problems_of(config, euid=1000)) == 1
    assert problems_of(config) == []


def test_mapped_ids_of_mounts_are_accepted() -> None:
    mount = {"destination": "/x", "type": "tmpfs", "options": ["uid=0", "gid=0", "mode=755"]}
    assert problems_of(rootless(mounts=[mount]), euid=1000) == []


def test_a_process_of_exec_is_checked_in_the_same_way() -> None:
    parsed = spec.parse_process(b'{"cwd": "/", "args": ["a"], "selinuxLabel": "x"}')
    with pytest.raises(ConfigErrors, match=r"^process\.json: /selinuxLabel: selinux label is"):
        check_host_process(parsed, Host())
    assert check_host_process(parsed, Host(selinux=True)) == ()
