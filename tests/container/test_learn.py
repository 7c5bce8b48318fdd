# SPDX-License-Identifier: Apache-2.0
"""run --learn and exec --learn: what a program has used is enough to run it, and no more."""

from __future__ import annotations

import copy
import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.support.bundle import Config
from tests.support.runtime import Runtime
from tests.support.wait import until

MANY = (
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "KILL",
    "NET_BIND_SERVICE",
    "SETGID",
    "SETUID",
    "SYS_ADMIN",
)
RULE = {"allow": False, "access": "rwm"}
# name -> command, and the capabilities that it uses
BUSYBOX: dict[str, tuple[str, set[str]]] = {
    "files": ("rm -f /tmp/a; echo x >/tmp/a; sed -i s/x/y/ /tmp/a; cat /tmp/a; rm /tmp/a", set()),
    "pipes": ("seq 1 2000 | sort -r | tail -n 2 | tr 0-9 a-j", set()),
    "signals": ("sleep 50 & sleep 0.2; kill $!; wait $!; echo $?", set()),
    "owner": ("rm -f /tmp/b; touch /tmp/b; chown 7:7 /tmp/b; stat -c %u /tmp/b", {"CHOWN"}),
    "other-user": ("su worker -c 'id -u'", {"SETUID", "SETGID"}),
    "mounts": ("mount -t tmpfs none /mnt; umount /mnt; echo $?", {"SYS_ADMIN"}),
    "devices": ("dd if=/dev/zero bs=7 count=1 2>/dev/null | wc -c; echo x >/dev/full", set()),
}
DEBIAN = {
    "perl": ("/usr/bin/perl", "-e", "print join(',', map { $_ ** 2 } 1..9), qq(\\n); exit 4"),
    "sort": ("/usr/bin/sort", "--parallel=4", "-r", "/etc/passwd"),
    "find": ("/usr/bin/find", "/etc", "-type", "f", "-newer", "/bin/busybox"),
    "tar": ("/bin/tar", "-cf", "-", "/etc/passwd"),
    "bash": (
        "/bin/bash",
        "-c",
        "for i in {1..3}; do read -t 0.01 x; done; echo ${BASH_VERSINFO[0]}",
    ),
}


def traces_capabilities() -> bool:
    """Whether the kernel has the tracepoint that tells capabilities (Linux 6.14)."""
    release = tuple(int(part) for part in os.uname().release.split("-")[0].split(".")[:2])
    symbols = Path("/proc/kallsyms").read_text()
    return release >= (6, 14) and "__traceiter_cap_capable" in symbols


def learn(pyrunc: Runtime, config: Config, directory: Path, *argv: str) -> tuple[Any, Any]:
    """Run, learn, run under what was learned: the results of both."""
    first = pyrunc.run(config, *argv, flags=["--learn", str(directory)])
    learned = copy.copy(config)
    learned.update(json.loads((directory / "config.json").read_text()))
    return first, pyrunc.run(learned)


