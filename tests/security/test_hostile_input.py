# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: SIM905 - long lists of words
"""S3: hostile configs, ids and arguments are refused before anything is made."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.support.bundle import Config
from tests.support.runtime import Result, Runtime

BAD_IDS = (
    "", ".", "..", "...", "/", "a/b", "/a", "../a", "a/..", "a b", " a", "a ", "a\n", "\na",
    "a\tb", "\xe9", "a:b", "a*b", "a?", "a;b", "$(id)", "`id`", "a'b", 'a"b', "a\\b", "a|b",
    "a&b", "a<b", "a>b", "{a}", "[a]", "~", "a~", "#a", "a%", "a@b", "a!b", "a=b", "a,b",
    "%2e%2e", "\x1b[31m", "\u202ea", "\uff21", "\u0663", "a" * 256, "a" * 5000, ".hidden", "\x7f",
    "a\r", "a\x0bb",
)  # fmt: skip
VERBS: tuple[tuple[str, ...], ...] = (
    ("state",), ("start",), ("kill",), ("delete",), ("delete", "--force"),
)  # fmt: skip
BAD_IDS_OF_USERS: tuple[Any, ...] = (
    -1, 2**32 - 1, 2**32, 2**63, 1.0, 1.5, True, "0", "root", [], {}, 1e3,
)  # fmt: skip
BAD_CGROUPS = ("../x", "/../x", "/a/../../b", "a/../../../x", "/a\nb", "/a\x00b", "/" + "x" * 300)
BAD_KEYS = ("../x/cgroup.procs", "a/b", ".", "..", "", "cgroup.procs", "x" * 300, "memory.max\n")
BAD_CLASSES = ("..", "../x", "a/b", "/a", "a\x00", "a\nb")
BAD_ANNOTATIONS = """
org.systemd.property.ExecStart run.oci.hooks.stdout module.wasm.image
run.oci.seccomp.plugins run.oci.mount_context_type org.criu.config
""".split()


def refused(runtime: Runtime, config: Config, text: str | None = None) -> Result:
    """Run a config that must be refused: status 1, one short line, nothing made."""
    if text is None:
        config.write()
    else:
        (config.bundle / "config.json").write_text(text)
    before = sorted(os.listdir(runtime.root)), sorted(os.listdir(config.rootfs))
    result = runtime("run", "--bundle", config.bundle, runtime.new_id(), timeout_s=20)
    assert result.status == 1, result.stdout
    assert result.error.startswith("pyrunc: ")
    assert len(result.error.encode()) <= 1024
    assert (sorted(os.listdir(runtime.root)), sorted(os.listdir(config.rootfs))) == before
    return result


@pytest.mark.parametrize("container", BAD_IDS, ids=ascii)
def test_a_bad_id_reaches_no_path(runtime: Runtime, workspace: Path, container: str) -> None:
    """ST-1, R029: not even `delete --force`, which has nothing to look up."""
    beside = workspace / "beside"
    beside.mkdir()
    (runtime.root / "kept").mkdir()
    for verb in VERBS:
        result = runtime(*verb, container)
        assert result.status == 1, verb
        assert "invalid container ID format" in result.stderr or not container
    assert beside.is_dir()
    (runtime.root / "kept").rmdir()


@pytest.mark.parametrize("container", ["..", "a/b", "a\n", "é"], ids=ascii)
@pytest.mark.parametrize("verb", ["create", "run"])
def test_a_bad_id_makes_nothing(
    runtime: Runtime, config: Config, verb: str, container: str
) -> None:
    """ST-1, R029."""
    config.write()
    result = runtime(verb, "--bundle", config.bundle, container)
    assert result.status == 1
    assert "invalid container ID format" in result.stderr
    assert os.listdir(runtime.root) == []


@pytest.mark.parametrize("value", BAD_IDS_OF_USERS, ids=repr)
@pytest.mark.parametrize("key", ["uid", "gid"])
def test_an_id_of_a_user_is_a_number_in_range(
    runtime: Runtime, config: Config, key: str, value: object
) -> None:
    """CR-1, CR-2, PY-6, R063: never a name, never wrapped, never a float or a truth value."""
    config.process["user"][key] = value
    assert f"/process/user/{key}" in refused(runtime, config).stderr


@pytest.mark.parametrize("value", [-1, 2**32 - 1, True, "5"], ids=repr)
def test_an_additional_group_is_a_number_in_range(
    runtime: Runtime, config: Config, value: object
) -> None:
    """CR-2, R063."""
    config.process["user"]["additionalGids"] = [1, value]
    assert "/process/user/additionalGids/1" in refused(runtime, config).stderr


def strings(node: Any, pointer: str = "") -> list[tuple[str, Any, str | int]]:
    """(pointer, container, key) of every string of a config."""
    found: list[tuple[str, Any, str | int]] = []
    items = node.items() if isinstance(node, dict) else enumerate(node)
    for key, value in items:
        here = f"{pointer}/{key}"
        if isinstance(value, str):
            found.append((here, node, key))
        elif isinstance(value, dict | list):
            found += strings(value, here)
    return found


def test_a_nul_is_refused_in_every_string(runtime: Runtime, config: Config) -> None:
    """IN-4, R012: C would see another string than we checked."""
    config["annotations"] = {"key": "value"}
    config.hook("createRuntime", "/bin/true", "argument", env=["A=b"])
    config.linux["maskedPaths"] = ["/x"]
    places = strings(json.loads(json.dumps(config)))
    assert len(places) > 40
    for pointer, _, _ in places[:: max(1, len(places) // 24)]:
        copy = json.loads(json.dumps(config))
        _, node, key = next(place for place in strings(copy) if place[0] == pointer)
        node[key] += "\x00x"
        result = refused(runtime, config, json.dumps(copy))
        assert pointer in result.stderr or "NUL" in result.stderr


@pytest.mark.parametrize("size", [65535, 65536, 65537, 1 << 20])
@pytest.mark.parametrize("name", ["hostname", "destination", "env"])
def test_long_strings_are_refused_or_used_whole(
    runtime: Runtime, config: Config, name: str, size: int
) -> None:
    """PL-2, R012: no 16-bit length anywhere."""
    text = "x" * size
    if name == "hostname":
        config["hostname"] = text
    elif name == "destination":
        config.mount(f"/{text}", "tmpfs", "tmpfs")
    else:
        config.process["env"].append(f"LONG={text}")
    config.process["args"] = ["sh", "-c", "echo ${#LONG}"]
    config.write()
    result = runtime("run", "--bundle", config.bundle, runtime.new_id())
    assert result.status == 1 or result.stdout == f"{size}\n"
    assert len(result.error.encode()) <= 1024


@pytest.mark.parametrize("path", ["", "/process", "/process/user", "/root", "/linux", "/mounts/0"])
def test_a_key_that_comes_twice_is_refused(runtime: Runtime, config: Config, path: str) -> None:
    """IN-2, R096: some take the first and some the last."""
    text = json.dumps(config)
    node: Any = config
    for part in path.split("/")[1:]:
        node = node[int(part)] if isinstance(node, list) else node[part]
    key = next(iter(node))
    inner = json.dumps(node)
    twice = inner[:-1] + f", {json.dumps(key)}: {json.dumps(node[key])}}}"
    result = refused(runtime, config, text.replace(inner, twice, 1))
    assert key in result.stderr


TEXTS = {
    "too-big": "{" + " " * (8 << 20) + "}",
    "too-deep": '{"annotations": ' + '{"a":' * 70 + "1" + "}" * 71,
    "too-many": '{"annotations": [' + "1," * 100001 + "1]}",
    "long-number": '{"ociVersion": ' + "9" * 5000 + "}",
    "not-a-number": '{"ociVersion": NaN}',
    "infinite": '{"ociVersion": Infinity}',
    "surrogate": '{"ociVersion": "\\ud800"}',
    "trailing": "{} {}",
    "empty": "",
    "array": "[]",
    "comment": '{"ociVersion": "1.0.2" /* */}',
}


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_a_text_that_is_no_bounded_strict_json_is_refused(
    runtime: Runtime, config: Config, name: str
) -> None:
    """IN-1, IN-3, R051."""
    refused(runtime, config, TEXTS[name])


@pytest.mark.parametrize("path", BAD_CGROUPS, ids=ascii)
def test_a_cgroup_path_that_climbs_is_refused_or_confined(
    runtime: Runtime, config: Config, path: str
) -> None:
    """CG-1, CG-3, R098: and nothing appears beside the hierarchies."""
    config.linux["cgroupsPath"] = path
    config.linux["resources"] = {"pids": {"limit": 100}}
    before = sorted(os.listdir("/sys/fs/cgroup"))
    refused(runtime, config)
    assert sorted(os.listdir("/sys/fs/cgroup")) == before


@pytest.mark.parametrize("key", BAD_KEYS, ids=ascii)
def test_a_unified_key_is_a_file_name(runtime: Runtime, config: Config, key: str) -> None:
    """CG-2, R015, R041."""
    config.linux["resources"] = {"unified": {key: "1"}}
    assert "/linux/resources/unified" in refused(runtime, config).stderr


@pytest.mark.parametrize("name", BAD_CLASSES, ids=ascii)
def test_a_class_of_service_is_a_directory_name(
    runtime: Runtime, config: Config, name: str
) -> None:
    """IN-6, R091."""
    config.linux["intelRdt"] = {"closID": name}
    assert "/linux/intelRdt" in refused(runtime, config).stderr


@pytest.mark.parametrize("value", ["1\n2", "1\x00", "x" * 5000], ids=ascii)
def test_a_sysctl_value_is_one_short_line(runtime: Runtime, config: Config, value: str) -> None:
    """PS-6, R065."""
    config.linux["sysctl"] = {"net.ipv4.ip_forward": value}
    refused(runtime, config)


SYSCTLS = """
kernel.core_pattern kernel.modprobe kernel.panic kernel.hostname kernel.msgmax2
kernel.msgmax/../panic kernel.sem.x kernel kernel. .kernel.msgmax vm.overcommit_memory
fs.file-max fs.mqueue fs.mqueuex.msg_max net netx.ipv4.ip_forward network.a
net/../kernel/panic net.ipv4/../../kernel/panic dev.cdrom.info debug.x
user.max_net_namespaces abi.vsyscall32 kernel/core_pattern
net.ipv4.ip_forward=1+kernel.panic sunrpc.x crypto.x
""".split()


@pytest.mark.parametrize("name", SYSCTLS)
def test_only_listed_sysctls_are_written(runtime: Runtime, config: Config, name: str) -> None:
    """PS-6, IN-9, R050, R065, R081: whole names are compared, not beginnings."""
    config.linux["sysctl"] = {name: "1"}
    refused(runtime, config)


PROC_TARGETS = """
/proc/1 /proc/self /proc/self/attr /proc/self/attr/exec /proc/sys /proc/sys/kernel
/proc/sysrq-trigger /proc/thread-self /proc/mounts /proc/net /proc/net/dev /proc/fs
/proc//self /proc/./self /proc/x/../self /proc/uptime/../self /proc/cpuinfo2 /proc/version
/proc/kcore /proc/bus /proc/irq /proc/keys /proc/sys/kernel/core_pattern /link/self
/link/sys
""".split()


@pytest.mark.parametrize("target", PROC_TARGETS)
def test_nothing_is_mounted_below_proc(
    runtime: Runtime, config: Config, workspace: Path, target: str
) -> None:
    """MT-7, R002, R094: decided on what was opened, so links and detours do not matter."""
    (config.rootfs / "link").symlink_to("/proc")
    config.bind(workspace, target)
    config.write()
    result = runtime("run", "--bundle", config.bundle, runtime.new_id())
    assert result.status == 1


@pytest.mark.parametrize("target", ["/proc2", "/procX", "/sys/fs/cgroupX", "/proc.d/self"])
def test_a_name_that_only_begins_like_proc_is_free(
    runtime: Runtime, config: Config, workspace: Path, target: str
) -> None:
    """IN-9, PR-8, R081."""
    if target.startswith("/sys"):
        config.without_mount("/sys")
    config.bind(workspace, target)
    runtime.run(config, "true").ok()


@pytest.mark.parametrize("name", BAD_ANNOTATIONS)
def test_an_annotation_changes_nothing(runtime: Runtime, config: Config, name: str) -> None:
    """IN-8, R032, R066, R068, R076: data for others, kept and not acted on."""
    config["annotations"] = {name: '/bin/evil,"=x\nInjected=1'}
    script = "cat /proc/self/cgroup /proc/self/mountinfo | cut -d' ' -f5-6; ulimit -a"
    with_it = runtime.run(config, "sh", "-c", script).ok().stdout
    config["annotations"] = {}
    assert runtime.run(config, "sh", "-c", script).ok().stdout == with_it


def test_hostile_text_stays_data(runtime: Runtime, config: Config, workspace: Path) -> None:
    """IN-5, LG-1, R067: one record a line, valid JSON, a pid file of digits."""
    nasty = 'a\nlevel=error msg="forged"\r\x1b[2J'
    config["annotations"] = {"nasty": nasty}
    config.process["env"].append(f"NASTY={nasty}")
    config.process["args"] = [f"/bin/{nasty}"]
    config.write()
    log = workspace / "log"
    flags = ("--log", log, "--log-format", "json")
    result = runtime(*flags, "run", "--bundle", config.bundle, runtime.new_id())
    assert result.status == 1
    assert "\x1b" not in result.stderr
    records = [json.loads(line) for line in log.read_text().splitlines()]
    assert [record["level"] for record in records] == ["error"]
    config.process["args"] = ["true"]
    config.write()
    container = runtime.create(config, flags=("--pid-file", workspace / "pid"))
    assert container.state()["annotations"] == {"nasty": nasty}
    assert (workspace / "pid").read_text().isdecimal()
    container.delete().ok()
