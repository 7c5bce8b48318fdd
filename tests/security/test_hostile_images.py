# SPDX-License-Identifier: Apache-2.0
"""Single traps in an image and in a bundle, each from an advisory about some runtime."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import machine
from tests.support.bundle import Config
from tests.support.canary import SECRET, Canary
from tests.support.runtime import Container, Runtime

PATIENCE_S = 10
MARKER = "#!/bin/sh\ntouch /marks/$(basename $0)\n"


def test_a_sysctl_is_not_written_to_a_file_of_the_image(runtime: Runtime, config: Config) -> None:
    """PS-1, R009, R043: without a proc mount the image's own /proc is only files."""
    config.without_mount("/proc")
    config.file("proc/sys/net/ipv4/ip_forward", "0")
    config.file("proc/self/attr/exec", "")
    config.linux["sysctl"] = {"net.ipv4.ip_forward": "1"}
    result = runtime.run(config, "cat", "/proc/sys/net/ipv4/ip_forward")
    assert (config.rootfs / "proc/sys/net/ipv4/ip_forward").read_text() == "0"
    assert result.status == 0  # the real one is reached through a procfs of the init's own


def test_a_sysctl_is_not_redirected_by_an_earlier_mount(
    runtime: Runtime, config: Config, canary: Canary
) -> None:
    """PS-1, PS-2, MT-7, R020, R039: nothing may be mounted where it is written."""
    config.bind(canary.directory, "/proc/sys/net")
    config.linux["sysctl"] = {"net.ipv4.ip_forward": "1"}
    assert runtime.run(config, "true").status == 1


def test_an_oom_score_is_not_redirected(runtime: Runtime, config: Config, canary: Canary) -> None:
    """PS-3, R020."""
    config.without_mount("/proc")
    (config.rootfs / "proc/self").symlink_to(canary.directory)
    config.process["oomScoreAdj"] = 100
    runtime.run(config, "true")


@pytest.mark.parametrize("label", ["apparmorProfile", "selinuxLabel"])
def test_a_label_without_its_module_is_an_error(
    runtime: Runtime, config: Config, label: str
) -> None:
    """PS-5, AR-6, R079: never accepted and then ignored."""
    enabled = Path("/sys/module/apparmor/parameters/enabled")
    if label == "apparmorProfile" and enabled.exists() and enabled.read_text().strip() == "Y":
        pytest.skip("AppArmor is enabled on this machine")
    if label == "selinuxLabel" and Path("/sys/fs/selinux/enforce").exists():
        pytest.skip("SELinux is enabled on this machine")
    config.process[label] = "system_u:system_r:container_t:s0"
    result = runtime.run(config, "true")
    assert result.status == 1
    assert f"/process/{label}" in result.stderr


NEARLY_UNCONFINED = ("unconfined_foo", "unconfined2", "Unconfined", "UNCONFINED", " unconfined",
                     "unconfined ", "unconfined (enforce)", "unconfine", "xunconfined")  # fmt: skip


@pytest.mark.parametrize("profile", NEARLY_UNCONFINED)
def test_a_profile_that_is_only_called_nearly_unconfined_is_one(
    runtime: Runtime, config: Config, profile: str
) -> None:
    """PS-5, IN-9, R034: on any machine it does not exist, so it is never as if none was given."""
    config.process["apparmorProfile"] = profile
    result = runtime.run(config, "true")
    assert result.status == 1
    assert "/process/apparmorProfile" in result.stderr


def test_programs_and_libraries_of_the_image_are_not_run(
    runtime: Runtime, config: Config, workspace: Path
) -> None:
    """EX-3, PY-1, PY-5, R072: no loader, no NSS, no helper of the image before the program."""
    marks = workspace / "marks"
    marks.mkdir(mode=0o777)
    marks.chmod(0o777)
    config.bind(marks, "/marks")
    for name in ("python3", "ps", "modprobe", "newuidmap", "newgidmap", "mount", "runc", "pyrunc"):
        for directory in ("bin", "sbin", "usr/bin", "usr/sbin"):
            config.file(f"{directory}/{name}", MARKER, mode=0o755)
    config.file("etc/ld.so.preload", "/lib/evil.so\n")
    config.file("etc/nsswitch.conf", "passwd: evil\n")
    config.user_namespace()
    container = runtime.create(config, "sh", "-c", "sleep 100")
    container.start()
    for verb in ("state", "ps"):
        container.command(verb)
    container.delete().ok()
    assert os.listdir(marks) == []


