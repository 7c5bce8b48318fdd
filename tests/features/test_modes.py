# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: E501  (a table reads best with one row a line)
"""The same property as root, in a user namespace, and as a user without privileges.

A case changes the configuration and says what a script shows then. Where the kernel gives a user
less, the case names the ways in which it holds.
"""

from __future__ import annotations

import json
import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.features.changes import clock, linux, mount, process
from tests.features.conftest import Mode
from tests.support.bundle import Config
from tests.support.features import MODES
from tests.support.types import Change
from tests.support.wait import until

feature = pytest.mark.feature
WITH_GROUPS = ("root", "userns")


@dataclass(frozen=True)
class Case:
    """What a script shows, in lines; `rows` of the feature table are proved by it."""

    name: str
    rows: tuple[str, ...]
    script: str
    shows: str
    change: Change = lambda config: None
    modes: tuple[str, ...] = MODES
    flags: tuple[str, ...] = ()


def top(**values: object) -> Change:
    return lambda config: config.update(values)


def bind(*options: str, destination: str = "/mnt") -> Change:
    def change(config: Config) -> None:
        source = config.bundle / "source"
        (source / "below").mkdir(parents=True)
        (source / "file").write_text("from the host\n")
        (source / "link").symlink_to("file")
        config.bind(source, destination, *options)

    return change


def copied_up(config: Config) -> None:
    config.file("/var/data/file", "content\n")
    facts = os.stat(config.rootfs)
    for path in (config.rootfs / "var/data", config.rootfs / "var/data/file"):
        os.chown(path, facts.st_uid, facts.st_gid)
    config.mount("/var/data", "tmpfs", "tmpfs", "tmpcopyup")


def linked(config: Config) -> None:
    link = config.bundle / "link"
    link.symlink_to("/etc/passwd")
    config.bind(link, "/mnt/link", "bind", "copy-symlink")


def network(config: Config) -> None:
    config.namespace("network")


