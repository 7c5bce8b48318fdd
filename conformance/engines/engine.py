# SPDX-License-Identifier: Apache-2.0
"""What the engine suites share: commands with time-outs, daemons, the search for leftovers."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
PATIENCE_S = 5.0


# A program that says when it is ready for a signal, and one that waits for that beside it.
TRAP = ("sh", "-c", "trap 'exit 3' TERM; touch /tmp/ready; while :; do sleep 0.1; done")
DEAF = ("sh", "-c", "trap '' TERM; touch /tmp/ready; while :; do sleep 0.1; done")
READY = ("sh", "-c", "until [ -e /tmp/ready ]; do sleep 0.05; done")
# A program whose child takes too much memory: zeros go through a pipe into a program that keeps a
# line of any length. containerd looks for such ends only after the runtime's `start` has returned,
# and reads of them in the cgroup, which systemd removes after the last process.
GREEDY = ("sh", "-c", "sleep 1; head -c 200m /dev/zero | tail; sleep 2; exit 137")
# A program whose memory, once saved and restored, is seen to be the same, and one that asks it for
# its number. It has no file open but when it is asked: CRIU refuses to restore a file whose size
# has changed since, and an engine copies the files of a container that goes on after it was saved.
COUNT = (
    *("sh", "-c"),
    "i=0; trap 'echo $i > /count' USR1; while :; do i=$((i+1)); sleep 0.1; done",
)
COUNTED = (
    *("sh", "-c"),
    "rm -f /count; n=0; until [ -s /count ] || [ $n = 50 ]; do"
    " kill -USR1 1; sleep 0.1; n=$((n+1)); done; cat /count",
)


class Failed(AssertionError):
    """An expectation on an engine did not hold."""


class Unavailable(Exception):
    """The machine lacks what a test needs; the text names it."""


@dataclass(frozen=True)
class Outcome:
    """How a command ended. `output` is the standard output, `errors` the standard error."""

    argv: tuple[str, ...]
    status: int
    output: str
    errors: str

    def ok(self) -> Outcome:
        """Return this outcome if the status is 0."""
        return self.exited(0)

    def exited(self, status: int) -> Outcome:
        """Return this outcome if the command ended with `status`."""
        if self.status != status:
            raise Failed(
                f"{' '.join(self.argv)}\nstatus {self.status}, expected {status}\n"
                f"{self.output}{self.errors}"
            )
        return self

    @property
    def text(self) -> str:
        return self.output.strip()

    def lines(self) -> list[str]:
        return self.output.splitlines()


def command(
    *argv: str, timeout_s: float = 60, env: dict[str, str] | None = None, stdin: str = ""
) -> Outcome:
    """Run a command to its end."""
    try:
        done = subprocess.run(
            argv,
            input=stdin,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            env={**os.environ, **(env or {})},
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise Failed(f"{' '.join(argv)}: no end after {timeout_s:.0f} s") from error
    return Outcome(argv, done.returncode, done.stdout, done.stderr)


def docker_client(directory: Path) -> tuple[str, ...]:
    """Return the Docker client of the daemon in PATH, with a configuration of its own.

    A program named docker that stands before it in PATH may be a wrapper of the machine.
    """
    need("dockerd")
    beside = Path(shutil.which("dockerd") or "").parent
    client = next(
        (path for path in (beside / "docker", Path("/usr/bin/docker")) if path.exists()), None
    )
    if client is None:
        raise Unavailable("not installed: the client of Docker")
    configuration = directory / "client"
    configuration.mkdir(exist_ok=True)
    plugins = {"cliPluginsExtraDirs": [str(beside.parent / "plugins")]}
    (configuration / "config.json").write_text(json.dumps(plugins))
    return str(client), "--config", str(configuration)


def need_criu() -> None:
    """Skip unless PATH has a CRIU that works on this kernel."""
    need("criu")
    outcome = command("criu", "check")
    if outcome.status:
        raise Unavailable(f"CRIU does not work on this kernel: {outcome.errors.strip()}")


def expect(condition: object, message: str) -> None:
    """Raise Failed with the message unless the condition is true."""
    if not condition:
        raise Failed(message)


def eventually(check: Callable[[], object], message: str, *, timeout_s: float = 20) -> None:
    """Wait until a check is true; raise Failed when it stays false."""
    end = time.monotonic() + timeout_s
    while not check():
        if time.monotonic() > end:
            raise Failed(f"{message} (waited {timeout_s:.0f} s)")
        time.sleep(0.05)


class Daemon:
    """A daemon of ours with its log in a file; stopped by its pid."""

    def __init__(self, argv: Sequence[str], *, log: Path, env: dict[str, str] | None = None):
        self.log = log
        with log.open("ab") as stream:
            self.process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                env={**os.environ, **(env or {})},
                start_new_session=True,
            )

    def wait_until(self, check: Callable[[], object], *, timeout_s: float = 40) -> None:
        """Wait until the daemon answers; raise Failed with the end of its log when it does not."""

        def answers() -> object:
            if self.process.poll() is not None:
                raise Failed(f"the daemon ended\n{self.log.read_text()[-4000:]}")
            return check()

        try:
            eventually(answers, "the daemon does not answer", timeout_s=timeout_s)
        except Failed as error:
            raise Failed(f"{error}\n{self.log.read_text()[-4000:]}") from error

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


# Where systemd runs the machine, the engines are told to ask it for cgroups, as distributions do.
SYSTEMD = Path("/run/systemd/system").is_dir()
DRIVER = "systemd" if SYSTEMD else "cgroupfs"
# The cgroup above all containers of this run; other runs have theirs.
GROUP = f"conformance{os.getpid()}.slice" if SYSTEMD else f"conformance{os.getpid()}"
PARENT = GROUP if SYSTEMD else f"/{GROUP}"
# Top cgroups that the engines make for their containers.
PARENTS = ("default", "docker", "k8s.io", "libpod_parent", "machine.slice", GROUP)


def tops(*parents: str) -> list[Path]:
    """Return where these top cgroups are or would be, in all hierarchies."""
    hierarchies = [CGROUP, *(path for path in CGROUP.iterdir() if path.is_dir())]
    return [hierarchy / name for hierarchy in hierarchies for name in parents]


# Top cgroups of engines that were there before this run, which leaves them alone.
FOREIGN = frozenset(path.name for path in tops(*PARENTS) if path.exists())


def cgroups() -> set[str]:
    """Return the cgroups that belong to engines, in all hierarchies."""
    return {directory for top in tops(*PARENTS) for directory, _, _ in os.walk(top)}


# Where the runtimes keep what they know of their containers, when the engine does not say where.
STATES = (
    *("/run/pyrunc", "/run/runc", "/run/crun", "/run/docker/runtime-runc/moby"),
    *("/run/containerd/runc/default", "/run/containerd/runc/k8s.io"),
)


def states(directory: Path) -> set[str]:
    """Return the containers of an engine that works in `directory` that a runtime still knows."""
    found = (path for top in STATES for path in Path(top).glob("[!.]*/*") if path.is_file())
    return {str(path.parent) for path in found if str(directory).encode() in path.read_bytes()}


def caches() -> set[str]:
    """Return what runtimes keep beside the containers to start the next one sooner."""
    return {str(path) for directory in STATES for path in Path(directory).glob(".*")}


def remove_cgroups(*parents: str) -> None:
    """Remove the group of this run, and empty parents that its engine made and keeps.

    What is below such a parent may be of an engine that somebody started meanwhile: it stays.
    """
    made = [name for name in parents if name.partition("/")[0] not in FOREIGN]
    if SYSTEMD:
        slices = [name for name in (GROUP, *made) if name.endswith(".slice")]
        subprocess.run(["systemctl", "stop", *slices], capture_output=True, check=False)
    ours = [directory for top in tops(GROUP) for directory, _, _ in os.walk(top, topdown=False)]
    left = [*map(Path, ours), *tops(*made)]
    # The last programs that an engine starts for a container outlive it a little; a group that is
    # in use after that is reported.
    until = time.monotonic() + PATIENCE_S
    while left and time.monotonic() < until:
        for directory in left:
            with contextlib.suppress(OSError):
                directory.rmdir()
        left = [directory for directory in left if directory.exists()]
        time.sleep(0.1 if left else 0)


def mounts() -> set[str]:
    """Return the mount points of this mount namespace."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return {line.split()[4] for line in lines}


