# SPDX-License-Identifier: Apache-2.0
"""Podman as root."""

from __future__ import annotations

import json
import os
from pathlib import Path

from conformance.engines import podman_units, podman_volumes
from conformance.engines.containerd import cgroup_values
from conformance.engines.engine import (
    COUNT,
    COUNTED,
    READY,
    TRAP,
    Unavailable,
    eventually,
    expect,
    need,
    need_criu,
)
from conformance.engines.podman_client import Podman

PARTS = (podman_volumes, podman_units)
KUBE = Path(__file__).with_name("kube.yaml")
CAP_SYS_RESOURCE = 24


def test_run_prints_and_exits(engine: Podman) -> None:
    outcome = engine.run("bb:1", "sh", "-c", "echo hello; echo oops >&2; exit 7").exited(7)
    expect(outcome.text == "hello" and "oops" in outcome.errors, repr(outcome))


def test_a_missing_program_gives_127(engine: Podman) -> None:
    outcome = engine.run("bb:1", "/absent").exited(127)
    expect("no such file or directory" in outcome.errors.lower(), outcome.errors)


def test_a_program_that_may_not_be_executed_gives_126(engine: Podman) -> None:
    outcome = engine.run("bb:1", "/etc/passwd").exited(126)
    expect("permission denied" in outcome.errors.lower(), outcome.errors)


def test_exec_returns_output_and_status(engine: Podman) -> None:
    engine.start("a")
    outcome = engine.podman("exec", "a", "sh", "-c", "echo out; exit 5").exited(5)
    expect(outcome.text == "out", outcome.output)
    engine.podman("exec", "a", "/absent").exited(127)
    text = 'echo "$(id -u) $(pwd) $A"'
    outcome = engine.podman("exec", "-u", "1000", "-w", "/tmp", "-e", "A=b", "a", "sh", "-c", text)
    expect(outcome.ok().text == "1000 /tmp b", outcome.output)
    engine.podman("exec", "-d", "a", "touch", "/tmp/detached").ok()
    eventually(
        lambda: engine.podman("exec", "a", "test", "-e", "/tmp/detached").status == 0,
        "the detached program did not run",
    )
    engine.remove("a")


def test_stdin_reaches_the_program(engine: Podman) -> None:
    outcome = engine.podman(
        "run", "-i", "--rm", "--network", "none", "bb:1", "wc", "-c", stdin="12345"
    )
    expect(outcome.ok().text == "5", outcome.output)
    engine.start("a")
    outcome = engine.podman("exec", "-i", "a", "wc", "-c", stdin="1234567")
    expect(outcome.ok().text == "7", outcome.output)
    engine.remove("a")


def test_terminals(engine: Podman) -> None:
    outcome = engine.run("-t", "bb:1", "sh", "-c", "tty; stty size")
    expect("/dev/pts/0" in outcome.ok().output or "/dev/console" in outcome.output, outcome.output)
    engine.start("a", "-t")
    outcome = engine.podman("exec", "-t", "a", "tty")
    expect("/dev/pts/" in outcome.ok().output, outcome.output)
    engine.remove("a")


def test_pause_and_resume(engine: Podman) -> None:
    engine.start("a")
    engine.podman("pause", "a").ok()
    expect(engine.status("a") == "paused", engine.status("a"))
    engine.podman("unpause", "a").ok()
    expect(engine.status("a") == "running", engine.status("a"))
    engine.remove("a")


def counted(engine: Podman, name: str) -> int:
    return int(engine.podman("exec", name, *COUNTED).text or 0)


def test_checkpoint_and_restore(engine: Podman) -> None:
    need_criu()
    engine.start("a", command=COUNT)
    eventually(lambda: counted(engine, "a") > 5, "it does not count")
    engine.podman("container", "checkpoint", "a").ok()
    expect(engine.status("a") == "exited", f"a saved container is {engine.status('a')}")
    engine.podman("container", "restore", "a").ok()
    first = counted(engine, "a")
    expect(first > 5, f"it counts from {first}")
    eventually(lambda: counted(engine, "a") > first, "it does not count on")
    engine.remove("a")


def test_a_checkpoint_is_moved_as_an_archive(engine: Podman) -> None:
    """The container may stay; the one that is made from the archive has another name."""
    need_criu()
    engine.start("a", command=COUNT)
    eventually(lambda: counted(engine, "a") > 5, "it does not count")
    archive = str(engine.directory / "saved.tar")
    engine.podman("container", "checkpoint", "--leave-running", "--export", archive, "a").ok()
    expect(engine.status("a") == "running", f"the container is {engine.status('a')}")
    engine.podman("container", "restore", "--import", archive, "--name", "b").ok()
    expect(counted(engine, "b") > 5, "it began again")
    engine.remove("a")
    engine.remove("b")


