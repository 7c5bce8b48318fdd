# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: E501  (a table reads best with one row a line)
"""The same bundle with pyrunc, runc and crun: equal, or different for a reason that is written down.

A case shows the container something, and each program's result is reduced to a status and lines. A
case with a reason must differ: a difference that is gone has to go from here. The table of the
reasons is written to build/differences.json, for docs/features.md.
"""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.features.changes import clock, linux, mount, process
from tests.support import machine
from tests.support.bundle import Config
from tests.support.runtime import TREE, Result, Runtime
from tests.support.types import Change

feature = pytest.mark.feature
PEERS = {
    "runc": "1.1.",
    "crun": "1.8",
}  # how their versions begin: the reasons are about Debian 12's
TABLE = TREE / "build/differences.json"


@dataclass(frozen=True)
class Case:
    """What is compared; `why` explains what differs, by the name of the peer."""

    name: str
    script: str
    change: Change = lambda config: None
    exec: tuple[str, ...] = ()
    why: tuple[tuple[str, str], ...] = ()
    flags: tuple[str, ...] = ()


def user_namespace(config: Config) -> None:
    config.user_namespace()


def masked(config: Config) -> None:
    config.linux["maskedPaths"] = ["/proc/keys", "/proc/scsi", "/sys/firmware", "/absent"]
    config.linux["readonlyPaths"] = ["/proc/sys", "/proc/irq"]