def processes() -> Iterator[tuple[int, str]]:
    """Every process with its command line."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                text = (
                    (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                )
            except OSError:  # it ended meanwhile
                continue
            yield int(entry.name), text


class Footprint:
    """What an engine run must not leave: mounts, cgroups, networks, processes, containers."""

    def __init__(self, directory: Path):
        self.directory = directory
        self.mounts, self.cgroups = mounts(), cgroups()
        self.caches = caches()
        null = os.stat("/dev/null")
        self.null = (null.st_uid, null.st_gid)

    def _networks(self) -> list[str]:
        """Return the network namespaces of this run, which end in the name of its directory."""
        directory = Path("/run/netns")
        names = [path.name for path in directory.iterdir()] if directory.is_dir() else []
        return sorted(name for name in names if self.directory.name[-8:] in name)

    def leftovers(self) -> list[str]:
        left = [f"mount {path}" for path in self._new_mounts()]
        left += [f"cgroup {path}" for path in sorted(cgroups() - self.cgroups)]
        left += [f"network namespace {name}" for name in self._networks()]
        left += [f"process {pid} {text[:120]}" for pid, text in self._processes()]
        left += [f"state {path}" for path in sorted(states(self.directory))]
        return left

    def _processes(self) -> list[tuple[int, str]]:
        """Return the processes with the directory of this run in their command line."""
        found = [one for one in processes() if str(self.directory) in one[1]]
        return [one for one in found if one[0] != os.getpid()]

    def _new_mounts(self) -> list[str]:
        """Mounts below the directory, the innermost first."""
        new = mounts() - self.mounts
        return sorted((path for path in new if path.startswith(f"{self.directory}/")), reverse=True)

    def remove(self) -> None:
        """End and remove what was left, so that the next run starts clean."""
        os.chown("/dev/null", *self.null)  # crun 1.8 gives it away in a user namespace
        for pid, _ in self._processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for top in tops(GROUP):
            for procs in top.rglob("cgroup.procs"):
                for line in procs.read_text().split():
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(int(line), signal.SIGKILL)
        for name in self._networks():
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
        for path in caches() - self.caches:  # made anew by whoever misses one
            shutil.rmtree(path, ignore_errors=True)
        for path in self._new_mounts():
            subprocess.run(["umount", "-l", path], capture_output=True, check=False)
        remove_cgroups()


def need(*programs: str) -> None:
    """Raise Unavailable unless all programs are installed."""
    missing = [name for name in programs if not shutil.which(name)]
    if missing:
        raise Unavailable("not installed: " + ", ".join(missing))