def test_kill_and_stop(engine: Podman) -> None:
    engine.start("a", command=TRAP)
    engine.podman("exec", "a", *READY).ok()
    engine.podman("kill", "-s", "TERM", "a").ok()
    expect(engine.podman("wait", "a").ok().text == "3", "not the status of the trap")
    engine.remove("a")
    engine.start("a")
    engine.podman("stop", "-t", "0", "a").ok()
    expect(engine.status("a") == "exited", engine.status("a"))
    engine.podman("start", "a").ok()
    expect(engine.status("a") == "running", engine.status("a"))
    engine.remove("a")


def test_limits_of_memory_and_processes(engine: Podman) -> None:
    engine.start("a", "--memory", "64m", "--pids-limit", "50")
    values = cgroup_values(engine.pid("a"))
    expect("67108864" in values["memory"] and values["pids"].strip() == "50", repr(values))
    engine.podman("update", "--memory", "128m", "a").ok()
    expect("134217728" in cgroup_values(engine.pid("a"))["memory"], "not updated")
    engine.remove("a")


def test_limits_of_processor_time(engine: Podman) -> None:
    engine.start("a", "--cpus", "0.5")
    expect("50000" in cgroup_values(engine.pid("a"))["cpu"], "no limit")
    engine.podman("update", "--cpus", "1.5", "a").ok()
    expect("150000" in cgroup_values(engine.pid("a"))["cpu"], "not updated")
    engine.remove("a")


def test_stats(engine: Podman) -> None:
    engine.start("a")
    outcome = engine.podman("stats", "--no-stream", "--format", "json", "a").ok()
    expect(json.loads(outcome.output)[0]["name"] == "a", outcome.output)
    top = engine.podman("top", "a", "pid", "comm").ok()
    expect("sleep" in top.output, top.output)
    engine.remove("a")


def test_health_checks(engine: Podman) -> None:
    once = ("--health-interval", "disable", "--health-retries", "1")
    engine.start("a", "--health-cmd", "true", *once)
    engine.podman("healthcheck", "run", "a").ok()
    engine.start("b", "--health-cmd", "exit 3", *once)
    engine.podman("healthcheck", "run", "b").exited(1)
    engine.remove("a")
    engine.remove("b")


def test_an_init_process(engine: Podman) -> None:
    need("catatonit")
    outcome = engine.run(
        "--init", "--init-path", "/usr/bin/catatonit", "bb:1", "cat", "/proc/1/comm"
    )
    expect(outcome.ok().text in ("catatonit", "podman-init"), outcome.output)


def test_user_namespaces(engine: Podman) -> None:
    options = ("--uidmap", "0:100000:5000", "--gidmap", "0:100000:5000")
    outcome = engine.run(*options, "bb:1", "sh", "-c", "cat /proc/self/uid_map; id -u; touch /x")
    words = outcome.ok().output.split()
    expect(words == ["0", "100000", "5000", "0"], outcome.output)


def test_no_cgroups(engine: Podman) -> None:
    options = ("--rm", "--network", "none", "--cgroups", "disabled")
    outcome = engine.podman("run", *options, "bb:1", "echo", "free")
    expect(outcome.ok().text == "free", outcome.output)


def test_volumes_and_secrets(engine: Podman) -> None:
    source = engine.directory / "volume"
    source.mkdir(exist_ok=True)
    (source / "file").write_text("content")
    text = "cat /v/file; touch /v/x 2>/dev/null || echo ro; touch /w/y && echo rw"
    outcome = engine.run("-v", f"{source}:/v:ro", "-v", "named:/w", "bb:1", "sh", "-c", text)
    expect(outcome.ok().output == "contentro\nrw\n", outcome.output)
    engine.podman("secret", "create", "password", "-", stdin="hidden").ok()
    outcome = engine.run("--secret", "password", "bb:1", "cat", "/run/secrets/password")
    expect(outcome.ok().output == "hidden", outcome.output)
    engine.podman("secret", "rm", "password").ok()


def test_read_only_and_tmpfs(engine: Podman) -> None:
    text = "touch /x 2>/dev/null || echo ro; touch /t/y && echo tmpfs; grep ' /t ' /proc/mounts"
    outcome = engine.run("--read-only", "--tmpfs", "/t:size=1m,mode=700", "bb:1", "sh", "-c", text)
    expect(outcome.ok().output.startswith("ro\ntmpfs\n"), outcome.output)
    expect("size=1024k" in outcome.output, outcome.output)