def filtered(config: Config) -> None:
    names = ["chmod", "fchmod", "fchmodat", "fchmodat2"]
    rules = [{"names": names, "action": "SCMP_ACT_ERRNO", "errnoRet": 1}]
    config.linux["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules}


def terminal(config: Config) -> None:
    config.process.update(terminal=True, consoleSize={"height": 31, "width": 117})


def no_id_0(config: Config) -> None:
    config.process["user"] = {"uid": 1000, "gid": 1000}


MASKS = {"maskedPaths": ["/proc/keys", "/proc/scsi", "/absent"], "readonlyPaths": ["/proc/sys"]}
MASKED = (
    "cat /proc/keys; ls /proc/scsi; echo x 2>/dev/null >/proc/sys/kernel/domainname || echo refused"
)
OPTIONS = "grep ' /mnt ' /proc/mounts | cut -d' ' -f4 | tr , '\\n' | grep -xE 'ro|nosuid|nodev|noexec|nosymfollow|noatime|nodiratime'"
KIND_OF_DEVICES = "cd /dev; for f in null zero full random urandom tty; do test -c $f && echo $f; done; echo x >null; head -c 2 zero | wc -c"
READ_LINKS = "cd /dev; for l in fd stdin stdout stderr ptmx; do readlink $l; done"
PROC_LINKS = "/proc/self/fd /proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2 pts/ptmx"

CASES = [
    Case("exit code", ("2.2 run ID", "2.14 run exit code"), "sh -c 'exit 3' || echo $?", "3"),
    Case("hostname", ("3.5 hostname",), "hostname", "other", top(hostname="other")),
    Case("domainname", ("3.6 domainname",), "cat /proc/sys/kernel/domainname", "example.org", top(domainname="example.org")),
    Case("read-only root", ("3.3 root.readonly",), "touch /x 2>/dev/null || echo refused", "refused", lambda config: config["root"].update(readonly=True)),
    Case("made directory", ("3.11 process.cwd",), "pwd; stat -c %a .", "/made/here 755", process(cwd="/made/here")),
    Case("variables", ("3.13 process.env",), "echo $A", "2", process(env=["PATH=/bin", "A=1", "A=2"])),
    Case("home", ("3.14 HOME",), "echo $HOME", "/root"),
    Case("path", ("3.15 process.args",), "echo found", "found", process(env=["PATH=/absent:/bin"])),
    Case("limits", ("3.17 process.rlimits",), "ulimit -n; ulimit -Hn", "99 100", process(rlimits=[{"type": "RLIMIT_NOFILE", "soft": 99, "hard": 100}])),
    Case("capabilities", ("3.19 process.capabilities",), "grep -E 'Cap(Prm|Eff|Bnd)' /proc/self/status | cut -f2", "0000000000000021 0000000000000021 0000000000000021", lambda config: config.capabilities("CAP_CHOWN", "CAP_KILL")),
    Case("no new privileges", ("3.20 process.noNewPrivileges",), "grep NoNewPrivs /proc/self/status | cut -f2", "1", process(noNewPrivileges=True)),
    Case("oom score", ("3.21 process.oomScoreAdj",), "cat /proc/self/oom_score_adj", "77", process(oomScoreAdj=77)),
    Case("ids", ("3.23 process.user.uid/gid",), "id -u; id -g", "1000 1001", process(user={"uid": 1000, "gid": 1001})),
    Case("umask", ("3.24 process.user.umask",), "umask", "0027", process(user={"uid": 0, "gid": 0, "umask": 0o27})),
    Case("groups", ("3.25 process.user.additionalGids",), "id -G", "0 7 8", process(user={"uid": 0, "gid": 0, "additionalGids": [7, 8]}), WITH_GROUPS),
    Case("scheduler", ("3.27 process.scheduler",), "cut -d' ' -f19,41 /proc/self/stat", "5 3", process(scheduler={"policy": "SCHED_BATCH", "nice": 5})),
    Case("io priority", ("3.28 process.ioPriority",), "ionice -p $$ | cut -d: -f1", "idle", process(ioPriority={"class": "IOPRIO_CLASS_IDLE", "priority": 0})),
    Case("processors", ("3.30 default: CPU affinity reset",), "grep -c Cpus_allowed_list /proc/self/status", "1"),
    Case("terminal", ("3.9 process.terminal", "3.10 process.consoleSize", "7.4 /dev/console"), "tty; stty size; stat -c %t:%T /dev/console; ls /dev/pts", "/dev/pts/0 31 117 88:0 0 ptmx", terminal),
    Case("file systems", ("4.1 types bind, rbind, tmpfs, proc",), "for m in /proc /dev /dev/pts /dev/shm; do grep -c \" $m \" /proc/mounts; done", "1 1 1 1"),
    Case("options of a tmpfs", ("4.3 ro rw nosuid", "4.6 atime noatime", "4.8 symfollow nosymfollow"), OPTIONS, "ro nosuid nodev noexec noatime nodiratime nosymfollow", mount("/mnt", "tmpfs", "ro", "nosuid", "nodev", "noexec", "noatime", "nodiratime", "nosymfollow")),
    Case("options of a bind", ("4.2 option bind rbind", "4.3 ro rw nosuid"), f"{OPTIONS}; cat /mnt/file", "ro nosuid noexec from the host", bind("bind", "ro", "nosuid", "noexec")),
    Case("recursive options", ("4.11 recursive attrs", "4.13 recursive rnosymfollow"), "touch /mnt/below/x 2>/dev/null || echo refused; cat /mnt/link 2>/dev/null || echo refused", "refused refused", bind("rbind", "rro", "rnosymfollow")),
    Case("recursive access times", ("4.12 recursive rnodiratime",), f"{OPTIONS}", "noatime nodiratime", bind("rbind", "rnoatime", "rnodiratime"), ("root",)),
    Case("propagation", ("4.10 propagation",), "grep ' /mnt ' /proc/self/mountinfo | grep -c shared:", "1", bind("rbind", "rshared")),
    Case("data of a file system", ("4.19 unknown option",), "grep ' /mnt ' /proc/mounts | grep -c size=64k", "1", mount("/mnt", "tmpfs", "size=64k")),
    Case("copy up", ("4.14 tmpcopyup",), "cat /var/data/file; echo new >/var/data/file; grep -c /var/data /proc/mounts", "content 1", copied_up),
    Case("copied link", ("4.17 copy-symlink",), "readlink /mnt/link", "/etc/passwd", linked),
    Case("relative destination", ("4.21 relative destination",), "cat /there/file", "from the host", bind("bind", destination="there")),
    Case("made destination", ("4.22 destination auto-created",), "stat -c %a /new; cat /new/place/file", "755 from the host", bind("bind", destination="/new/place")),
    Case("link as destination", ("4.23 destination resolution confined",), "cat /etc/inside/file", "from the host", lambda config: ((config.rootfs / "lead").symlink_to("/etc/inside"), bind("bind", destination="/lead")(config))[1]),  # type: ignore[func-returns-value]
    Case("nothing below proc", ("4.24 procfs over-mount",), "cat /proc/uptime", "from the host", lambda config: config.bind(text_file(config), "/proc/uptime")),
    Case("cgroup", ("4.28 cgroup v1 mount", "4.29 cgroup2 mount"), "ls /sys/fs/cgroup | grep -q . && echo some", "some", mount("/sys/fs/cgroup", "cgroup", "ro")),
    Case("new namespaces", ("6.1 pid, network, mount",), "echo $$; set -- /proc/[0-9]*; echo $#", "1 1"),
    Case("clock", ("6.4 time + timeOffsets",), "awk '{print ($1 > 1000000)}' /proc/uptime", "1", clock),
    Case("sysctl", ("6.11 linux.sysctl",), "cat /proc/sys/kernel/msgmax", "9000", linux(sysctl={"kernel.msgmax": "9000"})),
    Case("loopback", ("6.15 loopback",), "ip link show lo | grep -c LOOPBACK,UP", "1", network),
    Case("personality", ("6.17 linux.personality",), "uname -m", "i686", linux(personality={"domain": "LINUX32"})),
    Case("memory policy", ("6.19 linux.memoryPolicy",), "head -1 /proc/self/numa_maps | cut -d' ' -f2", "bind:0", linux(memoryPolicy={"mode": "MPOL_BIND", "nodes": "0"})),
    Case("default devices", ("7.1 default devices",), KIND_OF_DEVICES, "null zero full random urandom tty 2"),
    Case("links in /dev", ("7.2 /dev/ptmx",), READ_LINKS, PROC_LINKS),
    Case("propagation of the root", ("7.8 rootfsPropagation",), "grep ' / / ' /proc/self/mountinfo | grep -c shared:; true", "0", linux(rootfsPropagation="private")),
    Case("masks", ("7.9 maskedPaths", "7.11 readonlyPaths"), MASKED, "refused", linux(**MASKS)),
    Case("the only root", ("7.12 pivot_root",), "grep -c . /proc/self/mountinfo >/dev/null; ls /old /bundle0 2>/dev/null || echo only", "only"),
    Case("without pivot", ("2.8 --no-pivot", "7.13 --no-pivot"), "ls /old /bundle0 2>/dev/null || echo only", "only", flags=("--no-pivot",)),
    Case("filter", ("10.1 defaultAction", "10.9 errnoRet", "10.16 filter after NNP"), "chmod 700 /tmp 2>/dev/null || echo refused; grep Seccomp: /proc/self/status | cut -f2", "refused 2", filtered),
    Case("descriptors", ("11.8 fds > 2 closed",), "ls /proc/self/fd", "0 1 2 3"),
    Case("owner of stdio", ("12.4 stdio chown",), "echo again >/dev/stdout", "again", no_id_0, ("root",)),
]  # fmt: skip


def text_file(config: Config) -> Path:
    path = config.bundle / "text"
    path.write_text("from the host\n")
    return path


@pytest.mark.parametrize(
    ("mode", "case"),
    [
        pytest.param(mode, case, marks=feature(*case.rows), id=f"{mode}-{case.name}")
        for case in CASES
        for mode in case.modes
    ],
    indirect=["mode"],
)
def test_a_property_is_the_same_for_everybody(mode: Mode, case: Case) -> None:
    case.change(mode.config)
    result = mode.run("sh", "-c", case.script, flags=case.flags).ok()
    assert result.stdout.replace("\r", "").split() == case.shows.split()


# -- commands ----------------------------------------------------------------------------------------


@feature(
    "2.1 create ID", "2.18 start ID", "2.20 state ID", "2.21 kill ID", "2.26 delete ID",
    "2.7 --pid-file",
)  # fmt: skip
def test_a_container_goes_through_its_life(mode: Mode) -> None:
    mode.config.process["args"] = ["sleep", "600"]
    mode.config.write()
    name, pid_file = mode.runtime.new_id(), mode.config.bundle / "pid"

    def state() -> dict[str, Any]:
        found: dict[str, Any] = json.loads(mode("state", name).ok().stdout)
        return found

    mode("create", "--bundle", mode.config.bundle, "--pid-file", pid_file, name).ok()
    try:
        assert state()["status"] == "created"
        assert state()["pid"] == int(pid_file.read_text())
        mode("start", name).ok()
        assert state()["status"] == "running"
        mode("kill", name, "KILL").ok()
        until(lambda: state()["status"] == "stopped", "the container stops")
    finally:
        mode("delete", "--force", name).ok()
    assert mode("state", name).status == 1


@feature(
    "2.38 --cwd", "2.39 --env/-e", "2.40 --user/-u", "2.44 --no-new-privs", "2.45 --cap/-c",
    "2.49 exec failure exit status", "2.31 exec ID CMD...",
)  # fmt: skip
def test_exec_takes_its_flags(mode: Mode) -> None:
    mode.config.process["noNewPrivileges"] = False
    name = mode.start("sleep", "600")
    assert mode.inside(name, "pwd", "--cwd", "/tmp") == "/tmp\n"
    assert mode.inside(name, "echo $A", "--env", "A=b") == "b\n"
    assert mode.inside(name, "id -u; id -g", "--user", "1000:1001").split() == ["1000", "1001"]
    status = "grep -E 'CapEff|NoNewPrivs' /proc/self/status | cut -f2"
    plain = mode.inside(name, status).split()
    more = mode.inside(name, status, "--cap", "CAP_NET_RAW", "--no-new-privs").split()
    assert int(more[0], 16) == int(plain[0], 16) | 1 << 13
    assert [plain[1], more[1]] == ["0", "1"]
    assert mode("exec", name, "sh", "-c", "exit 7").status == 7
    assert mode("exec", name, "absent").status == 255


@feature("2.32 --process/-p FILE", "2.33 --detach/-d", "2.34 --pid-file", "2.37 --tty/-t")
def test_exec_takes_a_file_and_leaves_a_process(mode: Mode, workspace: Path) -> None:
    name = mode.start("sleep", "600")
    directory = mode.config.bundle
    file, pid_file = workspace / "process.json", directory / "exec.pid"
    process = {"args": ["sh", "-c", "pwd; echo $A"], "cwd": "/tmp", "env": ["PATH=/bin", "A=b"]}
    file.write_text(json.dumps({**process, "user": {"uid": 1000, "gid": 1000}}))
    found = mode("exec", "--process", file, name).ok().stdout
    assert found.split() == ["/tmp", "b"]
    mode("exec", "--detach", "--pid-file", pid_file, name, "sleep", "599").ok()
    pid = int(pid_file.read_text())
    assert os.readlink(f"/proc/{pid}/ns/mnt") != os.readlink("/proc/self/ns/mnt")
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert mode.inside(name, "tty", "--tty").strip() == "/dev/pts/0"


@feature(
    "5.1 prestart (deprecated), createRuntime", "5.3 state JSON on stdin", "5.7 cwd",
    "5.8 prestart/createRuntime before pivot", "5.9 createContainer before pivot",
    "5.10 startContainer after start",
)  # fmt: skip
def test_hooks_run_where_they_should(mode: Mode) -> None:
    """Each writes its kind, the status that it read, and whether it sees the host's files."""
    notes = mode.config.bundle / "notes"
    notes.touch()
    notes.chmod(0o666)
    here = f"test -e {mode.config.bundle} && place=outside || place=inside; "
    script = 'status=$(grep -o \'"status":"[a-z]*"\' | cut -d\'"\' -f4); ' + here
    for kind in ("prestart", "createRuntime", "createContainer", "poststart", "poststop"):
        line = f"{script} echo $1 $status $place $(pwd) >>{notes}"
        mode.config.hook(kind, "/bin/sh", "-c", line, "-", kind, env=["PATH=/usr/bin:/bin"])
    line = f"{script} echo $1 $status $place $(pwd) >>/tmp/notes"
    mode.config.hook("startContainer", "/bin/sh", "-c", line, "-", "startContainer")
    mode.run("true").ok()
    bundle, rootfs = mode.config.bundle, mode.config.rootfs
    assert notes.read_text().splitlines() == [
        f"prestart created outside {bundle}",
        f"createRuntime creating outside {bundle}",
        f"createContainer creating outside {rootfs}",
        f"poststart running outside {bundle}",
        f"poststop stopped outside {bundle}",
    ]
    assert (rootfs / "tmp/notes").read_text() == "startContainer created inside /\n"


@feature("2.48 --ignore-paused", "2.60 pause / resume")
def test_pausing_needs_a_cgroup(mode: Mode) -> None:
    """A user without a cgroup of its own is told so."""
    name = mode.start("sleep", "600")
    result = mode("pause", name)
    if mode.name == "user":
        assert result.status == 1
        assert "cgroup" in result.error
        return
    result.ok()
    assert mode("exec", name, "true").status == 255
    mode("resume", name).ok()
    assert mode.inside(name, "echo again") == "again\n"


@feature("2.53 list table", "2.24 kill --all/-a")
def test_a_container_is_listed_with_its_owner(mode: Mode) -> None:
    name = mode.start("sleep", "600")
    rows = json.loads(mode("list", "--format", "json").ok().stdout)
    assert [one["id"] for one in rows] == [name]
    assert rows[0]["owner"] == ("nobody" if mode.name == "user" else "root")