def devices(config: Config) -> None:
    config.linux["devices"] = [
        {"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 0o640, "uid": 5},
        {"path": "/dev/pipe", "type": "p", "fileMode": 0o600},
    ]


def no_home(config: Config) -> None:
    config.file("/etc/passwd", "")


def no_path(config: Config) -> None:
    config.process["env"] = ["A=b"]


def from_host(*options: str, destination: str = "/mnt") -> Change:
    """A bind of a directory with a file, a link and a directory."""

    def change(config: Config) -> None:
        source = config.bundle / "source"
        if not source.exists():
            (source / "below").mkdir(parents=True)
            (source / "file").write_text("from the host\n")
        config.bind(source, destination, *options)

    return change


def copied_up(config: Config) -> None:
    config.file("/var/data/file", "of the image\n", mode=0o604)
    config.mount("/var/data", "tmpfs", "tmpfs", "tmpcopyup")


def linked_destination(config: Config) -> None:
    link = config.rootfs / "lead"
    if not link.is_symlink():
        link.symlink_to("/etc/inside")
    from_host("bind", destination="/lead")(config)


def all_hooks(config: Config) -> None:
    """Each writes its kind; those that run inside cannot see the host's path.

    crun runs poststart beside startContainer: it waits for that, two seconds where nothing comes.
    """
    notes = config.rootfs / "tmp/notes"
    notes.unlink(missing_ok=True)
    env = ["PATH=/usr/bin:/bin"]
    wait = f"i=0; until grep -q startC {notes} || [ $i = 40 ]; do sleep 0.05; i=$((i+1)); done"
    for kind in ("prestart", "createRuntime", "createContainer", "poststart"):
        before = f"{wait}; " if kind == "poststart" else ""
        config.hook(kind, "/bin/sh", "-c", f"{before}echo {kind} >>{notes}", env=env)
    config.hook("startContainer", "/bin/sh", "-c", "echo startContainer >>/tmp/notes", env=env)


def hook_states(config: Config) -> None:
    notes = config.rootfs / "tmp/notes"
    notes.unlink(missing_ok=True)
    words = 'echo $1 $(grep -o \'"status": *"[a-z]*"\' | tr -d " ") >>'
    for kind in ("createRuntime", "createContainer", "poststart"):
        line = f"{words}{notes}"
        config.hook(kind, "/bin/sh", "-c", line, "-", kind, env=["PATH=/usr/bin:/bin"])


def plain_environment_of_a_hook(config: Config) -> None:
    notes = config.rootfs / "tmp/notes"
    notes.unlink(missing_ok=True)
    script = f"/usr/bin/env | /usr/bin/grep -c ^HOME= >{notes}; pwd >>{notes}"
    config.hook("createRuntime", "/bin/sh", "-c", script)


def joined_file(config: Config) -> None:
    config.file("/etc/target", "covered\n")
    source = config.bundle / "one-file"
    source.write_text("from the host\n")
    config.bind(source, "/etc/target", "bind", "ro")


def filter_of(**profile: object) -> Change:
    return linux(seccomp={"defaultAction": "SCMP_ACT_ALLOW", **profile})


CHMOD = ["chmod", "fchmod", "fchmodat"]
LIMITED = {"pids": {"limit": 30}, "memory": {"limit": 1 << 28}, "cpu": {"shares": 512}}
SHOW_OPTIONS = "grep ' /mnt' /proc/self/mountinfo | cut -d' ' -f5-7 | cut -d: -f1"
NOTES = "until grep -q poststart /tmp/notes; do sleep 0.01; done; cat /tmp/notes; >/tmp/notes"
ATTRIBUTES = "grep -E 'Cap|NoNewPrivs|Seccomp:|Groups|Uid|Gid' /proc/self/status"
OLD_RUNC = "runc 1.1 does not know it and leaves it out without a word"
OLD_CRUN = "crun 1.8 does not know it and leaves it out without a word"

CASES = [
    Case("identity and rights", ATTRIBUTES),
    Case("rights of a plain user", ATTRIBUTES, process(user={"uid": 1000, "gid": 1000})),
    Case("additional groups", "id -G", process(user={"uid": 5, "gid": 6, "additionalGids": [7, 8]})),
    Case("environment", "env | grep -v SHLVL | sort"),
    Case("environment without PATH", "/bin/env | /bin/grep -v -E 'SHLVL|PWD' | /bin/sort", no_path),
    Case("home without an entry in passwd", "echo $HOME", no_home, why=(("crun", "crun 1.8 leaves HOME empty"),)),
    Case("umask", "umask"),
    Case("umask of the config", "umask", process(user={"uid": 0, "gid": 0, "umask": 0o27})),
    Case("limits", "ulimit -n; ulimit -Hn", process(rlimits=[{"type": "RLIMIT_NOFILE", "soft": 99, "hard": 100}])),
    Case("oom score", "cat /proc/self/oom_score_adj", process(oomScoreAdj=77)),
    Case("missing directory", "pwd; stat -c %a .", process(cwd="/made/by/runtime")),
    Case("nodes in /dev", "cd /dev; for f in null zero full tty random; do stat -c '%n %a %u:%g %t:%T' $f; done"),
    Case("links in /dev", "cd /dev; for l in fd stdin stdout stderr ptmx; do readlink $l; done"),
    Case("devices of the config", "stat -c '%a %u:%g %t:%T %F' /dev/fuse /dev/pipe", devices),
    Case("mounts", "cut -d' ' -f4,5,6 /proc/self/mountinfo | grep -v '/ / ' | sort"),
    Case("mount of a tmpfs", "grep ' /mnt ' /proc/mounts", mount("/mnt", "tmpfs", "ro", "nosuid", "size=64k", "mode=700")),
    Case("masked and read-only paths", "cat /proc/keys; ls /proc/scsi /sys/firmware; echo 1 2>/dev/null >/proc/sys/kernel/domainname || echo refused", masked),
    Case("hostname", "hostname", lambda config: config.update(hostname="other")),
    Case("loopback", "ip link show lo | head -1"),
    Case("process 1", "echo $$; readlink /proc/1/exe; set -- /proc/[0-9]*; echo $#"),
    Case("descriptors", "ls /proc/self/fd"),
    Case("user namespace", "id -u; cat /proc/self/uid_map; stat -c '%u:%g' / /dev/null /proc/1", user_namespace),
    Case("sysctl", "cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax", linux(sysctl={"net.ipv4.ip_forward": "1", "kernel.msgmax": "9000"})),
    Case("read-only root", "touch /x 2>/dev/null || echo refused; grep ' / ' /proc/mounts | cut -d' ' -f4 | cut -d, -f1", lambda config: config["root"].update(readonly=True)),
    Case("exit code", "exit 42"),
    Case("death by a signal", "kill -KILL $$", lambda config: config.without_namespace("pid")),
    Case("output and errors", "echo out; echo err >&2"),
    Case("scheduler", "cut -d' ' -f19,41 /proc/self/stat", process(scheduler={"policy": "SCHED_BATCH", "nice": 5}),
         why=(("runc", OLD_RUNC), ("crun", OLD_CRUN))),
    Case("I/O priority", "ionice -p $$", process(ioPriority={"class": "IOPRIO_CLASS_IDLE", "priority": 0}), why=(("runc", OLD_RUNC), ("crun", OLD_CRUN))),
    Case("personality", "uname -m", linux(personality={"domain": "LINUX32"}), why=(("runc", OLD_RUNC),)),
    Case("time offsets", "awk '{print ($1 > 1000000)}' /proc/uptime", clock, why=(("runc", "runc 1.1 has no time namespaces"), ("crun", "crun 1.8 does not get through its own start with one on this kernel"))),
    Case("recursive read-only", "touch /etc/x 2>/dev/null || echo refused", lambda config: config.bind(config.rootfs / "etc", "/etc", "rbind", "rro")),
    Case("options of a bind", SHOW_OPTIONS, from_host("bind", "ro", "nosuid", "nodev", "noexec", "noatime")),
    Case("options of a bind that clear", SHOW_OPTIONS, from_host("rbind", "rw", "exec", "suid", "dev")),
    Case("data of a bind", f"{SHOW_OPTIONS}; stat -c %a /mnt", from_host("bind", "mode=700", "size=1k")),
    Case("propagation of a bind", SHOW_OPTIONS, from_host("rbind", "rshared"), why=(("crun", "crun 1.8 leaves the mount as it is"),)),
    Case("a file over a file", "cat /etc/target; echo x 2>/dev/null >/etc/target || echo refused", joined_file),
    Case("mode of a made directory", "stat -c '%a %u:%g' /new /new/place; cat /new/place/file", from_host("bind", destination="/new/place")),
    Case("relative destination", "cat /there/file", from_host("bind", destination="there")),
    Case("a link as destination", "cat /etc/inside/file; readlink /lead", linked_destination),
    Case("copy up", "cat /var/data/file; stat -c %a /var/data/file; stat -c %T -f /var/data", copied_up),
    Case("mode of a tmpfs", "stat -c %a /mnt", mount("/mnt", "tmpfs"), why=(("crun", "crun 1.8 leaves the kernel's default and not the mode of the directory below"),)),
    Case("options of a tmpfs", SHOW_OPTIONS, mount("/mnt", "tmpfs", "noexec", "noatime", "size=64k")),
    Case("message queues", "stat -f -c %T /dev/mqueue", mount("/dev/mqueue", "mqueue", "nosuid", "noexec", "nodev")),
    Case("cgroup mount", "ls /sys/fs/cgroup | sort; grep -c ' /sys/fs/cgroup' /proc/mounts", mount("/sys/fs/cgroup", "cgroup", "ro", "nosuid"), why=(("runc", "runc 1.1 leaves out the cgroup2 beside v1 hierarchies"), ("crun", "crun 1.8 leaves out the cgroup2 beside v1 hierarchies"))),
    Case("propagation of the root", "grep ' / / ' /proc/self/mountinfo | cut -d' ' -f7 | cut -d: -f1", linux(rootfsPropagation="private")),
    Case("domainname", "cat /proc/sys/kernel/domainname", lambda config: config.update(domainname="example.org"), why=(("runc", OLD_RUNC),)),
    Case("hooks and their order", NOTES, all_hooks, why=(("runc", "runc 1.1 runs poststart before the program is started"),)),
    Case("state that hooks read", NOTES, hook_states, why=(("runc", "runc 1.1 says created to poststart, while the container runs"), ("crun", "crun 1.8 says created to hooks that run while the container is made"))),
    Case("environment and directory of a hook", "head -1 /tmp/notes; tail -1 /tmp/notes | xargs basename", plain_environment_of_a_hook, why=(("runc", "runc 1.1 gives hooks without env its own environment; ours gives them a bare PATH"), ("crun", "crun 1.8 gives hooks without env its own environment; ours gives them a bare PATH"))),
    Case("filter", "chmod 700 /tmp 2>&1 | sed 's/.*: //'; umask", filter_of(syscalls=[{"names": CHMOD, "action": "SCMP_ACT_ERRNO", "errnoRet": 38}])),
    Case("filter that kills", "sh -c 'chmod 700 /tmp' 2>/dev/null; echo $?", filter_of(syscalls=[{"names": CHMOD, "action": "SCMP_ACT_KILL_PROCESS"}])),
    Case("filter with a condition", "sh -c 'umask 22; chmod 700 /tmp' && echo passed", filter_of(syscalls=[{"names": ["umask"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 0, "value": 63, "op": "SCMP_CMP_EQ"}]}])),
    Case("call newer than the profile", "chmod 700 /tmp && echo passed", filter_of(syscalls=[{"names": ["no_such_call"], "action": "SCMP_ACT_ERRNO"}])),
    Case("cgroup namespace", "cut -d: -f3 /proc/self/cgroup | sort -u"),
    Case("limits of cgroups", "cat /proc/self/limits | grep -c .", linux(resources=LIMITED)),
    Case("session and terminal", "cut -d' ' -f6,7 /proc/self/stat; tty"),
    Case("processors", "grep Cpus_allowed_list /proc/self/status"),
    Case("capabilities of a user with ambient ones", "grep Cap /proc/self/status", process(user={"uid": 1000, "gid": 1000}, capabilities={kind: ["CAP_NET_BIND_SERVICE"] for kind in ("bounding", "permitted", "inheritable", "effective", "ambient")})),
    Case("a core limit of nothing", "ulimit -c; ulimit -Hc", process(rlimits=[{"type": "RLIMIT_CORE", "soft": 0, "hard": 0}])),
    Case("standard devices can be written", "for f in null zero full tty; do echo x 2>/dev/null >/dev/$f && echo $f; done; true"),
    Case("exec: umask", "", exec=("sh", "-c", "umask"), change=process(user={"uid": 0, "gid": 0, "umask": 0o27}), why=(("runc", "runc 1.1 takes 022 for every exec"), ("crun", "crun 1.8 takes 022 for every exec"))),
    Case("exec: limits", "", exec=("sh", "-c", "ulimit -n"), change=process(rlimits=[{"type": "RLIMIT_NOFILE", "soft": 99, "hard": 100}]), why=(("crun", "crun 1.8 leaves the limits of the caller"),)),
    Case("exec: oom score", "", exec=("cat", "/proc/self/oom_score_adj"), change=process(oomScoreAdj=77), why=(("crun", "crun 1.8 leaves the score of the caller"),)),
    Case("exec: home of another user", "", exec=("--user", "1000", "sh", "-c", "echo $HOME")),
    Case("exec: filter", "", exec=("sh", "-c", "grep Seccomp: /proc/self/status"), change=filter_of(syscalls=[{"names": CHMOD, "action": "SCMP_ACT_ERRNO"}])),
    Case("exec: cgroup", "", exec=("sh", "-c", "cmp /proc/self/cgroup /proc/1/cgroup && echo same")),
    Case("exec: a directory that is missing", "", exec=("--cwd", "/no/such", "pwd")),
    Case("exec: not executable", "", exec=("/etc/passwd",)),
    Case("exec: a directory", "", exec=("/etc",)),
    Case("exec: user namespace", "", exec=("sh", "-c", "id -u; cut -c1-30 /proc/self/uid_map"), change=user_namespace),
    Case("exec: session", "", exec=("sh", "-c", "test $(cut -d' ' -f6 /proc/self/stat) = $$ && echo leader"), why=(("crun", "crun 1.8 runs it in the session of the caller"),)),
    Case("exec: identity and rights", "", exec=("sh", "-c", ATTRIBUTES), why=(("crun", "crun 1.8 does not hand no_new_privs on to exec"),)),
    Case("exec: environment", "", exec=("sh", "-c", "env | grep -v SHLVL | sort")),
    Case("exec: user", "", exec=("--user", "1000:1001", "id")),
    Case("exec: capability", "", exec=("--cap", "CAP_NET_RAW", "sh", "-c", "grep Cap /proc/self/status"), why=(("crun", "crun 1.8 takes --cap for the whole set"),)),
    Case("exec: variables", "", exec=("-e", "A=1", "-e", "A=2", "sh", "-c", "echo $A"), why=(("crun", "crun 1.8 drops the environment of the container when a variable is given"),)),
    Case("exec: directory", "", exec=("--cwd", "/tmp", "pwd")),
    Case("exec: exit code", "", exec=("sh", "-c", "exit 7")),
    Case("exec: death by a signal", "", exec=("sh", "-c", "kill -9 $$")),
    Case("exec: missing program", "", exec=("absent",)),
    Case("exec: descriptors", "", exec=("ls", "/proc/self/fd")),
    Case("exec: namespaces", "", exec=("sh", "-c", "for n in mnt pid net ipc uts cgroup; do test $(readlink /proc/self/ns/$n) = $(readlink /proc/1/ns/$n) && echo $n; done"), change=process(capabilities={"bounding": ["CAP_SYS_PTRACE"], "effective": ["CAP_SYS_PTRACE"], "permitted": ["CAP_SYS_PTRACE"]})),
]  # fmt: skip