@pytest.mark.parametrize("size", [1 << 30])
def test_a_huge_passwd_costs_nothing(runtime: Runtime, config: Config, size: int) -> None:
    """RS-1, R059, R061."""
    with (config.rootfs / "etc/passwd").open("wb") as file:
        file.truncate(size)
    config.file("etc/group").open("wb").close()
    result = runtime.run(config, "sh", "-c", "echo $HOME", timeout_s=PATIENCE_S)
    assert result.ok().stdout == "/\n"


def test_a_passwd_line_without_end_is_bounded(runtime: Runtime, config: Config) -> None:
    """RS-1, CR-3."""
    config.file("etc/passwd", "x" * (4 << 20) + "\nroot:x:0:0:root:/found:/bin/sh\n")
    result = runtime.run(config, "sh", "-c", "echo $HOME", timeout_s=PATIENCE_S)
    assert result.ok().stdout in {"/\n", "/found\n"}


def test_a_newline_in_a_home_stays_in_passwd(runtime: Runtime, config: Config) -> None:
    """IN-5, R067: the value ends with its line."""
    config.file("etc/passwd", "root:x:0:0:root:/ho me\x1b:/bin/sh\nINJECTED=1:x:0:0::/:\n")
    result = runtime.run(config, "env")
    assert not [line for line in result.ok().lines if line.startswith("INJECTED")]


@pytest.mark.parametrize("kind", ["fifo", "directory", "endless-device"])
def test_a_config_that_is_no_ordinary_file_is_refused(
    runtime: Runtime, config: Config, kind: str
) -> None:
    """ST-6, R085: it is read bounded in size and in time (docs/decisions/022)."""
    path = config.bundle / "config.json"
    config.write()
    path.unlink()
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    else:
        os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 5))
    result = runtime("run", "--bundle", config.bundle, runtime.new_id(), timeout_s=3 * PATIENCE_S)
    assert result.status == 1
    phrase = {"fifo": "pipe", "directory": str(path), "endless-device": "bytes are too many"}
    assert phrase[kind] in result.error


@pytest.mark.parametrize("tail", ["/", "/.", "//", "/./", "/../place", "/../place/"])
@pytest.mark.parametrize("use", ["mount", "masked", "readonly", "cwd"])
def test_the_end_of_a_path_does_not_change_what_it_means(
    runtime: Runtime, config: Config, canary: Canary, workspace: Path, tail: str, use: str
) -> None:
    """PR-3, R086: a link at the end is resolved inside, with or without something after it."""
    (config.rootfs / "real").mkdir()
    (config.rootfs / "place").symlink_to("/real")
    path = f"/place{tail}"
    if use == "mount":
        config.bind(workspace, path)
    elif use == "cwd":
        config.process["cwd"] = path
    else:
        config.linux[f"{use}Paths"] = [path]
    result = runtime.run(config, "sh", "-c", "pwd; ls /real")
    assert result.status == 0 or result.error
    assert not (canary.directory / "real").exists()


@pytest.mark.parametrize("mode", [0o711, 0o300, 0o100])
def test_a_parent_that_may_only_be_passed_is_no_obstacle(
    runtime: Runtime, config: Config, workspace: Path, mode: int
) -> None:
    """PR-5, R054: directories on the way are opened without reading them."""
    parent = config.rootfs / "narrow"
    parent.mkdir()
    parent.chmod(mode)
    config.bind(workspace, "/narrow/place")
    config.user_namespace()
    os.chown(parent, 100000, 100000)
    runtime.run(config, "true").ok()


