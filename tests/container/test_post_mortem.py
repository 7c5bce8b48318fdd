# SPDX-License-Identifier: Apache-2.0
"""What is told of a container that has ended, until it is deleted."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.support.bundle import Config
from tests.support.runtime import Runtime
from tests.support.wait import until

GREEDY = ("sh", "-c", "a=x; while :; do a=$a$a$a$a; done")
LIMIT = 32 << 20


def greedy(config: Config) -> None:
    config.linux["resources"] = {"memory": {"limit": LIMIT, "swap": LIMIT}}
    config.process["args"] = list(GREEDY)


def test_a_dead_container_says_that_it_was_killed_for_its_memory(
    pyrunc: Runtime, config: Config
) -> None:
    greedy(config)
    container = pyrunc.create(config).start().wait("stopped")
    found = container.state()["postMortem"]
    assert found["oomKills"] >= 1
    assert LIMIT // 2 < found["memoryPeak"] <= LIMIT
    assert found["created"] <= found["started"] < found["foundDead"]
    assert container.state()["postMortem"] == found, "it is looked at once, and kept"
    (line,) = pyrunc("events", "--stats", container.id).stdout.splitlines()
    assert json.loads(line) == {"type": "postMortem", "id": container.id, "data": found}
    container.delete(force=False).ok()


def test_run_says_that_the_program_was_killed_for_its_memory(
    pyrunc: Runtime, config: Config
) -> None:
    greedy(config)
    result = pyrunc.run(config)
    assert result.status == 137
    assert "OOM-killed" in result.stderr


def test_a_kill_from_outside_is_no_lack_of_memory(pyrunc: Runtime, config: Config) -> None:
    result = pyrunc.run(config, "sh", "-c", "kill -9 $$; exec sh -c 'kill -9 $PPID'")
    assert "OOM" not in result.stderr
    container = pyrunc.create(config, "sleep", "600").start()
    container.command("kill", "KILL").ok()
    container.wait("stopped")
    assert container.state()["postMortem"].get("oomKills", 0) == 0
    container.delete()


def test_the_filter_that_kills_is_named(pyrunc: Runtime, config: Config) -> None:
    config.linux["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["sync"], "action": "SCMP_ACT_KILL_PROCESS"}],
    }
    result = pyrunc.run(config, "sync")
    assert result.status == 128 + 31
    assert "killed by SIGSYS: the filter refused sync" in result.stderr
    container = pyrunc.create(config, "sleep", "600").start()
    result = pyrunc("exec", container.id, "sync")
    container.delete()
    assert result.status == 128 + 31
    assert "killed by SIGSYS: the filter refused sync" in result.stderr


def test_run_keep_notes_the_exit_status(pyrunc: Runtime, config: Config) -> None:
    config.process["args"] = ["sh", "-c", "exit 7"]
    config.write()
    name = pyrunc.new_id()
    assert pyrunc("run", "--keep", "--bundle", config.bundle, name).status == 7
    found = json.loads(pyrunc("state", name).stdout)
    assert found["postMortem"]["exitStatus"] == 7
    pyrunc("delete", name).ok()


def test_a_living_container_has_no_post_mortem(pyrunc: Runtime, config: Config) -> None:
    container = pyrunc.create(config, "sleep", "600")
    assert "postMortem" not in container.state()
    container.start()
    assert "postMortem" not in container.state()
    container.delete()


def test_a_container_that_was_never_started_has_no_start(pyrunc: Runtime, config: Config) -> None:
    container = pyrunc.create(config, "sleep", "600")
    container.command("kill", "KILL")
    container.wait("stopped")
    assert "started" not in container.state()["postMortem"]
    container.delete()


def test_the_end_is_one_line_and_one_record_with_fields(
    pyrunc: Runtime, config: Config, workspace: Path
) -> None:
    told = Runtime(pyrunc.program, pyrunc.root, ("--debug",))
    result = told.run(config, "sh", "-c", "exit 7")
    (line,) = (line for line in result.stderr.splitlines() if ": the end: " in line)
    assert "exitStatus=7" in line
    log = workspace / "log.json"
    flags = ("--log", str(log), "--log-format", "json", "--log-level", "debug")
    container = pyrunc.create(config, "true").start().wait("stopped")
    Runtime(pyrunc.program, pyrunc.root, flags)("delete", container.id).ok()
    records = [json.loads(text) for text in log.read_text().splitlines()]
    (record,) = (record for record in records if ": the end: " in record["msg"])
    assert (record["id"], record["command"], record["oomKills"]) == (container.id, "delete", "0")
    assert record["created"] <= record["started"] <= record["foundDead"]
    assert json.loads(record.get("memoryPressure", "{}")).keys() <= {"some", "full"}


def test_a_zombie_tells_its_exit_status(pyrunc: Runtime, config: Config) -> None:
    """Nobody collects the init here: its parent is a subreaper that only the test ends."""
    config.process["args"] = ["sh", "-c", "exit 7"]
    config.write()
    name = pyrunc.new_id()
    script = "import ctypes, json, subprocess, sys; ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)\n"
    script += "done = [subprocess.run(one).returncode for one in json.loads(sys.argv[1])]\n"
    script += "print(done, flush=True); sys.stdin.read()"
    commands = (
        pyrunc.argv("create", "--bundle", config.bundle, name),
        pyrunc.argv("start", name),
    )
    keeper = subprocess.Popen(
        [sys.executable, "-c", script, json.dumps(commands)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def status() -> str:
        return str(json.loads(pyrunc("state", name).stdout)["status"])

    assert keeper.stdin is not None
    assert keeper.stdout is not None
    try:
        assert keeper.stdout.readline() == "[0, 0]\n"
        until(lambda: status() == "stopped", "the end of the program")
        assert json.loads(pyrunc("state", name).stdout)["postMortem"]["exitStatus"] == 7
    finally:
        keeper.stdin.close()
        keeper.wait()
        keeper.stdout.close()
    assert json.loads(pyrunc("state", name).stdout)["postMortem"]["exitStatus"] == 7, "it is kept"
    pyrunc("delete", name).ok()


def test_hooks_are_told_with_how_they_have_ended(pyrunc: Runtime, config: Config) -> None:
    for kind in ("createRuntime", "createContainer", "startContainer", "poststart"):
        path = "/bin/true" if not kind.endswith("Container") else str(config.rootfs / "bin/true")
        config.hook(kind, "/bin/true" if kind == "startContainer" else path)
    container = pyrunc.create(config, "true").start().wait("stopped")
    told = container.state()["postMortem"]["hooks"]
    kinds = [one["hook"] for one in told]
    assert kinds == [
        "/hooks/createRuntime/0",
        "/hooks/createContainer/0",
        "/hooks/startContainer/0",
        "/hooks/poststart/0",
    ]
    assert all(one["exitStatus"] == 0 and one["durationMs"] >= 0 and one["path"] for one in told)
    container.delete()


def test_a_hook_that_fails_at_the_end_is_in_the_log(
    pyrunc: Runtime, config: Config, workspace: Path
) -> None:
    config.hook("poststart", "/bin/sh", "-c", "kill -9 $$")
    config.hook("poststop", "/bin/sh", "-c", "exit 3")
    log = workspace / "log.json"
    flags = ("--log", str(log), "--log-format", "json", "--log-level", "debug")
    container = pyrunc.create(config, "sleep", "600")
    assert Runtime(pyrunc.program, pyrunc.root, flags)("start", container.id).status == 1
    records = [json.loads(text) for text in log.read_text().splitlines()]
    (end,) = (record for record in records if ": the end: " in record["msg"])
    (hook,) = json.loads(end["hooks"])
    assert (hook["hook"], hook["signal"]) == ("/hooks/poststart/0", 9)
    (late,) = (record for record in records if record.get("hook") == "/hooks/poststop/0")
    assert late["exitStatus"] == "3"
