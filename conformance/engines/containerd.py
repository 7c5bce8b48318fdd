# SPDX-License-Identifier: Apache-2.0
"""A private containerd whose shim calls the runtime under test."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

from conformance.engines import image
from conformance.engines.engine import (
    CGROUP,
    COUNT,
    COUNTED,
    GROUP,
    PARENT,
    READY,
    SYSTEMD,
    TRAP,
    Daemon,
    Outcome,
    command,
    eventually,
    expect,
    need,
    need_criu,
    remove_cgroups,
)

CONFIG = """
version = 2
root = "{directory}/root"
state = "{directory}/state"
oom_score = 0
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = "{directory}/containerd.sock"
[ttrpc]
  address = "{directory}/containerd.sock.ttrpc"
"""

# ctr resizes a terminal after the start, and where the program has ended by then it may lose what
# that has written, whatever the runtime.
LINGER = "sleep 1"

# Stands before the runtime and kills it in the middle of `create`.
CRASHING = """#!/bin/sh
case " $* " in *" create "*) ;; *) exec {runtime} "$@" ;; esac
{runtime} "$@" &
until [ -e {state} ] || ! kill -0 $!; do :; done
kill -9 $!
exit 137
"""


class Containerd:
    """The daemon and its client. `runtime` is the path of the runtime under test."""

    NAME = "containerd"

    def __init__(self, directory: Path, runtime: str):
        need("containerd", "ctr")
        self.directory, self.runtime = directory, runtime
        directory.chmod(0o711)  # mapped ids must get to the root file systems below
        self.socket = directory / "containerd.sock"
        (directory / "config.toml").write_text(CONFIG.format(directory=directory))
        # The shim's sockets lie in a fixed directory of /run; containerd's own state is below ours.
        self.daemon = Daemon(
            ["containerd", "--config", str(directory / "config.toml")],
            log=directory / "containerd.log",
        )
        self.daemon.wait_until(lambda: self.ctr("version").status == 0)
        archive = directory / "bb.tar"
        archive.write_bytes(image.oci_archive())
        self.ctr("image", "import", str(archive)).ok()

    def ctr(self, *argv: str, timeout_s: float = 60) -> Outcome:
        return command("ctr", "-a", str(self.socket), *argv, timeout_s=timeout_s)

    def flags(self, name: str) -> tuple[str, ...]:
        """Return the options of every `ctr run`."""
        group = (
            ("--cgroup", f"{PARENT}:ctr:{name}") if SYSTEMD else ("--cgroup", f"{PARENT}/{name}")
        )
        driver = ("--runc-systemd-cgroup",) if SYSTEMD else ()
        return (*driver, *group, "--runc-binary", self.runtime)

    def run(self, name: str, *argv: str, options: tuple[str, ...] = ()) -> Outcome:
        """`ctr run` in the foreground, removed at its end."""
        return self.ctr("run", "--rm", *self.flags(name), *options, image.NAME, name, *argv)

    def start(self, name: str, *argv: str, options: tuple[str, ...] = ()) -> Outcome:
        """`ctr run` detached; the client leaves the pipes that it makes then."""
        pipes = ("--fifo-dir", f"{self.directory}/fifo")
        more = (*pipes, *self.flags(name), *options)
        return self.ctr("run", "-d", *more, image.NAME, name, *argv).ok()

    def remove(self, name: str) -> None:
        self.ctr("task", "kill", "-s", "SIGKILL", name)
        eventually(lambda: self.status(name) in ("STOPPED", ""), f"{name} does not stop")
        self.ctr("task", "rm", name)
        self.ctr("container", "rm", name).ok()

    def status(self, name: str) -> str:
        for line in self.ctr("task", "ls").ok().output.splitlines()[1:]:
            words = line.split()
            if words and words[0] == name:
                return words[2]
        return ""

    def pid(self, name: str) -> int:
        for line in self.ctr("task", "ls").ok().output.splitlines()[1:]:
            words = line.split()
            if words and words[0] == name:
                return int(words[1])
        return 0

    def reset(self) -> None:
        """Remove what a failed test left."""
        for name in self.ctr("container", "ls", "-q").output.split():
            self.ctr("task", "kill", "-s", "SIGKILL", name)
            self.ctr("task", "rm", "-f", name)
            self.ctr("container", "rm", name)
        for line in self.ctr("snapshot", "ls").output.splitlines()[1:]:
            if line.split()[-1] == "Active":
                self.ctr("snapshot", "rm", line.split()[0])

    def stop(self) -> None:
        self.reset()
        self.ctr("image", "rm", "--sync", image.NAME)
        self.daemon.stop()
        remove_cgroups()


def expect_exit_code(engine: Containerd, code: int) -> None:
    """Remove the stopped task `a`; the client tells the exit code in a warning."""
    outcome = engine.ctr("task", "rm", "a").ok()
    expect(f"exit code {code}" in outcome.errors, f"expected exit code {code}: {outcome}")


def test_run_prints_and_exits(engine: Containerd) -> None:
    outcome = engine.run("a", "sh", "-c", "echo hello; echo oops >&2; exit 7").exited(7)
    expect(outcome.text == "hello" and "oops" in outcome.errors, repr(outcome))


def test_a_missing_program_is_named(engine: Containerd) -> None:
    outcome = engine.run("a", "/absent")
    expect(outcome.status and "no such file or directory" in outcome.errors.lower(), repr(outcome))


def test_a_detached_container_lives_and_is_killed(engine: Containerd) -> None:
    engine.start("a", "sleep", "1000")
    expect(engine.status("a") == "RUNNING", engine.status("a"))
    engine.ctr("task", "kill", "-s", "SIGKILL", "a").ok()
    eventually(lambda: engine.status("a") == "STOPPED", "still running")
    expect_exit_code(engine, 137)
    engine.ctr("container", "rm", "a").ok()


def test_a_term_signal_reaches_the_program(engine: Containerd) -> None:
    engine.start("a", *TRAP)
    engine.ctr("task", "exec", "--exec-id", "up", "a", *READY).ok()
    engine.ctr("task", "kill", "-s", "SIGTERM", "a").ok()
    eventually(lambda: engine.status("a") == "STOPPED", "still running")
    expect_exit_code(engine, 3)
    engine.ctr("container", "rm", "a").ok()


def test_exec_returns_output_and_status(engine: Containerd) -> None:
    engine.start("a", "sleep", "1000")
    outcome = engine.ctr("task", "exec", "--exec-id", "e1", "a", "sh", "-c", "hostname; exit 5")
    outcome.exited(5)
    missing = engine.ctr("task", "exec", "--exec-id", "e2", "a", "/absent")
    expect(missing.status and "no such file" in missing.errors.lower(), repr(missing))
    processes = engine.ctr("task", "ps", "a").ok().output
    expect(str(engine.pid("a")) in processes, processes)
    engine.remove("a")


def test_exec_with_a_terminal(engine: Containerd) -> None:
    engine.start("a", "sleep", "1000")
    argv = ["ctr", "-a", str(engine.socket), "task", "exec", "-t", "--exec-id", "t", "a"]
    output = run_on_terminal([*argv, "sh", "-c", f"tty; {LINGER}"])
    expect("/dev/pts/" in output, f"no terminal in the container: {output}")
    engine.remove("a")


def test_run_with_a_terminal(engine: Containerd) -> None:
    argv = ["ctr", "-a", str(engine.socket), "run", "--rm", "-t", *engine.flags("a")]
    output = run_on_terminal([*argv, image.NAME, "a", "sh", "-c", f"tty; {LINGER}"])
    expect("/dev/pts/" in output or "/dev/console" in output, output)


def run_on_terminal(argv: list[str]) -> str:
    """Run a command whose standard input and output are a terminal, and return what it prints."""
    quoted = " ".join(f"'{word}'" for word in argv)
    return command("script", "-qec", quoted, "/dev/null", timeout_s=60).output


def test_pause_and_resume(engine: Containerd) -> None:
    engine.start("a", "sh", "-c", "while :; do sleep 0.05; done")
    engine.ctr("task", "pause", "a").ok()
    expect(engine.status("a") == "PAUSED", engine.status("a"))
    engine.ctr("task", "resume", "a").ok()
    expect(engine.status("a") == "RUNNING", engine.status("a"))
    engine.remove("a")


def test_checkpoint_and_restore(engine: Containerd) -> None:
    """As an image, from which another container is made."""
    need_criu()
    engine.start("a", *COUNT)
    eventually(lambda: counted(engine, "a") > 5, "it does not count")
    engine.ctr("container", "checkpoint", "--image", "--rw", "--task", "a", "saved:1").ok()
    expect(engine.status("a") == "RUNNING", f"the container is {engine.status('a')}")
    engine.remove("a")
    try:
        engine.ctr("container", "restore", "--rw", "--live", "b", "saved:1").ok()
        first = counted(engine, "b")
        expect(first > 5, f"it counts from {first}")
        eventually(lambda: counted(engine, "b") > first, "it does not count on")
        engine.remove("b")
    finally:
        engine.ctr("image", "rm", "--sync", "saved:1")


def counted(engine: Containerd, name: str) -> int:
    argv = ("task", "exec", "--exec-id", f"c{time.monotonic_ns()}", name, *COUNTED)
    return int(engine.ctr(*argv).output.strip() or 0)


def test_metrics(engine: Containerd) -> None:
    engine.start("a", "sleep", "1000", options=("--memory-limit", "67108864"))
    metrics = engine.ctr("task", "metrics", "--format", "json", "a").ok().output
    expect("67108864" in json.dumps(json.loads(metrics)), metrics)
    engine.remove("a")


def test_limits_are_in_the_cgroup(engine: Containerd) -> None:
    options = ("--memory-limit", "67108864", "--cpus", "0.5")
    engine.start("a", "sleep", "1000", options=options)
    values = cgroup_values(engine.pid("a"))
    expect("67108864" in values.get("memory", ""), repr(values))
    expect("50000" in values.get("cpu", ""), repr(values))
    engine.remove("a")


def cgroup_values(pid: int) -> dict[str, str]:
    """Return the limits of memory, processor time and processes, whatever the version."""
    files = {"memory": ("memory.limit_in_bytes", "memory.max"), "pids": ("pids.max",)}
    files["cpu"] = ("cpu.cfs_quota_us", "cpu.max")
    values: dict[str, str] = {}
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, names, path = line.split(":", 2)
        for controller, candidates in files.items():
            if names and controller not in names.split(","):
                continue
            for top in (Path("/sys/fs/cgroup") / controller, Path("/sys/fs/cgroup")):
                for candidate in candidates:
                    file = top / path.lstrip("/") / candidate
                    if file.exists():
                        values.setdefault(controller, file.read_text())
    return values


def test_update_changes_a_running_container(engine: Containerd) -> None:
    engine.start("a", "sleep", "1000", options=("--memory-limit", "67108864"))
    resources = {"memory": {"limit": 134217728}}
    state = engine.directory / "state/io.containerd.runtime.v2.task/default/a"
    expect(state.is_dir(), f"no {state}")
    root = "/run/containerd/runc/default"
    argv = (engine.runtime, "--root", root, "update", "--resources=-", "a")
    command(*argv, stdin=json.dumps(resources)).ok()
    expect("134217728" in cgroup_values(engine.pid("a"))["memory"], "the limit did not change")
    engine.remove("a")


def test_the_default_seccomp_profile(engine: Containerd) -> None:
    text = "grep Seccomp: /proc/self/status; mount -t tmpfs x /mnt || echo refused"
    outcome = engine.run("a", "sh", "-c", text, options=("--seccomp",)).ok()
    expect("2" in outcome.output.split("\n")[0] and "refused" in outcome.output, repr(outcome))


def test_user_namespaces(engine: Containerd) -> None:
    options = ("--uidmap", "0:100000:1000", "--gidmap", "0:100000:1000", "--remap-labels")
    outcome = engine.run("a", "cat", "/proc/self/uid_map", options=options)
    expect("100000" in outcome.ok().output, repr(outcome))


def test_bind_mounts(engine: Containerd) -> None:
    source = engine.directory / "volume"
    source.mkdir(exist_ok=True)
    (source / "file").write_text("content")
    option = f"type=bind,src={source},dst=/mnt,options=rbind:ro"
    outcome = engine.run(
        "a", "sh", "-c", "cat /mnt/file; touch /mnt/x || echo ro", options=("--mount", option)
    )
    expect(outcome.ok().text == "contentro", repr(outcome))


def test_the_host_network(engine: Containerd) -> None:
    inside = engine.run("a", "readlink", "/proc/self/ns/net", options=("--net-host",)).ok().text
    expect(inside == os.readlink("/proc/self/ns/net"), inside)


def test_delete_after_the_init_was_killed_behind_its_back(engine: Containerd) -> None:
    engine.start("a", "sleep", "1000")
    os.kill(engine.pid("a"), signal.SIGKILL)
    eventually(lambda: engine.status("a") == "STOPPED", "still running")
    expect_exit_code(engine, 137)
    engine.ctr("container", "rm", "a").ok()


def test_delete_after_a_crash_of_the_shim(engine: Containerd) -> None:
    engine.start("a", "sleep", "1000")
    init = engine.pid("a")
    parent = int(Path(f"/proc/{init}/stat").read_text().rsplit(")", 1)[1].split()[1])
    expect("shim" in Path(f"/proc/{parent}/cmdline").read_text(), "the parent is not the shim")
    os.kill(parent, signal.SIGKILL)
    eventually(lambda: not Path(f"/proc/{init}").exists(), "the container outlives its clean-up")
    engine.ctr("task", "rm", "-f", "a")
    engine.ctr("container", "rm", "a").ok()


def test_delete_after_a_crash_of_the_runtime(engine: Containerd) -> None:
    state = Path("/run/containerd/runc/default/a")
    wrapper = engine.directory / "crashing"
    wrapper.write_text(CRASHING.format(runtime=engine.runtime, state=state))
    wrapper.chmod(0o755)
    options = ("--runc-binary", str(wrapper))
    broken = engine.ctr("run", "-d", *engine.flags("a"), *options, image.NAME, "a", "true")
    expect(broken.status, "the crash of the runtime went unnoticed")
    engine.ctr("container", "rm", "a")
    group = f"{GROUP}/ctr-a.scope" if SYSTEMD else f"{GROUP}/a"
    groups = [*CGROUP.glob(f"*/{group}"), CGROUP / group]
    left = [str(path) for path in (state, *groups) if path.exists()]
    expect(not left, f"left behind: {left}")
    expect(engine.run("a", "echo", "again").ok().text == "again", "the name cannot be used again")


def test_many_in_parallel(engine: Containerd) -> None:
    names = [f"p{number}" for number in range(10)]
    argv = ["ctr", "-a", str(engine.socket), "run", "--rm"]
    running = [
        subprocess.Popen(
            [*argv, *engine.flags(name), image.NAME, name, "echo", name],
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in names
    ]
    outputs = [process.communicate(timeout=60)[0].strip() for process in running]
    expect(outputs == names, repr(outputs))


SMOKE = (
    test_run_prints_and_exits,
    test_a_detached_container_lives_and_is_killed,
    test_exec_returns_output_and_status,
)