def test_a_link_to_run_is_followed_inside(
    runtime: Runtime, config: Config, workspace: Path
) -> None:
    """R054: /var/run is a link in every distribution."""
    (config.rootfs / "run").mkdir()
    (config.rootfs / "var/run").symlink_to("/run")
    config.bind(workspace, "/var/run/secrets/deep")
    runtime.run(config, "test", "-d", "/run/secrets/deep").ok()


def test_a_bind_source_is_what_its_link_means_on_the_host(
    runtime: Runtime, config: Config, workspace: Path
) -> None:
    """MT-2, R055: sources are the caller's paths; they are opened once."""
    real = workspace / "real"
    real.mkdir()
    (real / "x").write_text("host")
    (workspace / "alias").symlink_to(real)
    config.bind(workspace / "alias", "/mnt")
    assert runtime.run(config, "cat", "/mnt/x").ok().stdout == "host"


def test_a_mask_below_a_closed_directory_is_applied(runtime: Runtime, config: Config) -> None:
    """MT-10, R093: root of the container passes; EACCES would be an error, not an absence."""
    config.file("closed/secret", SECRET)
    (config.rootfs / "closed").chmod(0)
    config.linux["maskedPaths"] = ["/closed/secret"]
    config.capabilities("CAP_DAC_OVERRIDE")
    result = runtime.run(config, "cat", "/closed/secret")
    assert SECRET not in result.stdout


def test_default_masks_hide_what_the_kernel_tells(runtime: Runtime, config: Config) -> None:
    """MT-8, R078, R002: the config that `spec` writes."""
    (config.bundle / "config.json").unlink(missing_ok=True)
    runtime("spec", "--bundle", config.bundle).ok()
    written = json.loads((config.bundle / "config.json").read_text())
    masked = set(written["linux"]["maskedPaths"])
    assert {
        "/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
        "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/sys/firmware", "/proc/scsi",
    } <= masked  # fmt: skip
    readonly = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}
    assert readonly <= set(written["linux"]["readonlyPaths"])
    written["process"]["terminal"] = False
    script = [
        f'test ! -s {path} -a ! -d {path} || test -z "$(ls -A {path})" || echo {path}'
        for path in sorted(masked)
    ]
    script += [f"! touch {path} 2>/dev/null || echo {path}" for path in sorted(readonly)]
    config.clear()
    config.update(written)
    assert runtime.run(config, "sh", "-c", "; ".join(script)).ok().stdout == ""


def test_the_usual_container_may_not_configure_file_systems(
    runtime: Runtime, config: Config, probe: Path
) -> None:
    """SC-6, R102."""
    config.bind(probe, "/bin/probe")
    assert "Operation not permitted" in runtime.run(config, "probe", "fsopen").stdout


def test_there_is_no_controlling_terminal(runtime: Runtime, config: Config, probe: Path) -> None:
    """CN-6, R046: it leads a session of its own, so nothing can be typed for the caller."""
    config.bind(probe, "/bin/probe")
    result = runtime.run(config, "probe", "open", "/dev/tty", "r")
    assert "No such device or address" in result.stdout


def test_a_console_link_of_the_image_is_not_followed(
    runtime: Runtime, config: Config, canary: Canary
) -> None:
    """CN-3, AR-1, R027: no terminal is asked for, so nothing is made at the link's end."""
    config["mounts"] = [entry for entry in config["mounts"] if entry["destination"] == "/proc"]
    (config.rootfs / "dev/console").symlink_to(canary.top / "new")
    runtime.run(config, "true")
    assert not (canary.top / "new").exists()


@pytest.fixture
def waiting(runtime: Runtime, config: Config, probe: Path) -> Container:
    config.bind(probe, "/bin/probe")
    return runtime.create(config, "sleep", "100")


