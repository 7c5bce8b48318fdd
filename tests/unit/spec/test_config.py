# SPDX-License-Identifier: Apache-2.0
"""From bytes to checked nodes: what is accepted, warned of, and reported together."""

from __future__ import annotations

import contextlib
import copy
import difflib
from typing import Any

import pytest

from pyrunc import spec
from pyrunc.errors import ConfigErrors, Problem
from pyrunc.spec.defaults import default_config
from tests.unit.spec.engine import CAPS, encode, engine_config


def problems_of(config: object) -> tuple[Problem, ...]:
    with pytest.raises(ConfigErrors) as caught:
        spec.parse_config(encode(config))
    return caught.value.problems


def warnings_of(config: object) -> list[str]:
    return [warning.line() for warning in spec.parse_config(encode(config)).warnings]


def changed(**properties: Any) -> dict[str, Any]:
    return {**default_config(), **properties}


def test_what_engines_write_is_accepted_without_a_warning() -> None:
    assert warnings_of(engine_config()) == []


def test_values_arrive_under_their_names() -> None:
    config = spec.parse_config(encode(engine_config()))
    assert config.process.user.additional_gids == (0, 10)
    assert config.process.capabilities is not None
    assert config.process.capabilities.bounding == tuple(CAPS)
    assert config.process.capabilities.inheritable is None
    assert config.mounts[1].options == ("rbind", "rprivate")
    assert config.mounts[1].pointer == "/mounts/1"
    assert config.hooks is not None
    assert config.hooks.prestart[0].env is None
    assert config.linux.seccomp is not None
    assert config.linux.seccomp.flags is None
    assert config.linux.seccomp.syscalls[1].args[0].value == 2**32 - 1
    assert config.linux.masked_paths == ()
    assert config.linux.resources is not None
    assert config.linux.resources.devices[2].minor == -1
    assert config.linux.devices[0].pointer == "/linux/devices/0"
    assert config.linux.namespace("network") is config.linux.namespaces[1]
    assert config.linux.namespace("time") is None
    assert config.raw == engine_config()


def test_absent_objects_that_everything_needs_are_there() -> None:
    config = changed()
    del config["linux"], config["hostname"], config["process"]["user"]
    parsed = spec.parse_config(encode(config))
    assert parsed.linux.namespaces == ()
    assert (parsed.process.user.uid, parsed.process.user.gid) == (0, 0)
    assert parsed.process.user.pointer == "/process/user"


def test_null_is_an_absent_property() -> None:
    config = changed(hooks=None, domainname=None, annotations=None)
    config["process"]["rlimits"] = None
    config["linux"]["resources"] = None
    parsed = spec.parse_config(encode(config))
    assert parsed.hooks is None
    assert parsed.annotations == {}
    assert parsed.process.rlimits == ()


def test_an_unknown_property_is_a_warning_with_a_suggestion() -> None:
    """IN-10"""
    config = changed(hostName="x", somethingElse=1.5)
    config["linux"]["maskedPath"] = []
    assert warnings_of(config) == [
        "/linux/maskedPath: unknown property 'maskedPath' is ignored; did you mean 'maskedPaths'?",
        "/hostName: unknown property 'hostName' is ignored; did you mean 'hostname'?",
        "/somethingElse: unknown property 'somethingElse' is ignored",
    ]


def test_properties_of_other_platforms_are_warned_of_in_other_words() -> None:
    config = changed(windows={})
    config["process"]["user"]["username"] = "x"
    assert warnings_of(config) == [
        "/process/user/username: this property has no meaning on Linux and is ignored",
        "/windows: this property has no meaning on Linux and is ignored",
    ]


def test_a_misspelt_required_property_is_named_in_the_error() -> None:
    config = changed()
    config["proces"] = config.pop("process")
    (problem,) = problems_of(config)
    assert problem.line() == ("/: the property 'process' is required; is it misspelt as 'proces'?")