def used(directory: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((directory / "used.json").read_text())
    return found


@pytest.mark.parametrize("name", BUSYBOX)
def test_an_applet_runs_with_what_was_learned(
    pyrunc: Runtime, config: Config, workspace: Path, name: str
) -> None:
    script, capabilities = BUSYBOX[name]
    config.capabilities(*(f"CAP_{one}" for one in MANY))
    config["root"]["readonly"] = False
    config.linux["resources"] = {"devices": [RULE]}
    config.process["noNewPrivileges"] = False
    first, second = learn(pyrunc, config, workspace / "out", "sh", "-c", script)
    assert (second.status, second.stdout) == (first.status, first.stdout), second.stderr
    assert first.stdout or first.status
    if traces_capabilities():
        wanted = {f"CAP_{one}" for one in capabilities}
        fragment = json.loads((workspace / "out/fragment.json").read_text())
        assert set(fragment["process"]["capabilities"]["bounding"]) == wanted
        assert set(used(workspace / "out")["capabilities"]) == wanted
    else:
        assert "kept: the capabilities" in first.stderr


@pytest.mark.parametrize("name", DEBIAN)
def test_a_program_of_the_distribution_runs_with_what_was_learned(
    pyrunc: Runtime, config: Config, workspace: Path, name: str
) -> None:
    if not Path(DEBIAN[name][0]).exists():
        pytest.skip(f"needs {DEBIAN[name][0]}")
    for place in ("/usr", "/lib", "/lib64"):
        config.bind(place, place, "rbind", "ro")
    if not Path("/bin").is_symlink():
        config.bind("/bin", "/bin", "rbind", "ro")
    config.capabilities(*(f"CAP_{one}" for one in MANY))
    program = os.path.realpath(DEBIAN[name][0])
    first, second = learn(pyrunc, config, workspace / "out", program, *DEBIAN[name][1:])
    assert (second.status, second.stdout) == (first.status, first.stdout), second.stderr
    assert first.stdout
    assert used(workspace / "out")["files"][program]["access"].endswith("x")


def test_what_was_not_used_is_refused(pyrunc: Runtime, config: Config, workspace: Path) -> None:
    config.capabilities("CAP_CHOWN")
    config["root"]["readonly"] = False
    learn(pyrunc, config, workspace / "out", "true")
    learned = copy.copy(config)
    learned.update(json.loads((workspace / "out/config.json").read_text()))
    result = pyrunc.run(learned, "mkdir", "/tmp/made")
    assert result.status != 0
    assert "Operation not permitted" in result.stderr
    assert learned["root"]["readonly"] is True
    told = (workspace / "out/refused.txt").read_text()
    assert " mkdir, " in told
    assert "writing to the root file system" in told


def test_nothing_is_learned_that_the_configuration_refuses(
    pyrunc: Runtime, config: Config, workspace: Path
) -> None:
    config["root"]["readonly"] = False
    config.linux["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 122}],
    }
    config.linux["resources"] = {"devices": [RULE]}
    config.linux["devices"] = [{"path": "/dev/kmsg", "type": "c", "major": 1, "minor": 11}]
    script = "mkdir /tmp/x; cat /dev/kmsg; exit 5"
    first, second = learn(pyrunc, config, workspace / "out", "sh", "-c", script)
    assert first.status == second.status == 5
    assert "quota" in first.stderr.lower()
    assert second.stderr.lower().count("quota") == 1
    assert "mkdir" not in used(workspace / "out")["systemCalls"]
    assert used(workspace / "out")["refused"]["mkdir"] == {"count": 1, "answer": "EDQUOT"}
    fragment = json.loads((workspace / "out/fragment.json").read_text())
    assert fragment["linux"]["resources"]["devices"] == [RULE]
    assert [node["path"] for node in fragment["linux"]["devices"]] == ["/dev/kmsg"]


def test_runs_with_one_directory_add_up(pyrunc: Runtime, config: Config, workspace: Path) -> None:
    out = workspace / "out"
    config["root"]["readonly"] = False
    learn(pyrunc, config, out, "mkdir", "/tmp/one")
    learn(pyrunc, config, out, "ln", "-s", "x", "/tmp/two")
    calls = used(out)["systemCalls"]
    assert {"mkdir", "symlink"} & set(calls) == {"mkdir", "symlink"} or "symlinkat" in calls
    assert {"/tmp/one", "/tmp/two"} <= set(used(out)["files"])
    (out / "record.json").write_text("{}")
    assert "remove it to begin anew" in pyrunc.run(config, flags=["--learn", str(out)]).stderr


def test_exec_learns_too_and_names_only_files_of_the_container(
    pyrunc: Runtime, config: Config, workspace: Path
) -> None:
    config.linux["devices"] = [
        {"path": "/dev/kmsg", "type": "c", "major": 1, "minor": 11},
        {"path": "/dev/nothing", "type": "c", "major": 1, "minor": 3},
    ]
    container = pyrunc.create(config, "sleep", "60").start()
    out = workspace / "out"
    result = pyrunc("exec", "--learn", str(out), container.id, "stat", "-c", "%t", "/dev/kmsg").ok()
    container.delete()
    assert result.stdout == "1\n"
    files = used(out)["files"]
    assert files["/dev/kmsg"]["kind"] == "c"
    assert not [path for path in files if path.startswith(str(workspace))]
    fragment = json.loads((out / "fragment.json").read_text())
    assert [node["path"] for node in fragment["linux"]["devices"]] == ["/dev/kmsg"]


def test_learning_needs_somebody_who_stays(
    pyrunc: Runtime, config: Config, workspace: Path
) -> None:
    result = pyrunc.run(config, "true", flags=["--learn", str(workspace / "out"), "--detach"])
    assert "it cannot go with --detach" in result.error
    assert not (workspace / "out").exists()


# -- --explain-seccomp of create and exec ----------------------------------------------------------

QUOTA = {
    "defaultAction": "SCMP_ACT_ALLOW",
    "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 122}],
}


@pytest.mark.parametrize("verb", ["create", "run"])
def test_what_the_filter_refused_is_in_the_state_of_a_container_that_nobody_waited_for(
    pyrunc: Runtime, config: Config, verb: str
) -> None:
    config.linux["seccomp"] = QUOTA
    config.process["args"] = ["sh", "-c", "mkdir /tmp/x; mkdir /tmp/y"]
    config.write()
    flags = ["--explain-seccomp", "--bundle", str(config.bundle), "counted"]
    pyrunc(verb, *(["--detach"] if verb == "run" else []), *flags).ok()
    if verb == "create":
        pyrunc("start", "counted").ok()

    def refused() -> Any:
        state = json.loads(pyrunc("state", "counted").ok().stdout)
        return state.get("postMortem", {}).get("refusedCalls")

    until(lambda: refused() is not None, "the refused calls are in the state")
    found = refused()
    pyrunc("delete", "counted").ok()
    assert found == {"mkdir": {"count": 2, "answer": "EDQUOT"}}


def test_exec_tells_what_the_filter_refused(pyrunc: Runtime, config: Config) -> None:
    config.linux["seccomp"] = QUOTA
    container = pyrunc.create(config, "sleep", "60").start()
    told = pyrunc("exec", "--explain-seccomp", container.id, "mkdir", "/tmp/x")
    detached = pyrunc("exec", "--explain-seccomp", "--detach", container.id, "true")
    container.delete()
    assert "seccomp: mkdir: refused once (EDQUOT)" in told.stderr.splitlines()
    assert "it cannot go with --detach" in detached.error


def test_what_the_init_does_before_the_program_is_in_no_profile(
    pyrunc: Runtime, config: Config, workspace: Path
) -> None:
    config.process["noNewPrivileges"] = True
    learn(pyrunc, config, workspace / "out", "true")
    fragment = json.loads((workspace / "out/fragment.json").read_text())
    (rule,) = fragment["linux"]["seccomp"]["syscalls"]
    init = {
        "pivot_root",
        "mount",
        "move_mount",
        "setns",
        "unshare",
        "seccomp",
        "capset",
        "setgroups",
    }
    assert not init & {*rule["names"], *used(workspace / "out")["systemCalls"]}


def test_a_directory_that_cannot_be_made_is_an_error_before_anything_runs(
    pyrunc: Runtime, config: Config
) -> None:
    config["root"]["readonly"] = False
    result = pyrunc.run(config, "touch", "/tmp/ran", flags=["--learn", "/dev/null/out"])
    assert "cannot make the directory of --learn" in result.error
    assert not (config.rootfs / "tmp/ran").exists()