def test_the_waiting_init_cannot_be_written_to(waiting: Container) -> None:
    """EX-1, EX-2, R008, R101: its program is a sealed memory file and no file of the disk."""
    exe = f"/proc/{waiting.pid}/exe"
    assert os.readlink(exe).startswith("/memfd:pyrunc-init")
    with pytest.raises(OSError, match=r"Text file busy|Operation not permitted"):
        os.open(exe, os.O_WRONLY)
    waiting.delete().ok()


def test_the_waiting_init_holds_nothing_of_the_host(waiting: Container) -> None:
    """FD-3, FD-6, R006, R045: no directory, and nothing but its two ends of the gate."""
    directory = f"/proc/{waiting.pid}/fd"
    held = {int(name): os.stat(f"{directory}/{name}") for name in os.listdir(directory)}
    assert not [number for number, facts in held.items() if stat.S_ISDIR(facts.st_mode)]
    assert len([number for number in held if number > 2]) <= 2
    waiting.delete().ok()


def test_the_waiting_init_cannot_be_looked_into(waiting: Container) -> None:
    """JN-1, R003, R052: its files in /proc belong to root, whatever its user."""
    status = Path(f"/proc/{waiting.pid}/status").read_text()
    assert "Threads:\t1\n" in status
    assert os.stat(f"/proc/{waiting.pid}/mem").st_uid == 0
    waiting.delete().ok()


def test_a_waiting_container_is_small(waiting: Container) -> None:
    """RS-2; the promise is at most 300 kB of resident memory."""
    rollup = Path(f"/proc/{waiting.pid}/smaps_rollup").read_text()
    rss = next(line for line in rollup.splitlines() if line.startswith("Rss:"))
    assert int(rss.split()[1]) <= 300
    waiting.delete().ok()


def test_devices_are_denied_unless_allowed(runtime: Runtime, config: Config, probe: Path) -> None:
    """DV-1, CG-7, R007."""
    if not Path("/sys/fs/cgroup/devices").is_dir():
        pytest.skip("no devices hierarchy of cgroup v1 here")
    config.bind(probe, "/bin/probe")
    config.capabilities("CAP_MKNOD")
    config.linux["resources"] = {"devices": [{"allow": False, "access": "rwm"}]}
    script = "probe mknod /n 10 229; probe open /n r; probe open /dev/null w"
    lines = runtime.run(config, "sh", "-c", script).lines
    assert lines[1] == "open: Operation not permitted"
    assert lines[2] == "open: ok"


def test_host_groups_are_left_behind_in_a_user_namespace(runtime: Runtime, config: Config) -> None:
    """CR-5, R062."""
    config.user_namespace()
    before = os.getgroups()
    os.setgroups(range(400, 420))
    try:
        result = runtime.run(config, "id", "-G")
    finally:
        os.setgroups(before)
    assert result.ok().stdout == "0\n"


def test_the_environment_of_the_caller_is_nowhere(
    runtime: Runtime, config: Config, create: Callable[..., Container]
) -> None:
    """HK-1, PY-2, R083."""
    names = {f"CANARY_{number}": SECRET for number in range(50)}
    config.process["args"] = ["env"]
    config.write()
    container = Container(runtime, runtime.new_id(), config)
    result = runtime("create", "--bundle", config.bundle, container.id, env={**os.environ, **names})
    assert result.status == 0
    for path in runtime.root.rglob("*"):
        if path.is_file():
            assert SECRET not in path.read_text(errors="replace")
    assert SECRET not in Path(f"/proc/{container.pid}/environ").read_text()
    container.delete().ok()


METER = """
import os, sys
null = os.open("/dev/null", os.O_RDWR)
actions = [(os.POSIX_SPAWN_DUP2, null, fd) for fd in range(3)]
child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=actions)
_, status, usage = os.wait4(child, 0)
print(os.waitstatus_to_exitcode(status), usage.ru_maxrss)
"""


def peak_kib(argv: list[str]) -> tuple[int, int]:
    """The status of a command, and the most memory that it ever had resident; its children's is not
    in it.
    """
    # A program inherits the peak of whoever forks it, which exec does not forget: that is small.
    done = subprocess.run([sys.executable, "-c", METER, *argv], stdout=subprocess.PIPE, check=True)
    status, peak = done.stdout.split()
    return int(status), int(peak)