def test_all_problems_are_reported_in_one_pass() -> None:
    config = changed(hostname="a" * 65, ociVersion="3.0.0")
    config["process"]["user"]["uid"] = -1
    config["process"]["rlimits"][0]["type"] = "RLIMIT_X"
    config["mounts"][0]["destination"] = "/"
    config["linux"]["namespaces"].append({"type": "pid"})
    config["linux"]["sysctl"] = {"vm.x": "1"}
    config["linux"]["seccomp"] = {"defaultAction": "ALLOW", "syscalls": [{"names": []}]}
    assert [problem.pointer for problem in problems_of(config)] == [
        "/process/user/uid",
        "/process/rlimits/0/type",
        "/linux/seccomp/defaultAction",
        "/linux/seccomp/syscalls/0",
        "/ociVersion",
        "/hostname",
        "/mounts/0/destination",
        "/linux/namespaces/6/type",
    ]


def test_what_follows_from_another_problem_is_not_reported() -> None:
    config = changed()
    for namespace in config["linux"]["namespaces"]:
        namespace["type"] = namespace["type"].upper()
    config["linux"]["sysctl"] = {"net.core.somaxconn": "1"}
    pointers = {problem.pointer for problem in problems_of(config)}
    assert pointers == {f"/linux/namespaces/{index}/type" for index in range(6)}


HOSTILE: dict[str, dict[str, Any]] = {
    "options": {"mounts": [{"destination": "/x", "source": "/y", "options": ["bind", "b0"]}]},
    "properties": {f"unknown{index}": 0 for index in range(300)},
    "capabilities": {
        "process": {"cwd": "/", "args": ["a"], "capabilities": {"bounding": ["CAP_X"] * 300}}
    },
    "namespaces": {"linux": {"namespaces": [{"type": "x"}] * 300}},
}
HOSTILE["options"]["mounts"] *= 300


