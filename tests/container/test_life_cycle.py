# SPDX-License-Identifier: Apache-2.0
"""The life of a container: create, start, state, kill, delete, run, list."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.support.bundle import Config
from tests.support.runtime import Runtime
from tests.support.types import Create, Run
from tests.support.wait import until

# A shell that ends at SIGTERM, which the first process of a pid namespace ignores otherwise.
PATIENT = "trap 'exit 5' TERM; echo ready; while :; do sleep 0.05; done"


def test_a_container_goes_through_its_states(create: Create, config: Config) -> None:
    container = create(config, "sh", "-c", PATIENT)
    assert container.state()["status"] == "created"
    assert container.output == ""
    container.start()
    assert container.state()["status"] == "running"
    until(lambda: "ready" in container.output, "the program runs")
    container.command("kill", "TERM").ok()
    container.wait("stopped")
    assert container.state()["pid"] == 0
    container.delete(force=False).ok()
    assert container.command("state").status == 1


def test_the_state_is_that_of_the_specification(create: Create, config: Config) -> None:
    config["annotations"] = {"com.example.key": "value", "unicode": "é\n"}
    before = datetime.now(UTC)
    container = create(config, "sleep", "600")
    state = container.state()
    created = datetime.fromisoformat(re.sub(r"(\.\d{6})\d*Z", r"\1+00:00", state["created"]))
    assert before <= created <= datetime.now(UTC)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", state["created"])
    del state["created"]
    pid = state.pop("pid")
    assert Path(f"/proc/{pid}").exists()
    assert state == {
        "ociVersion": "1.0.2",
        "id": container.id,
        "status": "created",
        "bundle": str(config.bundle),
        "rootfs": str(config.rootfs),
        "annotations": {"com.example.key": "value", "unicode": "é\n"},
        "owner": "",
    }


def test_commands_write_nothing_but_what_was_asked_for(create: Create, config: Config) -> None:
    """Engines read standard output and standard error together."""
    container = create(config, "sleep", "600")
    assert container.output == ""
    for verb in ("start", "state"):
        assert container.command(verb).stderr == ""
    result = container.command("kill", "KILL")
    assert (result.stdout, result.stderr) == ("", "")


def test_the_pid_file_holds_only_digits(create: Create, config: Config, tmp_path: Path) -> None:
    file = tmp_path / "init.pid"
    file.write_text("old content that is longer")
    container = create(config, "sleep", "600", flags=["--pid-file", file])
    assert file.read_text() == str(container.pid)
    assert [entry.name for entry in tmp_path.iterdir() if "init.pid" in entry.name] == ["init.pid"]


def test_a_pid_file_that_cannot_be_written_undoes_the_create(
    pyrunc: Runtime, config: Config
) -> None:
    config.write()
    name = pyrunc.new_id()
    result = pyrunc("create", "--bundle", config.bundle, "--pid-file", "/no/where/pid", name)
    assert result.status == 1
    assert "cannot write the pid file /no/where/pid: no such file or directory" in result.error
    assert not (pyrunc.root / name).exists()


def test_the_directory_of_the_caller_is_the_default_bundle(pyrunc: Runtime, config: Config) -> None:
    config.process["args"] = ["hostname"]
    config.write()
    assert pyrunc("run", pyrunc.new_id(), cwd=config.bundle).ok().stdout == "box\n"


def test_another_name_for_the_configuration(pyrunc: Runtime, config: Config) -> None:
    config.process["args"] = ["hostname"]
    config.write()
    (config.bundle / "config.json").rename(config.bundle / "other.json")
    argv = ("run", "--bundle", config.bundle, "--config", "other.json", pyrunc.new_id())
    assert pyrunc(*argv).ok().stdout == "box\n"


def test_later_changes_of_the_bundle_have_no_effect(create: Create, config: Config) -> None:
    """ST-6"""
    container = create(config, "sh", "-c", "echo first")
    (config.bundle / "config.json").unlink()
    container.start().wait("stopped")
    assert container.output == "first\n"
    assert container.state()["bundle"] == str(config.bundle)


def test_an_id_is_taken_until_it_is_deleted(create: Create, config: Config) -> None:
    container = create(config, "sleep", "600")
    again = container.runtime("create", "--bundle", config.bundle, container.id)
    assert again.status == 1
    assert "container with given ID already exists" in again.error
    assert container.state()["status"] == "created"


def test_a_container_can_be_killed_before_it_is_started(create: Create, config: Config) -> None:
    container = create(config, "true")
    container.command("kill", "KILL").ok()
    container.wait("stopped")
    started = container.command("start")
    assert started.status == 1
    assert "cannot start a container that has stopped" in started.error


def test_a_container_is_started_once(create: Create, config: Config) -> None:
    container = create(config, "sleep", "600").start()
    again = container.command("start")
    assert again.status == 1
    assert "cannot start an already running container" in again.error


def test_two_starts_at_once_start_it_once(create: Create, config: Config) -> None:
    container = create(config, "sh", "-c", "echo once; sleep 600")
    argv = container.runtime.argv("start", container.id)
    started = [subprocess.Popen(argv, stderr=subprocess.PIPE) for _ in range(4)]
    statuses = [one.wait(20) for one in started]
    for one in started:
        one.communicate()
    assert sorted(statuses) == [0, 1, 1, 1]
    until(lambda: container.output, "the program runs")
    assert container.output == "once\n"


def test_a_created_container_is_deleted_without_force(create: Create, config: Config) -> None:
    container = create(config, "sleep", "600")
    pid = container.pid
    container.delete(force=False).ok()
    assert not Path(f"/proc/{pid}/ns/pid").exists() or _is_zombie(pid)


def _is_zombie(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"


def test_a_running_container_is_deleted_by_force_only(create: Create, config: Config) -> None:
    container = create(config, "sleep", "600").start()
    refused = container.delete(force=False)
    assert refused.status == 1
    assert f"cannot delete container {container.id} that is not stopped: running" in refused.error
    container.delete().ok()
    assert container.command("state").status == 1


def test_deleting_twice(create: Create, config: Config) -> None:
    container = create(config, "true")
    container.delete().ok()
    container.delete().ok()
    missing = container.delete(force=False)
    assert missing.status == 1
    assert "does not exist" in missing.error


@pytest.mark.parametrize("verb", ["start", "state", "kill", "pause", "resume", "ps"])
def test_a_missing_container_does_not_exist(runtime: Runtime, verb: str) -> None:
    result = runtime(verb, "nobody")
    assert result.status == 1
    assert "does not exist" in result.error
    assert result.stdout == ""


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "../x", "a b", "x\n", "é", "a;b", ".hidden", "x" * 256]
)
def test_an_invalid_id_is_refused_by_every_verb(pyrunc: Runtime, config: Config, name: str) -> None:
    """ST-1"""
    config.write()
    for verb in ("create", "start", "state", "kill", "delete"):
        more = ["--bundle", str(config.bundle)] if verb == "create" else []
        result = pyrunc(verb, *more, name)
        assert result.status == 1
        assert "invalid container ID format" in result.error
    assert list(pyrunc.root.iterdir()) == []


@pytest.mark.parametrize("name", ["15", "TERM", "SIGTERM", "sigterm", "Term"])
def test_a_signal_is_a_number_or_a_name(create: Create, config: Config, name: str) -> None:
    container = create(config, "sh", "-c", PATIENT).start()
    until(lambda: container.output, "the program runs")
    container.command("kill", name).ok()
    container.wait("stopped")


def test_the_default_signal_is_term_and_zero_only_asks(create: Create, config: Config) -> None:
    container = create(config, "sh", "-c", PATIENT).start()
    until(lambda: container.output, "the program runs")
    container.command("kill", "0").ok()
    assert container.state()["status"] == "running"
    container.command("kill").ok()
    container.wait("stopped")
    gone = container.command("kill", "0")
    assert gone.status == 1
    assert "container not running" in gone.error


def test_an_unknown_signal_is_an_error(create: Create, config: Config) -> None:
    container = create(config, "sleep", "600").start()
    result = container.command("kill", "NOSUCH")
    assert result.status == 1
    assert 'unknown signal "NOSUCH"' in result.error
    assert container.state()["status"] == "running"


def test_kill_all_of_a_stopped_container_succeeds(create: Create, config: Config) -> None:
    """containerd calls it when the init of a shared pid namespace has ended."""
    container = create(config, "true").start().wait("stopped")
    assert container.runtime("kill", container.id, "9").status == 1
    container.runtime("kill", "--all", container.id, "9").ok()


def test_without_a_pid_namespace_sigkill_ends_every_process(create: Create, config: Config) -> None:
    config.without_namespace("pid")
    container = create(config, "sh", "-c", "sleep 611 & echo $!; wait").start()
    until(lambda: container.output, "the program runs")
    child = int(container.output)
    container.command("kill", "KILL").ok()
    until(lambda: not Path(f"/proc/{child}/exe").exists() or _is_zombie(child), "the child ends")


def test_without_a_pid_namespace_delete_ends_what_the_init_left(
    create: Create, config: Config
) -> None:
    config.without_namespace("pid")
    container = create(config, "sh", "-c", "sleep 612 & echo $!").start().wait("stopped")
    child = int(container.output)
    container.delete(force=False).ok()
    until(lambda: not Path(f"/proc/{child}/exe").exists() or _is_zombie(child), "the child ends")


def test_list_shows_every_container(create: Create, config: Config, runtime: Runtime) -> None:
    assert runtime("list", "--quiet").ok().stdout == ""
    one, two = create(config, "sleep", "600"), create(config, "sleep", "600").start()
    assert runtime("list", "-q").ok().lines == sorted([one.id, two.id])
    table = runtime("list").ok().lines
    assert table[0].split() == ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]
    assert [line.split()[0] for line in table[1:]] == sorted([one.id, two.id])
    rows = json.loads(runtime("list", "--format=json").ok().stdout)
    assert {row["id"]: row["status"] for row in rows} == {one.id: "created", two.id: "running"}
    assert {row["owner"] for row in rows} == {"root"}


def test_list_of_nothing(runtime: Runtime, tmp_path: Path) -> None:
    assert runtime("list", "--format", "json").ok().stdout == "null\n"
    missing = Runtime(runtime.program, tmp_path / "missing")
    result = missing("list").ok()
    assert result.lines[0].startswith("ID")
    assert len(result.lines) == 1
    assert not (tmp_path / "missing").exists()


def test_list_says_that_a_state_root_is_not_there(runtime: Runtime, tmp_path: Path) -> None:
    """It may be misspelt: an empty table alone would say that nothing runs."""
    missing = Runtime(runtime.program, tmp_path / "missing")
    result = missing("list", "--quiet").ok()
    assert result.stdout == ""
    assert f"the state root {tmp_path}/missing does not exist" in result.stderr
    assert runtime("list", "--quiet").ok().stderr == ""


def test_list_goes_on_after_a_broken_entry(pyrunc: Runtime, create: Create, config: Config) -> None:
    container = create(config, "sleep", "600")
    broken = pyrunc.root / "broken"
    broken.mkdir()
    (broken / "state.json").write_text("{")
    result = pyrunc("list", "--format", "json").ok()
    assert [row["id"] for row in json.loads(result.stdout)] == [container.id]
    assert "broken" in result.stderr
    # What `delete --force` can remove has an id; what was never finished is not there.
    (pyrunc.root / "half").mkdir()
    assert pyrunc("list", "-q").ok().lines == sorted([container.id, "broken"])
    (pyrunc.root / "half").rmdir()
    pyrunc("delete", "--force", "broken").ok()


def test_run_gives_the_exit_code(run: Run, config: Config) -> None:
    assert run(config, "sh", "-c", "exit 42").status == 42
    config.without_namespace(
        "pid"
    )  # the first process of a pid namespace cannot be killed from inside
    assert run(config, "sh", "-c", "kill -9 $$").status == 137


def test_run_leaves_nothing(pyrunc: Runtime, run: Run, config: Config) -> None:
    run(config, "true").ok()
    assert list(pyrunc.root.iterdir()) == []


def test_run_keeps_a_container_if_asked(pyrunc: Runtime, config: Config) -> None:
    config.process["args"] = ["sh", "-c", "exit 3"]
    config.write()
    name = pyrunc.new_id()
    assert pyrunc("run", "--keep", "--bundle", config.bundle, name).status == 3
    assert json.loads(pyrunc("state", name).ok().stdout)["status"] == "stopped"
    pyrunc("delete", name).ok()


def test_run_detached_returns_with_a_running_container(pyrunc: Runtime, config: Config) -> None:
    config.process["args"] = ["sleep", "600"]
    config.write()
    name = pyrunc.new_id()
    with (config.bundle / "out").open("wb") as out:
        argv = pyrunc.argv("run", "--detach", "--bundle", config.bundle, name)
        assert subprocess.run(argv, stdout=out, stderr=out, timeout=20, check=False).returncode == 0
    state = json.loads(pyrunc("state", name).ok().stdout)
    assert state["status"] == "running"
    pyrunc("delete", "--force", name).ok()


def test_run_passes_stdio_through(run: Run, config: Config) -> None:
    result = run(config, "sh", "-c", "cat; echo error >&2", stdin="some input\n")
    assert (result.stdout, result.stderr, result.status) == ("some input\n", "error\n", 0)


def ignore(*numbers: int) -> Callable[[], None]:
    """For a child that is about to be started: it inherits what is ignored."""

    def before_exec() -> None:
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)

    return before_exec


@pytest.mark.parametrize(
    "number",
    [
        *(signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGWINCH),
        *(signal.SIGCONT, signal.SIGTTIN),
    ],
)
def test_run_forwards_signals(pyrunc: Runtime, config: Config, number: signal.Signals) -> None:
    name = number.name.removeprefix("SIG")
    script = f"trap 'echo got {name}; exit 9' {name}; echo ready; while :; do sleep 0.05; done"
    config.process["args"] = ["sh", "-c", script]
    config.write()
    argv = pyrunc.argv("run", "--bundle", config.bundle, pyrunc.new_id())
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        child.send_signal(number)
        assert child.wait(20) == 9
        assert child.stdout.read() == f"got {name}\n".encode()


def test_what_the_caller_ignores_is_forwarded_and_the_end_is_noticed(
    pyrunc: Runtime, config: Config
) -> None:
    """A caller that ignores SIGCHLD would otherwise have the kernel throw the exit status away."""
    script = "trap 'exit 9' HUP; echo ready; while :; do sleep 0.05; done"
    config.process["args"] = ["sh", "-c", script]
    config.write()
    argv = pyrunc.argv("run", "--bundle", config.bundle, pyrunc.new_id())
    ignored = ignore(signal.SIGCHLD, signal.SIGHUP)
    with subprocess.Popen(argv, stdout=subprocess.PIPE, preexec_fn=ignored) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        child.send_signal(signal.SIGHUP)
        assert child.wait(20) == 9


def test_a_container_in_the_foreground_takes_commands(pyrunc: Runtime, config: Config) -> None:
    """Its `run` waits, and nobody has to wait for the `run`."""
    config.process["args"] = ["sh", "-c", "echo ready; exec sleep 600"]
    config.write()
    name = pyrunc.new_id()
    argv = pyrunc.argv("run", "--bundle", config.bundle, name)
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        for command in (["pause"], ["resume"], ["update", "--pids-limit", "20"]):
            pyrunc(*command, name).ok()
        pyrunc("delete", "--force", name).ok()
        assert child.wait(20) == 128 + signal.SIGKILL
        assert child.stderr is not None
        assert child.stderr.read() == b""


def test_run_waits_for_the_container_not_for_its_orphans(pyrunc: Runtime, config: Config) -> None:
    """With a shared pid namespace the runtime is the reaper, unless told otherwise."""
    config.without_namespace("pid")
    config.process["args"] = ["sh", "-c", "(sleep 0.2; exit 4) & exit 6"]
    config.write()
    for flags in ([], ["--no-subreaper"]):
        begun = time.monotonic()
        result = pyrunc("run", *flags, "--bundle", config.bundle, pyrunc.new_id())
        assert result.status == 6
        assert time.monotonic() - begun < 20


def test_the_init_is_a_child_of_whoever_adopts_it(create: Create, config: Config) -> None:
    """No process of ours stays between an engine and its container."""
    container = create(config, "sleep", "600").start()
    stat = Path(f"/proc/{container.pid}/stat").read_text()
    parent = int(stat.rsplit(")", 1)[1].split()[1])
    assert "pyrunc" not in Path(f"/proc/{parent}/comm").read_text()


def test_nothing_holds_stdio_after_create_but_the_container(
    pyrunc: Runtime, config: Config
) -> None:
    """Engines read the pipes until the end of the container."""
    config.process["args"] = ["sh", "-c", "echo done"]
    config.write()
    name = pyrunc.new_id()
    argv = pyrunc.argv("create", "--bundle", config.bundle, name)
    read, write = os.pipe()
    subprocess.run(argv, stdout=write, stderr=write, timeout=20, check=True)
    os.close(write)
    pyrunc("start", name).ok()
    with os.fdopen(read) as stream:
        assert stream.read() == "done\n"
    pyrunc("delete", "--force", name).ok()


def test_a_pidfd_is_enough_to_see_the_end(create: Create, config: Config) -> None:
    container = create(config, "sleep", "600").start()
    pidfd = os.pidfd_open(container.pid)
    container.command("kill", "KILL").ok()
    until(lambda: container.state()["status"] == "stopped", "the container is stopped")
    os.close(pidfd)


def test_what_is_in_the_state_directory_is_private(create: Create, config: Config) -> None:
    """ST-3, PY-7"""
    container = create(config, "sleep", "600")
    directory = container.runtime.root / container.id
    if container.runtime.name != "pyrunc":
        pytest.skip("about pyrunc only")
    for entry in directory.iterdir():
        assert stat.S_IMODE(entry.stat().st_mode) & 0o077 == 0, entry
        assert entry.stat().st_size < 64 * 1024


def test_commands_need_no_environment(pyrunc: Runtime, config: Config) -> None:
    config.process["args"] = ["sleep", "600"]
    config.write()
    name = pyrunc.new_id()
    create = pyrunc.argv("create", "--bundle", config.bundle, name)
    with (config.bundle / "out").open("wb") as out:
        subprocess.run(create, env={}, stdout=out, stderr=out, check=True, timeout=20, cwd="/")
    for argv in (["start", name], ["state", name], ["kill", name, "9"], ["delete", "-f", name]):
        pyrunc(*argv, env={}, cwd=Path("/")).ok()


def test_the_log_of_a_failure_is_one_json_document(
    pyrunc: Runtime, config: Config, tmp_path: Path
) -> None:
    """podman parses the whole file; containerd wants the time as RFC 3339."""
    config.process["args"] = ["absent"]
    config.write()
    log = tmp_path / "log.json"
    found = Runtime(pyrunc.program, pyrunc.root, ("--log", str(log), "--log-format", "json"))
    result = found("create", "--bundle", config.bundle, found.new_id())
    assert result.status == 1
    record = json.loads(log.read_text())
    assert list(record)[:3] == ["level", "msg", "time"]
    assert record["level"] == "error"
    assert 'exec: "absent": executable file not found in $PATH' in record["msg"]
    assert record["msg"] == result.error
    datetime.fromisoformat(record["time"])


def test_a_success_logs_nothing(pyrunc: Runtime, config: Config, tmp_path: Path) -> None:
    log = tmp_path / "log.json"
    config.process["args"] = ["true"]
    config.write()
    found = Runtime(pyrunc.program, pyrunc.root, ("--log", str(log), "--log-format", "json"))
    found("run", "--bundle", config.bundle, found.new_id()).ok()
    assert log.read_text() == ""


def test_features_are_json_alone(pyrunc: Runtime) -> None:
    result = pyrunc("features").ok()
    assert result.stderr == ""
    document = json.loads(result.stdout)
    assert document["ociVersionMin"] == "1.0.0"
    assert "rro" in document["mountOptions"]
    assert "user" in document["linux"]["namespaces"]


def test_the_template_runs(pyrunc: Runtime, config: Config) -> None:
    (config.bundle / "config.json").unlink(missing_ok=True)
    pyrunc("spec", "--bundle", config.bundle).ok()
    again = pyrunc("spec", "--bundle", config.bundle)
    assert again.status == 1
    assert "File config.json exists. Remove it first" in again.error
    path = config.bundle / "config.json"
    document = json.loads(path.read_text())
    document["process"]["terminal"] = False
    document["process"]["args"] = ["sh", "-c", "id -u; touch /x"]
    path.write_text(json.dumps(document))
    result = pyrunc("run", "--bundle", config.bundle, pyrunc.new_id())
    assert result.stdout == "0\n"
    assert "Read-only file system" in result.stderr


def test_explain_changes_nothing_and_shows_the_plan(pyrunc: Runtime, config: Config) -> None:
    config.linux["resources"] = {"pids": {"limit": 17}}
    config.hook("prestart", "/bin/false")
    config.write()
    result = pyrunc("explain", config.bundle).ok()
    assert "pids.max  17" in result.stdout
    assert "/bin/false" in result.stdout
    assert "execute" in result.stdout
    assert list(pyrunc.root.iterdir()) == []


def test_check_reports_everything_at_once(pyrunc: Runtime, config: Config) -> None:
    config.process["cwd"] = "relative"
    config["mounts"][0]["destination"] = ""
    config["unknown"] = 1
    config.write()
    result = pyrunc("check", config.bundle)
    assert result.status == 1
    assert "/process/cwd" in result.stdout
    assert "/mounts/0/destination" in result.stdout
    as_json = json.loads(pyrunc("check", "--format", "json", config.bundle).stdout)
    assert len(as_json["errors"]) >= 2


def test_check_warns_about_unknown_properties(pyrunc: Runtime, config: Config) -> None:
    config["unknownProperty"] = 1
    config.write()
    result = pyrunc("check", config.bundle)
    assert result.status == 0
    assert "unknownProperty" in result.stdout


def test_check_tells_of_doubts_beside_errors(pyrunc: Runtime, config: Config) -> None:
    """A misspelt property is ignored, and is why another one is missing."""
    config.process["cwdd"] = config.process.pop("cwd")
    config.linux["seccompp"] = {}
    config.write()
    found = json.loads(pyrunc("check", "--format", "json", config.bundle).stdout)
    assert [one["pointer"] for one in found["errors"]] == ["/process"]
    assert [one["pointer"] for one in found["warnings"]] == ["/process/cwdd", "/linux/seccompp"]