def passwd_of(config: Config, size: int) -> None:
    with (config.rootfs / "etc/passwd").open("wb") as file:
        file.truncate(size)


BABBLE = "while :; do echo 0123456789012345678901234567890123456789; done"


@pytest.mark.parametrize("what", ["nothing", "passwd", "hook", "config", "annotations"])
def test_the_runtime_needs_little_memory(runtime: Runtime, config: Config, what: str) -> None:
    """RS-1, RS-2, R059: the command below 64 MiB and the init below 4 MiB, whatever the image, a
    hook or the configuration hold.
    """
    config.process["args"] = ["sleep", "600"]
    if what == "passwd":
        passwd_of(config, 1 << 30)
    elif what == "hook":
        config.hook("createRuntime", "/bin/sh", "-c", BABBLE, timeout=2)
    elif what == "config":
        config.process["env"] += [f"V{number}={'x' * 60}" for number in range(25000)]
    elif what == "annotations":
        config["annotations"] = {f"key{number}": "x" * 100 for number in range(30000)}
    config.write()
    name = runtime.new_id()
    status, peak = peak_kib(runtime.argv("create", "--bundle", config.bundle, name))
    assert (status == 0) == (what != "hook")
    assert peak < 64 << 10
    if status == 0:
        pid = json.loads(runtime("state", name).ok().stdout)["pid"]
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        highest = next(line for line in lines if line.startswith("VmHWM:"))
        # The plan, which holds the environment, comes on top; execve takes no more than this.
        assert int(highest.split()[1]) < (4 << 10) + (2 << 10) * (what == "config")
    runtime("delete", "--force", name).ok()


V1_FILES = ("release_agent", "notify_on_release", "cgroup.procs", "tasks", "cgroup.clone_children",
            "devices.allow", "devices.deny", "memory.limit_in_bytes", "pids.max",
            "cgroup.subtree_control", "cgroup.max.depth")  # fmt: skip


@pytest.mark.parametrize("namespace", [True, False], ids=["own-namespace", "hosts-namespace"])
@pytest.mark.parametrize("mapped", [False, True], ids=["root", "mapped"])
def test_no_file_of_a_hierarchy_is_written_from_inside(
    runtime: Runtime, config: Config, namespace: bool, mapped: bool
) -> None:
    """CG-5, R014, R100: every hierarchy is read-only, and the release agent is out of reach."""
    if not namespace:
        config.without_namespace("cgroup")
    if mapped:
        config.user_namespace()
    config.mount("/sys/fs/cgroup", "cgroup", "cgroup", "nosuid", "noexec", "nodev", "ro")
    wanted = " ".join(V1_FILES)
    script = f"""
    grep -E ' - cgroup2? ' /proc/self/mountinfo | cut -d' ' -f5,6 | grep -v ' ro' | sed 's/^/rw /'
    count=0
    for d in /sys/fs/cgroup /sys/fs/cgroup/*; do
        [ -d $d ] || continue
        mkdir $d/new 2>/dev/null && echo "made $d/new"
        for name in {wanted}; do
            [ -e $d/$name ] || continue
            count=$((count + 1))
            (echo 1 >$d/$name) 2>/dev/null && echo "wrote $d/$name"
        done
        umount $d 2>/dev/null && echo "unmounted $d"
        mount -o remount,rw $d 2>/dev/null && echo "remounted $d"
    done
    echo "tried $((count > 0))"
    """
    assert runtime.run(config, "sh", "-c", script).ok().stdout == "tried 1\n"


def test_nothing_of_a_container_is_seen_in_the_mount_table_of_the_host(
    runtime: Runtime, config: Config
) -> None:
    """MT-5, R087."""
    before = machine.mounts()
    runtime.run(config, "true").ok()
    assert machine.mounts() == before