def test_capabilities_and_security_options(engine: Podman) -> None:
    text = "grep -E 'CapEff|NoNewPrivs|Seccomp:' /proc/self/status"
    options = ("--cap-drop", "all", "--security-opt", "no-new-privileges")
    outcome = engine.run(*options, "bb:1", "sh", "-c", text).ok()
    fields = dict(line.split(":\t") for line in outcome.output.splitlines())
    expect(int(fields["CapEff"], 16) == 0 and fields["NoNewPrivs"] == "1", outcome.output)
    expect(fields["Seccomp"] == "2", outcome.output)


def test_pods_share_namespaces(engine: Podman) -> None:
    need("catatonit")
    pause = ("--infra-image", "bb:1", "--infra-command", "/bin/sleep 1000")
    pod = ("--name", "p", *engine.groups, "--network", "none")
    engine.podman("pod", "create", *pod, *pause).ok()
    engine.podman("run", "-d", "--pod", "p", "--name", "a", "bb:1", "sleep", "1000").ok()
    one = engine.podman("exec", "a", "readlink", "/proc/self/ns/ipc").ok().text
    two = engine.podman("run", "--rm", "--pod", "p", "bb:1", "readlink", "/proc/self/ns/ipc")
    expect(one == two.ok().text, f"{one} and {two.text}")
    engine.podman("pod", "rm", "-f", "-t", "0", "p").ok()


def may_raise_limits() -> bool:
    fields = dict(line.split(":\t") for line in Path("/proc/self/status").read_text().splitlines())
    return bool(int(fields["CapEff"], 16) >> CAP_SYS_RESOURCE & 1)


def test_a_pod_of_kubernetes(engine: Podman) -> None:
    # As root Podman gives every container of such a pod a million open files, whatever it is told.
    if engine.NAME == "podman" and not may_raise_limits():
        raise Unavailable("the capability CAP_SYS_RESOURCE, to raise a limit")
    data = engine.directory / "data"
    data.mkdir(exist_ok=True)
    (data / "file").write_text("content")
    file = engine.directory / "kube.yaml"
    file.write_text(KUBE.read_text().replace("@DATA@", str(data)))
    engine.podman("play", "kube", "--network", "none", str(file)).ok()
    text = "id -u; hostname; echo $COLOUR; cat /data/file; touch /x 2>/dev/null || echo ro"
    outcome = engine.podman("exec", "kube-one", "sh", "-c", text).ok()
    expect(outcome.output == "1000\ninside\ngreen\ncontentro\n", outcome.output)
    ids = [
        engine.podman("exec", f"kube-{name}", "readlink", "/proc/self/ns/ipc").ok().text
        for name in ("one", "two")
    ]
    expect(ids[0] == ids[1], f"not one pod: {ids}")
    engine.podman("healthcheck", "run", "kube-one").ok()
    engine.podman("play", "kube", "--down", str(file)).ok()
    expect(not engine.podman("ps", "-aq").ok().lines(), "containers stay")


def test_build(engine: Podman) -> None:
    context = engine.directory / "context"
    context.mkdir(exist_ok=True)
    (context / "Containerfile").write_text("FROM localhost/bb:1\nRUN echo built >/built\n")
    options = ("--isolation", "oci", "--network", "none", "--pull-never", "-t", "built:1")
    engine.podman("build", *options, str(context)).ok()
    expect(engine.run("built:1", "cat", "/built").ok().text == "built", "not what was built")
    engine.podman("rmi", "built:1").ok()


def test_many_in_parallel(engine: Podman) -> None:
    for number in range(3):
        engine.start(f"p{number}")
    expect(len(engine.podman("ps", "-q").ok().lines()) == 3, "not all run")
    engine.podman("rm", "-f", "-a", "-t", "0").ok()


def test_the_host_namespaces(engine: Podman) -> None:
    options = ("--pid", "host", "--ipc", "host", "--uts", "host")
    text = "for kind in pid ipc uts net; do readlink /proc/self/ns/$kind; done"
    outcome = engine.run(*options, "bb:1", "sh", "-c", text, network="host")
    host = [os.readlink(f"/proc/self/ns/{kind}") for kind in ("pid", "ipc", "uts", "net")]
    expect(outcome.ok().output.split() == host, outcome.output)


SMOKE = (
    test_run_prints_and_exits,
    test_exec_returns_output_and_status,
    test_kill_and_stop,
)