@functools.cache
def installed(peer: str) -> str:
    """The program of a peer, if it is of the release that the reasons are about."""
    program = shutil.which(peer)
    if not program:
        return ""
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    return program if said.stdout.split()[2].startswith(PEERS[peer]) else ""


def observe(program: Path, config: Config, workspace: Path, case: Case) -> tuple[int, list[str]]:
    """What one program makes of the case."""
    root = workspace / f"state-{program.name}"
    root.mkdir(mode=0o700, exist_ok=True)
    runtime = Runtime(program, root)
    if not case.exec:
        result = runtime.run(config, "/bin/sh", "-c", case.script)
    else:
        result = observe_exec(runtime, config, case.exec)
    return result.status, result.stdout.splitlines()


def observe_exec(runtime: Runtime, config: Config, words: tuple[str, ...]) -> Result:
    container = runtime.create(config, "sleep", "600")
    try:
        container.start()
        flags: list[str] = []
        rest = list(words)
        while rest and rest[0].startswith("-"):
            flags += rest[:2]
            rest = rest[2:]
        return runtime("exec", *flags, container.id, *rest)
    finally:
        container.delete().ok()


@feature("2.31 exec ID CMD...", "2.2 run ID")
@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_the_peers_show_the_same_or_it_is_explained(
    pyrunc: Runtime, config: Config, workspace: Path, case: Case
) -> None:
    case.change(config)
    ours = observe(pyrunc.program, config, workspace, case)
    reasons = dict(case.why)
    compared = 0
    for peer in PEERS:
        program = installed(peer)
        if not program:
            continue
        compared += 1
        with machine.tidied_peer():
            theirs = observe(Path(program), config, workspace, case)
        if peer not in reasons:
            assert theirs == ours, f"{peer} shows something else"
        else:
            assert theirs != ours, f"{peer} shows the same: the reason has gone"
            note(case.name, peer, theirs, ours, reasons[peer])
    if not compared:
        pytest.skip("runc and crun are missing, or newer than the reasons")


def note(
    name: str, peer: str, theirs: tuple[int, list[str]], ours: tuple[int, list[str]], why: str
) -> None:
    """Keep a difference for the table."""
    table = json.loads(TABLE.read_text()) if TABLE.exists() else {}
    table[f"{name}/{peer}"] = {"theirs": show(theirs), "ours": show(ours), "why": why}
    TABLE.write_text(json.dumps(table, indent=1, sort_keys=True))


def show(result: tuple[int, list[str]]) -> str:
    status, lines = result
    text = "; ".join(lines[:3])[:80]
    return text if not status else f"status {status}{': ' + text if text else ''}"


def test_a_difference_without_a_reason_is_found(
    pyrunc: Runtime, config: Config, workspace: Path
) -> None:
    """The comparison itself: another script is another result."""
    first = observe(pyrunc.program, config, workspace, Case("a", "echo a"))
    second = observe(pyrunc.program, config, workspace, Case("b", "echo b"))
    assert first != second