@pytest.mark.parametrize("what", HOSTILE)
def test_hints_are_looked_for_a_bounded_number_of_times(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RS-2: a hint costs 0.1 ms, and a hostile file could ask for 10^5 of them."""
    looked_for: list[object] = []

    def count(word: str, *_: object, **__: object) -> list[str]:
        looked_for.append(word)
        return []

    monkeypatch.setattr(difflib, "get_close_matches", count)
    with contextlib.suppress(ConfigErrors):
        spec.parse_config(encode(changed(**HOSTILE[what])))
    assert 50 <= len(looked_for) <= 101


def test_a_hostile_file_gets_a_bounded_number_of_problems() -> None:
    config = changed(mounts=[1] * 50_000)
    config.update({f"unknown{index}": 0 for index in range(20_000)})
    assert len(problems_of(config)) == 100


@pytest.mark.parametrize("version", ["1.0.0", "1.0.2-dev", "1.2.1", "1.3.0", "1.0.0-rc5+x"])
def test_supported_versions(version: str) -> None:
    assert warnings_of(changed(ociVersion=version)) == []


def test_a_later_minor_version_is_only_a_warning() -> None:
    assert warnings_of(changed(ociVersion="1.4.0")) == ["/ociVersion: newer than 1.3.0: '1.4.0'"]


@pytest.mark.parametrize("number", [0, 1, 2**31 - 1, 2**31, 2**32 - 2])
def test_every_id_of_the_kernel_is_accepted(number: int) -> None:
    """CR-2"""
    config = changed()
    config["process"]["user"] = {"uid": number, "gid": number, "additionalGids": [number]}
    user = spec.parse_config(encode(config)).process.user
    assert (user.uid, user.gid, user.additional_gids) == (number, number, (number,))


@pytest.mark.parametrize("number", [2**32 - 1, 2**32, -1, 1.0, 1e3, True, False, "0", "", [], {}])
@pytest.mark.parametrize("name", ["uid", "gid", "additionalGids"])
def test_nothing_else_is_an_id(number: object, name: str) -> None:
    """CR-1, CR-2: no names, no bool, no float, not the value that means "leave it alone"."""
    config = changed()
    config["process"]["user"][name] = [number] if name == "additionalGids" else number
    assert len(problems_of(config)) == 1


def test_control_characters_are_data_in_arguments_environment_and_annotations() -> None:
    """IN-5"""
    config = changed(annotations={"key": "a\r\n\x1b[31m\x01"})
    config["process"]["args"] = ["a\nb\x07"]
    config["process"]["env"] = ["A=\x1b\n"]
    parsed = spec.parse_config(encode(config))
    assert parsed.process.args == ("a\nb\x07",)
    assert parsed.process.env == ("A=\x1b\n",)


def test_arguments_and_environment_fit_into_what_execve_takes() -> None:
    """IN-7"""
    config = changed()
    config["process"]["args"] = ["x" * 131_071]
    spec.parse_config(encode(config))
    config["process"]["args"] = ["x" * 131_072]
    assert problems_of(config)[0].pointer == "/process/args/0"
    config["process"]["args"] = ["é" * 65_536]
    assert problems_of(config)[0].pointer == "/process/args/0"
    config["process"]["args"] = ["x" * 100_000] * 63
    assert problems_of(config)[0].pointer == "/process"


def test_10000_mounts_are_accepted_and_one_more_is_not() -> None:
    """IN-7"""
    mount = {"destination": "/x", "type": "tmpfs"}
    assert len(spec.parse_config(encode(changed(mounts=[mount] * 10_000))).mounts) == 10_000
    assert problems_of(changed(mounts=[mount] * 10_001))[0].pointer == "/mounts"


def test_annotations_change_nothing_but_themselves() -> None:
    """IN-8"""
    annotations = {"org.systemd.property.MemoryMax": "1", "bundle": "/x", "run.oci.handler": "y"}
    with_them = spec.parse_config(encode(changed(annotations=annotations)))
    without = spec.parse_config(encode(changed()))
    assert repr(with_them.linux) == repr(without.linux)
    assert repr(with_them.process) == repr(without.process)


def test_unknown_and_unraisable_capabilities_are_warned_of() -> None:
    """CR-4: they are dropped, never granted."""
    config = changed()
    config["process"]["capabilities"] = {"bounding": ["CAP_NET_RAWW"], "ambient": ["CAP_KILL"]}
    assert warnings_of(config) == [
        "/process/capabilities/bounding/0: unknown capability 'CAP_NET_RAWW' is ignored; "
        "did you mean 'CAP_NET_RAW'?",
        "/process/capabilities/ambient/0: CAP_KILL cannot be raised: "
        "it is not permitted and not inheritable",
    ]


def test_a_relative_destination_is_accepted_with_a_warning() -> None:
    (warning,) = warnings_of(changed(mounts=[{"destination": "tmp", "type": "tmpfs"}]))
    assert warning.startswith("/mounts/0/destination: a relative destination is deprecated")


# -- exec and update -------------------------------------------------------------------------------


def test_a_process_of_exec_has_pointers_from_its_own_root() -> None:
    process = spec.parse_process(encode(default_config()["process"]))
    assert process.pointer == ""
    assert process.user.pointer == "/user"
    with pytest.raises(ConfigErrors) as caught:
        spec.parse_process(b'{"cwd": "x", "args": ["a"], "user": {"uid": -1}}')
    assert str(caught.value).startswith("process.json: /user/uid: wrong value -1")
    assert [problem.pointer for problem in caught.value.problems] == ["/user/uid", "/cwd"]


def test_resources_of_update_may_leave_out_what_the_container_has() -> None:
    resources = spec.parse_resources(b'{"memory": {"swap": 5}, "pids": {"limit": null}}')
    assert resources.memory is not None
    assert resources.memory.swap == 5
    assert resources.pids is not None
    assert resources.pids.limit is None
    with pytest.raises(ConfigErrors):
        spec.parse_resources(b'{"memory": {"limit": "1G"}}')


@pytest.mark.parametrize("parse", [spec.parse_process, spec.parse_resources, spec.parse_config])
def test_only_an_object_is_read(parse: Any) -> None:
    with pytest.raises(ConfigErrors, match="an object"):
        parse(b"[1]")


def test_parsing_does_not_change_the_parsed_json() -> None:
    config = engine_config()
    before = copy.deepcopy(config)
    assert spec.parse_config(encode(config)).raw == before


def test_what_exec_leaves_out_is_all_that_differs() -> None:
    """A configuration for one more process: nothing of the container as a whole, all else alike."""
    config = engine_config()
    whole, part = (spec.config.parse_config(encode(config), whole=one) for one in (True, False))
    assert whole.mounts
    assert not part.mounts
    assert part.linux.resources is None
    for name in ("seccomp", "namespaces", "uid_mappings", "personality", "memory_policy"):
        assert repr(getattr(whole.linux, name)) == repr(getattr(part.linux, name))
    for name in ("process", "annotations", "root"):
        assert repr(getattr(whole, name)) == repr(getattr(part, name))
