# SPDX-License-Identifier: Apache-2.0
"""Docker with the runtime under test as its default."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

from conformance.engines.containerd import cgroup_values, run_on_terminal
from conformance.engines.docker_daemon import Docker
from conformance.engines.engine import (
    GREEDY,
    READY,
    TRAP,
    Unavailable,
    command,
    eventually,
    expect,
    need,
)

COMPOSE = """
services:
  one: {{image: "bb:1", command: ["sleep", "1000"], network_mode: none}}
  two: {{image: "bb:1", command: ["sleep", "1000"], network_mode: none}}
"""


def test_run_prints_and_exits(engine: Docker) -> None:
    outcome = engine.run("bb:1", "sh", "-c", "echo hello; echo oops >&2; exit 7").exited(7)
    expect(outcome.text == "hello" and "oops" in outcome.errors, repr(outcome))


def test_a_missing_program_gives_127(engine: Docker) -> None:
    outcome = engine.run("bb:1", "/absent").exited(127)
    expect("no such file or directory" in outcome.errors, outcome.errors)
    outcome = engine.run("bb:1", "absent").exited(127)
    expect("executable file not found" in outcome.errors, outcome.errors)


def test_a_program_that_may_not_be_executed_gives_126(engine: Docker) -> None:
    engine.run("bb:1", "/etc/passwd").exited(126)
    engine.run("bb:1", "/etc").exited(126)


def test_a_file_over_a_directory_is_explained(engine: Docker) -> None:
    source = engine.directory / "plain"
    source.write_text("x")
    outcome = engine.run("-v", f"{source}:/etc", "bb:1", "true")
    expect("not a directory" in outcome.errors.lower(), outcome.errors)
    expect(outcome.status in (125, 126, 127), str(outcome.status))


def test_exec_returns_output_and_status(engine: Docker) -> None:
    engine.start("one")
    outcome = engine.docker("exec", "one", "sh", "-c", "echo out; exit 5").exited(5)
    expect(outcome.text == "out", outcome.output)
    missing = engine.docker("exec", "one", "/absent")
    expect(
        missing.status in (126, 127) and "no such file" in missing.output + missing.errors,
        repr(missing),
    )
    engine.docker("exec", "one", "/etc/passwd").exited(126)
    text = 'echo "$(id -u) $(pwd) $A"'
    outcome = engine.docker(
        "exec", "-u", "1000", "-w", "/tmp", "-e", "A=b", "one", "sh", "-c", text
    )
    expect(outcome.ok().text == "1000 /tmp b", outcome.output)
    outcome = engine.docker("exec", "-i", "one", "wc", "-c", stdin="1234567")
    expect(outcome.ok().text == "7", outcome.output)
    engine.docker("exec", "-d", "one", "touch", "/tmp/detached").ok()
    eventually(
        lambda: engine.docker("exec", "one", "test", "-e", "/tmp/detached").status == 0,
        "the detached program did not run",
    )
    engine.remove("one")


def test_top(engine: Docker) -> None:
    engine.start("one")
    outcome = engine.docker("top", "one")
    engine.remove("one")
    if "boot time" in outcome.errors:
        raise Unavailable("a ps that works on this kernel")
    expect("sleep" in outcome.ok().output, "top does not list the program")


def test_terminals(engine: Docker) -> None:
    argv = [*engine.client, "-H", engine.host, "run", "--rm", "-it", "--network", "none", "bb:1"]
    expect("/dev/pts/" in run_on_terminal([*argv, "tty"]), "no terminal in the container")
    engine.start("one", "-t")
    argv = [*engine.client, "-H", engine.host, "exec", "-it", "one", "tty"]
    expect("/dev/pts/" in run_on_terminal(argv), "no terminal in exec")
    engine.remove("one")


def test_stats(engine: Docker) -> None:
    engine.start("one", "--memory", "64m")
    outcome = engine.docker("stats", "--no-stream", "--format", "{{json .}}", "one").ok()
    expect("64MiB" in json.loads(outcome.output)["MemUsage"], outcome.output)
    engine.remove("one")


def test_limits_and_update(engine: Docker) -> None:
    options = ("--memory", "64m", "--cpus", "0.5", "--pids-limit", "50", "--cpu-shares", "512")
    engine.start("one", *options)
    values = cgroup_values(int(engine.inspect("one", "{{.State.Pid}}")))
    expect("67108864" in values["memory"] and "50000" in values["cpu"], repr(values))
    expect(values["pids"].strip() == "50", repr(values))
    engine.docker("update", "--memory", "128m", "--memory-swap", "-1", "--cpus", "0.8", "one").ok()
    values = cgroup_values(int(engine.inspect("one", "{{.State.Pid}}")))
    expect("134217728" in values["memory"] and "80000" in values["cpu"], repr(values))
    engine.remove("one")


def test_a_program_that_takes_too_much_memory_is_killed(engine: Docker) -> None:
    limits = ("--memory", "16m", "--memory-swap", "16m")
    engine.start("one", *limits, command=GREEDY)
    engine.docker("wait", "one").ok()
    expect(engine.inspect("one", "{{.State.OOMKilled}}") == "true", "nobody noticed")
    engine.remove("one")


def test_pause_and_resume(engine: Docker) -> None:
    engine.start("one")
    engine.docker("pause", "one").ok()
    expect(engine.inspect("one", "{{.State.Status}}") == "paused", "not paused")
    engine.docker("unpause", "one").ok()
    expect(engine.inspect("one", "{{.State.Status}}") == "running", "not running")
    engine.remove("one")


def test_kill_stop_and_restart(engine: Docker) -> None:
    engine.start("one", command=TRAP)
    engine.docker("exec", "one", *READY).ok()
    engine.docker("kill", "-s", "TERM", "one").ok()
    expect(engine.docker("wait", "one").ok().text == "3", "not the status of the trap")
    engine.docker("start", "one").ok()
    engine.docker("restart", "-t", "0", "one").ok()
    expect(engine.inspect("one", "{{.State.Status}}") == "running", "not running")
    engine.docker("stop", "-t", "0", "one").ok()
    engine.remove("one")


def test_restart_policies(engine: Docker) -> None:
    engine.start("one", "--restart", "on-failure:3", command=("sh", "-c", "exit 1"))
    eventually(
        lambda: engine.inspect("one", "{{.RestartCount}} {{.State.Running}}") == "3 false",
        "not restarted three times",
    )
    engine.remove("one")
    engine.start("one", "--restart", "always")
    os.kill(int(engine.inspect("one", "{{.State.Pid}}")), signal.SIGKILL)
    eventually(
        lambda: engine.inspect("one", "{{.RestartCount}} {{.State.Running}}") == "1 true",
        "not restarted after a kill behind its back",
    )
    engine.remove("one")


def test_health_checks(engine: Docker) -> None:
    engine.start("one", "--health-cmd", "true", "--health-interval", "0.2s")
    eventually(
        lambda: engine.inspect("one", "{{.State.Health.Status}}") == "healthy", "never healthy"
    )
    engine.remove("one")
    often = ("--health-interval", "0.2s", "--health-retries", "2")
    engine.start("one", "--health-cmd", "exit 3", *often)
    eventually(
        lambda: engine.inspect("one", "{{.State.Health.Status}}") == "unhealthy", "never unhealthy"
    )
    engine.remove("one")


def test_an_init_process(engine: Docker) -> None:
    need("docker-init")
    outcome = engine.run("--init", "bb:1", "cat", "/proc/1/comm")
    expect(outcome.ok().text == "docker-init", outcome.output)


def test_security_options(engine: Docker) -> None:
    text = "grep -E 'CapEff|NoNewPrivs|Seccomp:' /proc/self/status"
    options = ("--cap-drop", "all", "--cap-add", "CHOWN", "--security-opt", "no-new-privileges")
    outcome = engine.run(*options, "bb:1", "sh", "-c", text).ok()
    fields = dict(line.split(":\t") for line in outcome.output.splitlines())
    expect(int(fields["CapEff"], 16) == 1 and fields["NoNewPrivs"] == "1", outcome.output)
    expect(fields["Seccomp"] == "2", outcome.output)
    outcome = engine.run("--security-opt", "seccomp=unconfined", "bb:1", "sh", "-c", text).ok()
    expect("Seccomp:\t0" in outcome.output, outcome.output)


def test_read_only_tmpfs_and_volumes(engine: Docker) -> None:
    source = engine.directory / "volume"
    source.mkdir(exist_ok=True)
    (source / "file").write_text("content")
    options = ("--read-only", "--tmpfs", "/t:size=1m,mode=700", "-v", f"{source}:/v:ro")
    text = "cat /v/file; touch /x 2>/dev/null || echo ro; touch /t/y && echo tmpfs; touch /n/z"
    outcome = engine.run(*options, "-v", "named:/n", "bb:1", "sh", "-c", text)
    expect(outcome.ok().output == "contentro\ntmpfs\n", outcome.output)


def test_users_groups_limits_and_names(engine: Docker) -> None:
    user = ("-u", "1000:1000", "--group-add", "2000", "--ulimit", "nofile=100:200")
    text = "id -u; id -G; ulimit -n; hostname; cat /proc/self/oom_score_adj"
    names = ("-h", "named", "--oom-score-adj", "500")
    outcome = engine.run(*user, *names, "bb:1", "sh", "-c", text).ok()
    expect(
        outcome.output.splitlines() == ["1000", "1000 2000", "100", "named", "500"], outcome.output
    )


def test_sysctls_and_devices(engine: Docker) -> None:
    options = ("--sysctl", "net.ipv4.ip_unprivileged_port_start=80", "--device", "/dev/kmsg")
    text = "cat /proc/sys/net/ipv4/ip_unprivileged_port_start; test -c /dev/kmsg && echo device"
    outcome = engine.run(*options, "bb:1", "sh", "-c", text).ok()
    expect(outcome.output == "80\ndevice\n", outcome.output)


def test_bridge_networks(engine: Docker) -> None:
    if not engine.bridged:
        raise Unavailable("packet filters (iptables)")
    engine.docker("network", "create", "net1").ok()
    try:
        engine.docker(
            "run", "-d", "--name", "server", "--network", "net1", "bb:1", "sleep", "1000"
        ).ok()
        address = engine.inspect("server", '{{(index .NetworkSettings.Networks "net1").IPAddress}}')
        outcome = engine.run("bb:1", "ping", "-c", "1", "-W", "5", address, network="net1")
        expect(" 0% packet loss" in outcome.ok().output, outcome.output)
        engine.remove("server")
    finally:
        engine.docker("network", "rm", "net1")


DOCKERFILE = "FROM bb:1\nRUN echo built >/built\nUSER 1000\nWORKDIR /work\nCMD cat /built\n"


def build(engine: Docker, *options: str, buildkit: bool) -> None:
    context = engine.directory / "context"
    context.mkdir(exist_ok=True)
    (context / "Dockerfile").write_text(DOCKERFILE)
    client = ("env", f"DOCKER_BUILDKIT={int(buildkit)}", *engine.client, "-H", engine.host)
    command(*client, "build", *options, "-t", "built:1", str(context)).ok()
    expect(engine.run("built:1").ok().text == "built", "not what was built")
    engine.docker("rmi", "built:1").ok()


def test_build_with_the_classic_builder(engine: Docker) -> None:
    build(engine, "--network", "none", buildkit=False)


def test_build_with_buildkit(engine: Docker) -> None:
    # Without an option a hook of the daemon connects the container of the step to the bridge.
    build(engine, *(() if engine.bridged else ("--network", "none")), buildkit=True)


def test_compose(engine: Docker) -> None:
    compose = ("docker-compose",)  # that of version 1
    if engine.docker("compose", "version").status == 0:
        compose = (*engine.client, "compose")
    elif not shutil.which(compose[0]):
        raise Unavailable("not installed: docker-compose")
    file = engine.directory / "compose.yaml"
    file.write_text(COMPOSE.replace("{{", "{").replace("}}", "}"))
    base = ("env", f"DOCKER_HOST={engine.host}", *compose, "-f", str(file))
    command(*base, "up", "-d").ok()
    expect(len(engine.docker("ps", "-q").output.split()) == 2, "not two services")
    command(*base, "down", "-t", "0").ok()


def test_a_remapped_user_namespace(engine: Docker) -> None:
    engine.daemon.stop()
    for kind in ("subuid", "subgid"):
        (engine.directory / kind).write_text("daemon:500000:65536\n")
    try:
        engine.start_daemon("--userns-remap", "daemon")
        engine.docker("import", str(engine.directory / "root.tar"), "bb:1").ok()
        outcome = engine.run("bb:1", "cat", "/proc/self/uid_map").ok()
        expect(outcome.output.split()[:2] == ["0", "500000"], outcome.output)
        engine.start("one")
        expect(engine.docker("exec", "one", "id", "-u").ok().text == "0", "not root inside")
        engine.remove("one")
    finally:
        engine.reset()
        engine.daemon.stop()
        engine.start_daemon()


def test_containers_outlive_a_killed_daemon(engine: Docker) -> None:
    """With live-restore the next daemon takes them over."""
    engine.daemon.stop()
    engine.start_daemon("--live-restore")
    try:
        engine.start("one", command=TRAP)
        pid = engine.inspect("one", "{{.State.Pid}}")
        engine.kill_daemon()
        expect(Path(f"/proc/{pid}").exists(), "the container went with the daemon")
        engine.start_daemon("--live-restore")
        expect(engine.inspect("one", "{{.State.Pid}}") == pid, "the daemon does not know it")
        engine.docker("exec", "one", *READY).ok()
        engine.docker("stop", "-t", "20", "one").ok()
        expect(engine.inspect("one", "{{.State.ExitCode}}") == "3", "not the status of the trap")
        engine.remove("one")
    finally:
        engine.reset()
        engine.daemon.stop()
        engine.start_daemon()


def test_many_in_parallel(engine: Docker) -> None:
    argv = [*engine.client, "-H", engine.host, "run", "--rm", "--network", "none", "bb:1", "echo"]
    running = [
        subprocess.Popen([*argv, str(number)], stdout=subprocess.PIPE, text=True)
        for number in range(8)
    ]
    outputs = [process.communicate(timeout=90)[0].strip() for process in running]
    expect(outputs == [str(number) for number in range(8)], repr(outputs))


SMOKE = (
    test_run_prints_and_exits,
    test_exec_returns_output_and_status,
    test_kill_stop_and_restart,
)
