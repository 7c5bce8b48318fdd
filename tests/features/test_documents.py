# SPDX-License-Identifier: Apache-2.0
"""Sections 13 and 1 of the feature table: what the program says of itself is what it does."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.features.conftest import User
from tests.support.bundle import Config
from tests.support.runtime import TREE, Runtime
from tests.support.types import Create, Run

SEARCH = "/usr/bin:/bin"

feature = pytest.mark.feature
# How each extension is used: a verb, and a word of its help or of the program's.
EXTENSIONS = {
    "check": ("check", "bundle"),
    "cgroup-manager": ("create", "--cgroup-manager"),
    "completion": ("completion", "bash|zsh|fish"),
    "config": ("create", "--config"),
    "delete-regex": ("delete", "--regex"),
    "devices": ("devices", "add|remove"),
    "doctor": ("doctor", "--fix"),
    "explain": ("explain", "plan"),
    "explain-seccomp": ("run", "--explain-seccomp"),
    "info": ("info", "--format"),
    "kill-regex": ("kill", "--regex"),
    "learn": ("run", "--learn"),
    "log-level": ("create", "--log-level"),
    "mounts": ("mounts", "add|remove"),
    "spec-file": ("spec", "--file"),
    "subid-mappings": ("create", "bundle"),
    "update-dry-run": ("update", "--dry-run"),
}


@pytest.fixture
def document(pyrunc: Runtime) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(pyrunc("features").ok().stdout)
    return found


@feature("13.1 ociVersionMin/Max", "3.1 ociVersion validated")
@pytest.mark.parametrize(("end", "works"), [("Min", True), ("Max", True), ("", False)])
def test_the_versions_that_are_listed_are_accepted(
    run: Run, config: Config, document: dict[str, Any], end: str, works: bool
) -> None:
    config["ociVersion"] = document[f"ociVersion{end}"] if end else "2.0.0"
    assert (run(config, "true").status == 0) is works


@feature("13.2 hooks, mountOptions")
def test_every_hook_that_is_listed_runs(run: Run, config: Config, document: dict[str, Any]) -> None:
    notes = config.bundle / "notes"
    script = "cat >/dev/null; echo $1 >>/tmp/notes || true"
    for kind in document["hooks"]:
        inside = kind == "startContainer"
        line = script if inside else script.replace("/tmp/notes", str(notes))
        config.hook(kind, "/bin/sh", "-c", line, "-", kind)
    run(config, "true").ok()
    seen = notes.read_text().split() + (config.rootfs / "tmp/notes").read_text().split()
    assert sorted(seen) == sorted(document["hooks"])


@feature("13.2 hooks, mountOptions")
def test_every_mount_option_that_is_listed_is_understood(
    run: Run, config: Config, document: dict[str, Any]
) -> None:
    """None of them may be taken for an option of the file system, which would refuse it."""
    binds = {"bind", "rbind", "copy-symlink", "src-nofollow", "dest-nofollow", "idmap", "ridmap"}
    elsewhere = {"remount", "iversion", "mand", "rmand", "nomand", "rnomand", "tmpcopyup"}
    options = set(document["mountOptions"])
    assert {"rro", "bind", "tmpcopyup", "idmap"} <= options
    for number, option in enumerate(sorted(options - binds - elsewhere)):
        config.mount(f"/mnt/{number}", "tmpfs", "tmpfs", option)
    for number, option in enumerate(sorted(binds & options - {"idmap", "ridmap"})):
        extra = () if option.endswith("bind") else ("bind",)
        config.bind(config.file("/etc/plain"), f"/mnt/bind{number}", option, *extra)
    run(config, "true").ok()


@feature("13.3 linux.namespaces")
def test_every_namespace_that_is_listed_can_be_made(
    run: Run, config: Config, document: dict[str, Any]
) -> None:
    config.user_namespace()
    for kind in document["linux"]["namespaces"]:
        config.namespace(kind)
    run(config, "true").ok()


@feature("13.4 linux.capabilities")
def test_every_capability_that_is_listed_can_be_had(
    run: Run, config: Config, document: dict[str, Any]
) -> None:
    names = document["linux"]["capabilities"]
    config.capabilities(*names)
    inside = run(config, "grep", "CapBnd", "/proc/self/status").ok().stdout.split()
    with open("/proc/self/status") as file:
        ours = next(line.split() for line in file if line.startswith("CapBnd"))
    assert int(inside[1], 16) == int(ours[1], 16) & (1 << len(names)) - 1


@feature("13.5 linux.cgroup")
def test_the_cgroup_drivers_are_listed(document: dict[str, Any]) -> None:
    found = document["linux"]["cgroup"]
    assert found == dict.fromkeys(("v1", "v2", "systemd", "systemdUser", "rdma"), True)


@feature("13.6 linux.seccomp", "10.5 architectures", "10.2 actions KILL")
def test_everything_that_is_listed_of_seccomp_is_accepted(
    run: Run, config: Config, document: dict[str, Any]
) -> None:
    found = document["linux"]["seccomp"]
    assert found["enabled"] is True
    actions = [one for one in found["actions"] if one != "SCMP_ACT_NOTIFY"]
    config.linux["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": found["archs"],
        "flags": [one for one in found["supportedFlags"] if "KILLABLE" not in one],
        "syscalls": [
            {"names": [name], "action": action}
            for name, action in zip(
                ("acct", "swapon", "swapoff", "reboot", "kexec_load", "vhangup", "sethostname",
                 "setdomainname", "init_module", "delete_module", "quotactl"),
                actions, strict=False,
            )
        ]
        + [
            {
                "names": ["personality"],
                "action": "SCMP_ACT_ERRNO",
                "args": [{"index": 0, "value": 8, "valueTwo": 8, "op": op}],
            }
            for op in found["operators"]
            if op in ("SCMP_CMP_EQ", "SCMP_CMP_MASKED_EQ")
        ],
    }  # fmt: skip
    run(config, "true").ok()


@feature("13.7 linux.apparmor selinux intelRdt", "13.8 linux.intelRdt", "13.11 linux.netDevices")
def test_the_modules_that_are_known_are_listed(document: dict[str, Any]) -> None:
    linux = document["linux"]
    for name in ("apparmor", "selinux", "intelRdt", "netDevices"):
        assert linux[name]["enabled"] is True
    assert linux["intelRdt"] == {"enabled": True, "schemata": True, "monitoring": True}


@feature("13.9 linux.memoryPolicy")
def test_every_memory_policy_that_is_listed_passes_the_checks(
    pyrunc: Runtime, config: Config, document: dict[str, Any]
) -> None:
    found = document["linux"]["memoryPolicy"]
    assert set(found["flags"]) >= {"MPOL_F_STATIC_NODES", "MPOL_F_RELATIVE_NODES"}
    for mode in found["modes"]:
        alone = mode in ("MPOL_DEFAULT", "MPOL_LOCAL")
        config.linux["memoryPolicy"] = {"mode": mode} if alone else {"mode": mode, "nodes": "0"}
        config.write()
        pyrunc("check", "--no-schema", config.bundle).ok()


@feature("13.10 linux.mountExtensions.idmap")
def test_id_mapped_mounts_are_listed(document: dict[str, Any]) -> None:
    assert document["linux"]["mountExtensions"]["idmap"]["enabled"] is True


@feature("13.12 annotations")
def test_the_extensions_are_a_list_for_machines(pyrunc: Runtime, document: dict[str, Any]) -> None:
    annotations = document["annotations"]
    theirs = {"org.opencontainers.runc.checkpoint.enabled"}  # by which engines look for it
    assert all(name.startswith("org.pyrunc.") or name in theirs for name in annotations)
    assert all(isinstance(value, str) for value in annotations.values())
    for verb in annotations["org.pyrunc.commands"].split():
        pyrunc(verb, "--help").ok()
    for name in annotations["org.pyrunc.extensions"].split():
        assert name in EXTENSIONS, f"{name}: how is it used?"
        texts = pyrunc("--help").ok().stdout + pyrunc(EXTENSIONS[name][0], "--help").ok().stdout
        assert EXTENSIONS[name][1] in texts


@feature("13.13 potentiallyUnsafeConfigAnnotations")
def test_annotations_that_pyrunc_acts_on_are_called_unsafe(document: dict[str, Any]) -> None:
    unsafe = document["potentiallyUnsafeConfigAnnotations"]
    for name in document["annotations"]["org.pyrunc.annotations"].split():
        assert any(name == one or (one.endswith(".") and name.startswith(one)) for one in unsafe)


@feature("1.12 --version / -v", "1.13 --help per command")
def test_the_version_is_what_clients_read(pyrunc: Runtime) -> None:
    lines = pyrunc("--version").ok().lines
    assert lines[0].split()[1] == "version"
    assert any(line.startswith("commit: ") for line in lines)
    assert any(line.startswith("spec: ") for line in lines)


@feature("1.15 single-dash long flags", "1.16 flags after positionals", "1.17 repeated scalar flag")
def test_flags_come_in_the_forms_that_clients_use(pyrunc: Runtime, config: Config) -> None:
    config.process["args"] = ["sh", "-c", "exit 4"]
    config.write()
    name = pyrunc.new_id()
    twice = ("--root", pyrunc.root / "other", "--root", pyrunc.root)
    result = pyrunc(*twice, "run", name, "-no-subreaper", f"-bundle={config.bundle}")
    assert result.status == 4


@feature(
    "1.3 --log-format text|json", "1.6 JSON log keys", "1.7 Error also on stderr", "1.2 --log FILE"
)
@pytest.mark.parametrize("form", ["text", "json"])
def test_the_log_file_has_what_stderr_has(pyrunc: Runtime, config: Config, form: str) -> None:
    log = config.bundle / "log"
    result = pyrunc("--log", log, "--log-format", form, "state", "absent")
    assert "does not exist" in result.error
    if form == "json":
        record = json.loads(log.read_text())
        assert record.keys() >= {"level", "msg", "time"}
        assert record["msg"] == result.error
    else:
        assert "does not exist" in log.read_text()


@feature("1.4 --log-level", "1.5 --debug")
def test_debug_says_more(pyrunc: Runtime, config: Config) -> None:
    config.process["args"] = ["/etc"]
    config.write()
    argv = ("run", "--bundle", config.bundle, pyrunc.new_id())
    plain = pyrunc(*argv).stderr
    for flags in (("--debug",), ("--log-level", "debug")):
        assert len(pyrunc(*flags, *argv).stderr) >= len(plain)


@feature("1.1 --root DIR", "1.10 --rootless")
def test_the_state_is_where_root_says(pyrunc: Runtime, config: Config) -> None:
    config.process["args"] = ["sleep", "600"]
    config.write()
    other = pyrunc.root / "other"
    name = pyrunc.new_id()
    flags = ("--root", other, "--rootless=false")
    pyrunc(*flags, "create", "--bundle", config.bundle, name).ok()
    try:
        assert (other / name).is_dir()
        assert pyrunc("state", name).status == 1
    finally:
        pyrunc(*flags, "delete", "--force", name).ok()
        for entry in other.iterdir():
            entry.rmdir() if entry.is_dir() else entry.unlink()
        other.rmdir()


@feature("13.12 annotations")
def test_every_annotation_is_documented(document: dict[str, Any]) -> None:
    text = (TREE / "docs/annotations.md").read_text()
    for name in document["annotations"]["org.pyrunc.annotations"].split():
        assert f"`{name}" in text


@feature("1.18 comma in repeated flags")
def test_a_comma_belongs_to_the_value_of_a_repeated_flag(create: Create, config: Config) -> None:
    """`--cgroup cpu,cpuacct:/x` names one place for two controllers, and `--env` any text."""
    container = create(config, "sleep", "600").start()
    flags = ("--env", "A=1,B=2", "--env", "C=3,", "--env", "D=,")
    found = container.runtime("exec", *flags, container.id, "sh", "-c", "echo $A $B $C $D").ok()
    assert found.stdout == "1,B=2 3, ,\n"
    lines = Path(f"/proc/{container.pid}/cgroup").read_text().splitlines()
    found_own = [line.split(":")[1:] for line in lines if line.endswith(container.id)]
    own = [(name, path) for name, path in found_own if name in ("pids", "memory", "cpu")][:2]
    if len(own) < 2:
        return  # one hierarchy: nothing to list
    below = [Path("/sys/fs/cgroup", name, path.lstrip("/"), "below") for name, path in own]
    for place in below:
        place.mkdir()
    try:
        flag = ",".join(name for name, _path in own) + ":/below"
        argv = ("exec", "--cgroup", flag, container.id, "cat", "/proc/self/cgroup")
        entered = container.runtime(*argv).ok().lines
        assert sum(line.endswith("/below") for line in entered) == 2
    finally:
        for place in below:
            place.rmdir()


@feature("1.19 shell completion command")
@pytest.mark.parametrize(
    ("shell", "file"), [("bash", "pyrunc.bash"), ("zsh", "_pyrunc"), ("fish", "pyrunc.fish")]
)
def test_the_completion_is_what_is_installed(pyrunc: Runtime, shell: str, file: str) -> None:
    text = pyrunc("completion", shell).ok().stdout
    assert text == (TREE / "completions" / file).read_text()
    for verb in ("create", "mounts", "completion"):
        assert verb in text


@feature("1.19 shell completion command")
def test_an_unknown_shell_is_named(pyrunc: Runtime) -> None:
    result = pyrunc("completion", "csh")
    assert result.status == 1
    assert "'csh'" in result.error
    assert "bash, zsh, fish" in result.stderr


@feature("2.106 info")
def test_info_says_what_the_host_has(pyrunc: Runtime) -> None:
    found = json.loads(pyrunc("info", "--format", "json").ok().stdout)
    names = os.uname()
    assert found["kernel"]["release"] == names.release
    assert found["caller"]["uid"] == 0
    own = {line.split(":")[1] for line in Path("/proc/self/cgroup").read_text().splitlines()}
    assert {row["name"] for row in found["cgroups"]["hierarchies"]} <= own
    assert found["cgroups"]["layout"] in ("v1", "v2", "hybrid")
    kinds = {"cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"}
    assert found["namespaces"].keys() == kinds
    actions = Path("/proc/sys/kernel/seccomp/actions_avail").read_text().split()
    assert found["seccomp"]["kernelActions"] == actions
    assert "CAP_SYS_ADMIN" in found["caller"]["capabilities"]
    for name, one in found["features"].items():
        assert one["enabled"] == ("reason" not in one), name
    text = pyrunc("info").ok().stdout
    assert names.release in text
    for name in found["features"]:
        assert f"  {name}:" in text


@feature("2.106 info")
def test_info_says_why_a_feature_is_off(pyrunc: Runtime, user: User) -> None:
    found = json.loads(user("info", "--format", "json", env={"PATH": SEARCH}).ok().stdout)
    assert found["caller"] | {"uid": user.uid, "rootless": True} == found["caller"]
    features = found["features"]
    assert features["id-mapped mounts"]["reason"] == "only root of the machine can do it"
    for name, program in (("subordinate ids", "newuidmap"), ("checkpoint and restore", "criu")):
        there = shutil.which(program, path=SEARCH) is not None
        assert features[name]["enabled"] == there
        assert there or f"{program} is not in PATH" in features[name]["reason"]
    assert "session" in features["systemd cgroups"]["reason"]
    ours = json.loads(pyrunc("info", "--format", "json").ok().stdout)["features"]
    assert ours["id-mapped mounts"]["enabled"] is True
    assert ours["apparmor"]["enabled"] == Path("/sys/module/apparmor/parameters/enabled").exists()


@feature("13.2 hooks, mountOptions")
def test_check_says_the_same_from_every_front_end(pyrunc: Runtime, config: Config) -> None:
    """Also what the published schema finds: the launcher asks the installed library for it."""
    config.linux["rootfsPropagation"] = "rprivate"  # as engines write it
    config.write()
    outputs = set()
    programs = [TREE / "bin/pyrunc", TREE / "build/pyrunc-stock", TREE / "build/pyrunc-boot"]
    for program in programs:
        result = Runtime(program, pyrunc.root)("check", "--format", "json", config.bundle)
        outputs.add(result.stdout)
        assert "not consulted" not in result.stdout
        assert result.stderr == ""
    assert len(outputs) == 1
    warnings = json.loads(outputs.pop())["warnings"]
    assert "/linux/rootfsPropagation" in [one["pointer"] for one in warnings]
