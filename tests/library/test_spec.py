# SPDX-License-Identifier: Apache-2.0
"""Configurations as values, and policies on them; no root is needed."""

from __future__ import annotations

import copy
import os
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import pyrunc
from pyrunc.host.facts import Host
from pyrunc.library import policies
from pyrunc.library.arguments import bytes_of
from pyrunc.spec.config import parse_config

HOST = Host(euid=0, egid=0)


def default(**more: Any) -> pyrunc.Spec:
    return pyrunc.Spec.default(["true"], rootfs="/image", euid=0, egid=0, **more)


def test_the_default_is_a_valid_configuration_with_the_safe_choices() -> None:
    config = parse_config(default().json().encode())
    assert not config.warnings
    assert config.process.no_new_privileges
    assert config.root is not None
    assert config.root.readonly
    kinds = {one.type for one in config.linux.namespaces}
    assert kinds == {"pid", "network", "ipc", "uts", "mount", "cgroup", "user"}
    assert config.linux.seccomp is not None
    assert not {"CAP_SYS_ADMIN", "CAP_NET_RAW", "CAP_MKNOD"} & {
        *(config.process.capabilities.bounding or ())  # type: ignore[union-attr]
    }


@pytest.mark.parametrize("name", ["mount", "bpf", "ptrace", "unshare", "keyctl", "io_uring_setup"])
def test_the_default_filter_allows_no_call_that_reaches_further(name: str) -> None:
    allowed = default().get("/linux/seccomp/syscalls/0/names")
    assert name not in allowed
    assert {"read", "execve", "openat", "futex"} <= set(allowed)


def test_every_step_returns_another_value() -> None:
    one = default()
    two = one.limit(memory="64m", cpus=1.5, pids=50).env(A="b").user(7).hostname("x")
    assert one == default()
    assert two != one
    assert two.get("/linux/resources/memory") == {"limit": 64 << 20, "swap": 64 << 20}
    assert two.get("/linux/resources/cpu") == {"quota": 150_000, "period": 100_000}
    assert two.get("/process/user") == {"uid": 7, "gid": 7}
    assert "A=b" in two.get("/process/env")
    parse_config(two.json().encode())


def test_a_variable_that_is_there_gets_the_new_value() -> None:
    lines = default().env(TERM="dumb").get("/process/env")
    assert [line for line in lines if line.startswith("TERM=")] == ["TERM=dumb"]


def test_values_are_copies() -> None:
    source = {"ociVersion": "1.2.0", "process": {"args": ["a"]}}
    spec = pyrunc.Spec(source)
    source["process"] = {}
    spec["process"]["args"].append("b")
    spec.to_dict()["process"]["args"].append("c")
    assert spec.get("/process/args") == ["a"]


def test_a_value_is_read_back_from_its_text() -> None:
    spec = default().bind("/a", "/b").mount("/t", type="tmpfs", options=["size=1m"])
    assert pyrunc.Spec.parse(spec.json()) == spec
    assert hash(pyrunc.Spec.parse(spec.json(indent=2))) == hash(spec)
    assert dict(spec) == spec.to_dict()


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("none", [{"type": "network"}]), ("host", []),
     ("/run/netns/a", [{"type": "network", "path": "/run/netns/a"}])],
)  # fmt: skip
def test_the_network_is_none_the_hosts_or_another(kind: str, expected: list[Any]) -> None:
    kinds = default().network(kind).get("/linux/namespaces")
    assert [one for one in kinds if one["type"] == "network"] == expected


@pytest.mark.parametrize("kind", ["", "bridge", "relative/path"])
def test_another_word_for_the_network_is_refused(kind: str) -> None:
    with pytest.raises(pyrunc.UsageError, match="none, host or an absolute path"):
        default().network(kind)


@pytest.mark.parametrize(
    ("text", "size"),
    [(5, 5), ("5", 5), ("64m", 64 << 20), ("1.5g", 3 << 29), ("100kb", 102400), ("1GiB", 1 << 30)],
)
def test_sizes(text: int | str, size: int) -> None:
    assert bytes_of(text) == size


