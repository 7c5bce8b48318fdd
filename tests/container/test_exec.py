# SPDX-License-Identifier: Apache-2.0
"""One more process in a container: exec, and the commands around a running container."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.support.bundle import Config
from tests.support.runtime import Container
from tests.support.types import Create
from tests.support.wait import until


def test_exec_joins_every_namespace(running: Container) -> None:
    script = "for n in cgroup ipc mnt net pid uts; do readlink /proc/self/ns/$n; done"
    inside = running.runtime("exec", running.id, "sh", "-c", script).ok().lines
    names = ("cgroup", "ipc", "mnt", "net", "pid", "uts")
    assert inside == [os.readlink(f"/proc/{running.pid}/ns/{name}") for name in names]


def test_exec_gives_the_exit_code_and_passes_stdio(running: Container) -> None:
    argv = ("exec", running.id, "sh", "-c", "cat; echo error >&2; exit 42")
    result = running.runtime(*argv, stdin="input\n")
    assert (result.status, result.stdout, result.stderr) == (42, "input\n", "error\n")
    assert running.runtime("exec", running.id, "sh", "-c", "kill -9 $$").status == 137


def test_exec_runs_in_the_cgroups_of_the_container(running: Container) -> None:
    # The names are seen from outside: the process is in the cgroup namespace of the container.
    result = running.runtime("exec", running.id, "sh", "-c", "cat /proc/self/cgroup").ok()
    inside = set(result.lines)
    init = running.runtime("exec", running.id, "cat", "/proc/1/cgroup").ok()
    assert inside == set(init.lines)


def test_exec_takes_flags_over_the_containers_process(running: Container) -> None:
    flags = ["--user", "1000:1001", "--cwd", "/tmp", "-e", "A=b", "-e", "A=c", "-g", "7"]
    script = "id -u; id -g; id -G; pwd; echo $A"
    result = running.runtime("exec", *flags, running.id, "sh", "-c", script).ok()
    assert result.lines == ["1000", "1001", "1001 7", "/tmp", "c"]


def test_exec_adds_a_capability_but_not_to_the_inheritable_ones(running: Container) -> None:
    """JN-7"""
    argv = ("exec", "--cap", "CAP_NET_RAW", running.id, "cat", "/proc/self/status")
    lines = running.runtime(*argv).ok().lines
    sets = {line.split(":")[0]: int(line.split()[1], 16) for line in lines if "Cap" in line[:3]}
    assert sets["CapEff"] & 1 << 13
    assert sets["CapBnd"] & 1 << 13
    assert not sets["CapInh"] & 1 << 13
    assert not sets["CapAmb"] & 1 << 13


def test_exec_of_a_process_file(running: Container, tmp_path: Path) -> None:
    process = {
        "user": {"uid": 1000, "gid": 1000},
        "args": ["sh", "-c", "id -u; pwd; echo $X; grep NoNewPrivs /proc/self/status"],
        "env": ["PATH=/bin", "X=y"],
        "cwd": "/tmp",
        "noNewPrivileges": True,
    }
    file = tmp_path / "process.json"
    file.write_text(json.dumps(process))
    result = running.runtime("exec", "--process", file, running.id).ok()
    assert result.lines == ["1000", "/tmp", "y", "NoNewPrivs:\t1"]


def test_a_detached_exec_returns_at_once(running: Container, tmp_path: Path) -> None:
    file = tmp_path / "pid"
    argv = ("exec", "-d", "--pid-file", file, running.id, "sh", "-c", "exec sleep 614 >&- 2>&-")
    running.runtime(*argv).ok()
    pid = int(file.read_text())
    until(lambda: b"614" in Path(f"/proc/{pid}/cmdline").read_bytes(), "the program runs")
    assert os.readlink(f"/proc/{pid}/ns/pid") == os.readlink(f"/proc/{running.pid}/ns/pid")
    pids = json.loads(running.runtime("ps", "--format", "json", running.id).ok().stdout)
    assert set(pids) == {running.pid, pid}
    rows = running.runtime("ps", running.id).ok().lines
    assert len(rows) == 3
    assert "PID" in rows[0]
    # Whoever adopts it has to reap it: the end of a pid namespace waits for that.
    os.kill(pid, 9)
    os.waitpid(pid, 0)


@pytest.mark.parametrize(
    ("argv", "phrase"),
    [
        (["absent"], 'exec: "absent": executable file not found in $PATH'),
        (["/etc"], 'exec: "/etc": is a directory'),
        (["/absent"], "no such file or directory"),
    ],
)
def test_an_exec_that_cannot_be_done_exits_255(
    running: Container, argv: list[str], phrase: str
) -> None:
    result = running.runtime("exec", running.id, *argv)
    assert result.status == 255
    assert phrase in result.error
    assert running.state()["status"] == "running"


@pytest.mark.parametrize(
    "flags",
    [["--user", "root"], ["--user", "-1"], ["--user", "4294967295"], ["--user", "0:x"], ["-e", "A"]]
    + [["-e", "=b"], ["--cwd", "tmp"], ["--cap", "NO_SUCH"], ["-g", "wheel"], ["--user", "٣"]],
)
def test_a_wrong_value_is_refused(running: Container, flags: list[str]) -> None:
    """CR-2"""
    result = running.runtime("exec", *flags, running.id, "true")
    assert result.status == 255
    assert flags[0].lstrip("-")[0] in result.error


def test_exec_needs_a_running_container(create: Create, config: Config) -> None:
    container = create(config, "true").start().wait("stopped")
    result = container.runtime("exec", container.id, "true")
    assert result.status == 255
    assert "cannot exec in a stopped container" in result.error


def test_a_paused_container_is_left_alone(running: Container) -> None:
    running.command("pause").ok()
    assert running.state()["status"] == "paused"
    result = running.runtime("exec", running.id, "true")
    assert "cannot exec in a paused container (use --ignore-paused to override)" in result.error
    again = running.command("pause")
    assert again.status == 1
    assert "container not running" in again.error
    running.command("resume").ok()
    assert "container not paused" in running.command("resume").error
    running.runtime("exec", running.id, "true").ok()


def test_a_paused_container_can_be_killed_and_deleted(running: Container) -> None:
    running.command("pause").ok()
    running.command("kill", "KILL").ok()
    running.wait("stopped")


def test_delete_by_force_ends_a_paused_container(running: Container) -> None:
    running.command("pause").ok()
    refused = running.delete(force=False)
    assert "that is not stopped: paused" in refused.error
    running.delete().ok()


def test_update_changes_only_what_is_asked_for(running: Container) -> None:
    dry = running.runtime("update", "--pids-limit", "77", "--dry-run", running.id).ok()
    assert len(dry.lines) == 1
    assert dry.lines[0].endswith("-> 77")
    running.runtime("update", "--pids-limit", "77", running.id).ok()
    assert running.runtime("update", "--pids-limit", "77", "--dry-run", running.id).ok().lines == []
    resources = json.dumps({"pids": {"limit": 78}})
    running.runtime("update", "--resources", "-", running.id, stdin=resources).ok()
    dry = running.runtime("update", "--pids-limit", "79", "--dry-run", running.id).ok()
    assert dry.lines[0].endswith("78 -> 79")


def test_events_show_statistics(running: Container) -> None:
    line = running.runtime("events", "--stats", running.id).ok().stdout
    record = json.loads(line)
    assert (record["type"], record["id"]) == ("stats", running.id)
    assert record["data"]["pids"]["current"] == 1


def test_an_id_mapped_mount_shows_other_owners(create: Create, config: Config) -> None:
    source = config.bundle / "data"
    source.mkdir()
    (source / "file").write_text("")
    os.chown(source / "file", 1000, 1000)
    mapping = [{"containerID": 1000, "hostID": 5000, "size": 1}]
    entry = {"destination": "/mnt", "type": "bind", "source": str(source), "options": ["bind"]}
    config["mounts"].append({**entry, "uidMappings": mapping, "gidMappings": mapping})
    container = create(config, "stat", "-c", "%u:%g", "/mnt/file").start().wait("stopped")
    assert container.output == "5000:5000\n"


def test_limits_of_another_user_are_set(create: Create, config: Config) -> None:
    """Without CAP_SYS_RESOURCE nobody may set them from outside; then the init does it itself."""
    config.process["user"] = {"uid": 1000, "gid": 1000}
    config.process["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}]
    script = "ulimit -Sn; ulimit -Hn"
    container = create(config, "sh", "-c", f"{script}; sleep 600").start()
    until(lambda: len(container.output.split()) == 2, "the program runs")
    assert container.output.split() == ["100", "200"]
    assert container.runtime("exec", container.id, "sh", "-c", script).ok().lines == ["100", "200"]