@pytest.mark.parametrize("text", ["", "m", "x", "1e3", "-1", "1 5"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(pyrunc.UsageError, match="no size"):
        bytes_of(text)


def test_a_user_without_privileges_is_root_inside() -> None:
    spec = pyrunc.Spec.default(["true"], rootfs="/image", euid=1000, egid=100)
    assert spec.get("/linux/uidMappings") == [{"containerID": 0, "hostID": 1000, "size": 1}]
    assert spec.get("/linux/gidMappings") == [{"containerID": 0, "hostID": 100, "size": 1}]


# -- policies --------------------------------------------------------------------------------------


def floor(spec: pyrunc.Spec, host: Host) -> pyrunc.Spec:
    return spec.limit(memory="16m")


def no_host_network(spec: pyrunc.Spec, host: Host) -> pyrunc.Spec | pyrunc.Refusal:
    if all(one["type"] != "network" for one in spec.get("/linux/namespaces")):
        return pyrunc.Refusal("the host's network", pointer="/linux/namespaces")
    return spec


def test_policies_are_applied_in_order_and_tell_what_they_changed() -> None:
    spec, changes = policies.apply([no_host_network, floor], default(), HOST)
    assert spec.get("/linux/resources/memory/limit") == 16 << 20
    assert [(one.policy, one.pointer) for one in changes] == [("floor", "/linux/resources/memory")]
    assert changes[0].line() == "floor: /linux/resources/memory: absent -> an object"


def test_a_refusal_is_an_error_with_its_place() -> None:
    with pytest.raises(pyrunc.Failure, match="refused by the policy no_host_network") as error:
        policies.apply([floor, no_host_network], default().network("host"), HOST)
    assert error.value.pointer == "/linux/namespaces"


@pytest.mark.parametrize("answer", [None, {}, "x"])
def test_a_policy_that_answers_something_else_refuses(answer: Any) -> None:
    with pytest.raises(pyrunc.Failure, match="no Spec and no Refusal"):
        policies.apply([lambda spec, host: answer], default(), HOST)


def test_a_policy_that_raises_refuses() -> None:
    def broken(spec: pyrunc.Spec, host: Host) -> pyrunc.Spec:
        raise KeyError("x")

    with pytest.raises(pyrunc.Failure, match="the policy broken failed: KeyError"):
        policies.apply([broken], default(), HOST)


def test_a_configuration_cannot_be_changed_and_survives_pickling_and_copying() -> None:
    spec = default()
    with pytest.raises(AttributeError, match="immutable"):
        spec._value = {}
    with pytest.raises(AttributeError, match="immutable"):
        spec.hostname = "x"  # type: ignore[assignment, method-assign]
    for twin in (pickle.loads(pickle.dumps(spec)), copy.deepcopy(spec), copy.copy(spec)):
        assert twin == spec
        assert hash(twin) == hash(spec)


def test_what_is_printed_is_the_configuration() -> None:
    spec = default().env(A="ä\n")
    assert pyrunc.Spec.parse(str(spec)) == pyrunc.Spec.parse(spec.json()) == spec
    assert repr(spec) == "Spec(args=['true'], rootfs='/image')"


def test_a_file_is_read_with_its_relative_paths(tmp_path: Path) -> None:
    spec = (
        default()
        .mount("/data", type="bind", source="data")
        .mount("/x", type="tmpfs", source="tmpfs")
    )
    (tmp_path / "config.json").write_text(spec.set("/root/path", "rootfs").json())
    for path in (tmp_path, tmp_path / "config.json", str(tmp_path)):
        loaded = pyrunc.Spec.load(path)
        assert loaded.get("/root/path") == str(tmp_path / "rootfs")
        sources = {one["destination"]: one["source"] for one in loaded.get("/mounts")}
        assert sources["/data"] == str(tmp_path / "data")
        assert sources["/x"] == "tmpfs"
    with pytest.raises(pyrunc.Failure, match="no-such-file"):
        pyrunc.Spec.load(tmp_path / "no-such-file")


def test_a_filter_comes_from_a_file_or_a_mapping_or_is_left_out(tmp_path: Path) -> None:
    profile = {"defaultAction": "SCMP_ACT_ALLOW"}
    file = tmp_path / "profile.json"
    file.write_text('{"defaultAction": "SCMP_ACT_ALLOW"}')
    for given in (file, str(file), profile):
        assert default().seccomp(given).get("/linux/seccomp") == profile
    assert default().seccomp(None).get("/linux/seccomp") is None
    with pytest.raises(pyrunc.Failure, match="defualt") as error:
        default().seccomp("defualt")
    assert "default" in error.value.hint


def test_becoming_rootless_keeps_limits_and_the_choice_of_a_network() -> None:
    limited = default().limit(memory="64m", pids=5)
    spec = limited.rootless(uid=1000, gid=1000)
    assert spec.get("/linux/resources/pids/limit") == 5
    assert spec.get("/linux/resources/devices") is None
    assert "network" in {one["type"] for one in spec.get("/linux/namespaces")}
    hosts = limited.network("host").rootless(uid=1000, gid=1000)
    assert "network" not in {one["type"] for one in hosts.get("/linux/namespaces")}
    mine = limited.rootless().get("/linux/uidMappings/0/hostID")
    assert mine == os.geteuid()


def test_paths_and_variables_come_as_what_they_are() -> None:
    spec = pyrunc.Spec.default(["true"], rootfs=Path("/image"), euid=0, egid=0)
    spec = spec.bind(Path("/a"), "/b").env({"A.B": "1", "C": "2"}, C="3").terminal(rows=5)
    assert spec.get("/root/path") == "/image"
    assert spec.get("/mounts")[-1]["source"] == "/a"
    assert {"A.B=1", "C=3"} <= set(spec.get("/process/env"))
    assert spec.get("/process/consoleSize") == {"height": 5, "width": 80}


@pytest.mark.parametrize("value", [{1, 2}, b"x", Path("/x"), object()])
def test_what_is_no_json_is_an_error_at_once(value: object) -> None:
    with pytest.raises(pyrunc.UsageError, match="JSON values"):
        default().set("/process/args", value)


NO_LIMITS: list[dict[str, Any]] = [
    *({"memory": value} for value in (0, "0m", -1, 1.5)),
    *({"cpus": value} for value in (0, -1.0)),
    *({"pids": value} for value in (0, -1)),
]


@pytest.mark.parametrize("limit", NO_LIMITS)
def test_what_would_be_no_limit_is_refused(limit: dict[str, Any]) -> None:
    """0 and less mean "unlimited" to the kernel: a sandbox would have none."""
    with pytest.raises(pyrunc.UsageError):
        default().limit(**limit)


def test_relative_paths_are_those_of_the_caller(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    spec = pyrunc.Spec.default(["true"], rootfs="image", euid=0, egid=0).bind("a/../b", "/b")
    assert spec.get("/root/path") == str(tmp_path / "image")
    assert spec.get("/mounts")[-1]["source"] == f"{tmp_path}/a/../b"


def test_a_text_is_no_program() -> None:
    wrong: Sequence[str]
    for wrong in ("ls -l", []):
        with pytest.raises(pyrunc.UsageError, match="a program and its arguments"):
            pyrunc.Spec.default(wrong, rootfs="/image", euid=0, egid=0)
