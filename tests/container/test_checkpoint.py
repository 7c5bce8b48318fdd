# SPDX-License-Identifier: Apache-2.0
"""A restored container is what it was: its mounts, its limits, its filter. And when it cannot be
saved or restored, the error says why, and nothing is left.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

from tests.support import machine
from tests.support.bundle import Config
from tests.support.criu import (
    Saving,
    again,
    again_with_its_numbers,
    counted,
    counter,
    goes_on,
    inside,
    numbers,
)
from tests.support.runtime import Container, Runtime
from tests.support.types import Create
from tests.support.wait import until

MS_BIND = 4096
MS_SHARED = 1 << 20
KILLS = 12


def mounts(container: Container) -> list[str]:
    """Place, options and type of every mount, as the container sees them."""
    lines = inside(container, "cat", "/proc/self/mountinfo").splitlines()
    found = []
    for line in lines:
        before, _, after = line.partition(" - ")
        fields = before.split()
        found.append(f"{fields[4]} {fields[5]} {after.split()[0]}")
    return sorted(found)


# -- what it was -----------------------------------------------------------------------------------


def test_mounts_are_as_they_were(saving: Saving, config: Config, workspace: Path) -> None:
    """Binds show what the host has, with their options; what was hidden is hidden again."""
    for name in ("plain", "readonly", "below"):
        (workspace / name).mkdir()
        (workspace / name / "file").write_text(name)
    (workspace / "single").write_text("single")
    config.bind(workspace / "plain", "/mnt/plain")
    config.bind(workspace / "readonly", "/mnt/readonly", "bind", "ro", "nosuid", "nodev")
    config.bind(workspace / "below", "/mnt/plain/below")
    config.bind(workspace / "single", "/etc/single", "bind", "ro")
    config.mount("/scratch", "tmpfs", "tmpfs", "size=1m", "noexec")
    config.linux["maskedPaths"] = ["/proc/kcore", "/sys/firmware", "/proc/keys"]
    config.linux["readonlyPaths"] = ["/proc/sys", "/proc/bus"]
    container = saving.begin(config, *counter())
    inside(container, "sh", "-c", "echo kept > /scratch/file")
    before = mounts(container)
    again(saving, container)
    assert mounts(container) == before
    (workspace / "plain/new").write_text("new")
    assert inside(container, "cat", "/mnt/plain/new") == "new"
    assert inside(container, "cat", "/mnt/plain/below/file") == "below"
    assert inside(container, "cat", "/etc/single", "/scratch/file") == "singlekept\n"
    refused = container.command("exec", "sh", "-c", "echo x > /mnt/readonly/x")
    assert "Read-only file system" in refused.stderr
    assert container.command("exec", "sh", "-c", "echo x > /proc/sys/vm/swappiness").status
    assert inside(container, "cat", "/proc/keys") == ""


def test_a_read_only_root_is_read_only_again(
    saving: Saving, config: Config, workspace: Path
) -> None:
    (workspace / "shared").mkdir()
    config["root"]["readonly"] = True
    config.bind(workspace / "shared", "/tmp")
    container = saving.begin(config, *counter())
    found = workspace / "shared/count"
    until(lambda: len(counted(found)) > 3, "it counts")
    saving.save(container).ok()
    before = len(counted(found))
    saving.restore(container).ok()
    until(lambda: len(counted(found)) > before, "it counts on")
    refused = container.command("exec", "sh", "-c", "echo x > /file")
    assert "Read-only file system" in refused.stderr
    assert not (config.rootfs / "file").exists()


@pytest.mark.parametrize("how", ["rslave", "rshared", "rprivate"])
def test_propagation_is_as_it_was(
    saving: Saving, config: Config, workspace: Path, how: str
) -> None:
    """A volume whose later mounts the container shall see."""
    volume, other = workspace / "volume", workspace / "other"
    (volume / "sub").mkdir(parents=True)
    other.mkdir()
    (other / "file").write_text("deep")
    machine.mount(str(volume), volume, flags=MS_BIND)
    machine.mount("none", volume, flags=MS_SHARED)
    try:
        config.bind(volume, "/mnt/volume", "rbind", how)
        container = saving.begin(config, *counter())
        again(saving, container)
        machine.mount(str(other), volume / "sub", flags=MS_BIND)
        listed = inside(container, "ls", "/mnt/volume/sub").split()
        machine.unmount(volume / "sub")
        assert listed == ([] if how == "rprivate" else ["file"])
        container.delete().ok()
    finally:
        machine.unmount(volume)


def test_a_notification_socket_does_not_keep_it(
    pyrunc: Runtime, saving: Saving, config: Config, workspace: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Its directory is in the state of the first container, which is gone."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(workspace / "manager.sock"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(workspace / "manager.sock"))
        config.process["args"] = list(counter())
        config.write()
        container = Container(pyrunc, pyrunc.new_id(), config)
        saving.made.append(container)
        container.create()
        monkeypatch.delenv("NOTIFY_SOCKET")
        container.start()
        until(lambda: len(numbers(container)) > 3, "it counts")
        saving.save(container).ok()
        saving.restore(container, output=True).ok()
        goes_on(container)


def test_what_a_recursive_bind_has_brought_is_bound_again(
    saving: Saving, config: Config, workspace: Path
) -> None:
    outer, other = workspace / "outer", workspace / "other"
    (outer / "sub").mkdir(parents=True)
    other.mkdir()
    (other / "file").write_text("deep")
    machine.mount(str(other), outer / "sub", flags=MS_BIND)
    try:
        config.bind(outer, "/mnt/outer", "rbind")
        container = saving.begin(config, *counter())
        again(saving, container)
        assert inside(container, "cat", "/mnt/outer/sub/file") == "deep"
        container.delete().ok()
    finally:
        machine.unmount(outer / "sub")


def test_mount_points_are_made_in_a_fresh_root_file_system(
    saving: Saving, config: Config, workspace: Path
) -> None:
    """After a migration: only the image is there."""
    (workspace / "outer").mkdir()
    (workspace / "inner").mkdir()
    config.bind(workspace / "outer", "/new/outer")
    config.bind(workspace / "inner", "/new/outer/inner")
    container = saving.begin(config, *counter("/dev/shm/count"))
    until(lambda: inside(container, "cat", "/dev/shm/count").count("\n") > 3, "it counts")
    saving.save(container).ok()
    for path in (config.rootfs / "new/outer", config.rootfs / "new", workspace / "outer/inner"):
        path.rmdir()
    saving.restore(container).ok()
    before = inside(container, "cat", "/dev/shm/count")
    until(lambda: len(inside(container, "cat", "/dev/shm/count")) > len(before), "it goes on")
    assert (workspace / "outer/inner").is_dir()


def test_a_link_of_the_image_leads_no_mount_out(
    pyrunc: Runtime, saving: Saving, config: Config, workspace: Path
) -> None:
    config.bind(workspace, "/mnt/place")
    container = saving.begin(config, *counter())
    until(lambda: len(numbers(container)) > 3, "it counts")
    saving.save(container).ok()
    (config.rootfs / "mnt/place").rmdir()
    victim = workspace / "victim"
    (config.rootfs / "mnt/place").symlink_to(victim / "made")
    saving.restore(container)
    assert not victim.exists()


def test_images_say_nothing_about_paths_of_the_host(
    pyrunc: Runtime, saving: Saving, config: Config, workspace: Path
) -> None:
    """CK-1: the same images with another configuration show what that says."""
    for name in ("first", "second"):
        (workspace / name).mkdir()
        (workspace / name / "file").write_text(name)
    config.bind(workspace / "first", "/mnt/place")
    container = saving.begin(config, *counter())
    until(lambda: len(numbers(container)) > 3, "it counts")
    saving.save(container).ok()
    config["mounts"][-1]["source"] = str(workspace / "second")
    config.write()
    saving.restore(container).ok()
    assert inside(container, "cat", "/mnt/place/file") == "second"
    container.delete().ok()
    config["mounts"].pop()
    config.write()
    refused = saving.restore(container)
    assert refused.status == 1
    assert "No mapping" in refused.error


@pytest.mark.parametrize("own", [True, False], ids=["cgroup namespace", "none"])
def test_cgroup_mounts_are_there_again(saving: Saving, config: Config, own: bool) -> None:
    if not own:
        config.without_namespace("cgroup")
    options = ("ro", "nosuid", "noexec", "nodev")
    config.mount("/sys/fs/cgroup", "cgroup", "cgroup", *options)
    container = saving.begin(config, *counter())
    before = mounts(container)
    again(saving, container)
    assert mounts(container) == before
    listed = inside(container, "sh", "-c", "cat /sys/fs/cgroup/pids/cgroup.procs 2>/dev/null || "
                    "cat /sys/fs/cgroup/cgroup.procs")  # fmt: skip
    assert "1" in listed.split()


def test_a_container_may_share_what_it_likes(saving: Saving, config: Config) -> None:
    """It gets the process numbers that it had, which must be free."""
    config.linux["namespaces"] = [{"type": "mount"}]
    del config["hostname"]
    container = saving.begin(config, *counter())
    again_with_its_numbers(saving, container)


def test_a_pid_file_that_cannot_be_written_undoes_the_restore(
    pyrunc: Runtime, saving: Saving, counting: Container
) -> None:
    saving.save(counting).ok()
    result = saving.restore(counting, "--pid-file", "/absent/pid")
    assert "cannot write the pid file" in result.error
    assert "does not exist" in counting.command("state").stderr


def test_limits_are_in_force_again(saving: Saving, config: Config) -> None:
    config.linux["resources"] = {"pids": {"limit": 17}, "memory": {"limit": 64 << 20}}
    config.process["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 100}]
    container = saving.begin(config, *counter())
    again(saving, container)
    lines = Path(f"/proc/{container.pid}/cgroup").read_text().splitlines()
    assert any(line.endswith(f"/{container.id}") for line in lines)
    assert container.command("update", "--pids-limit", "18").status == 0
    stats = json.loads(container.command("events", "--stats").ok().stdout)["data"]
    assert stats["pids"]["limit"] == 18
    assert stats["memory"]["usage"]["limit"] == 64 << 20
    limits = Path(f"/proc/{container.pid}/limits").read_text()
    assert next(line for line in limits.splitlines() if "open files" in line).split()[3] == "100"
    container.command("pause").ok()
    assert container.state()["status"] == "paused"
    container.command("resume").ok()


@pytest.mark.parametrize("mode", ["soft", "full", "strict", "ignore"])
@pytest.mark.feature("2.96 --manage-cgroups-mode")
def test_every_way_to_handle_cgroups_ends_in_the_containers_own(
    saving: Saving, config: Config, mode: str
) -> None:
    container = saving.begin(config, *counter())
    until(lambda: len(numbers(container)) > 3, "it counts")
    saving.save(container, "--manage-cgroups-mode", mode).ok()
    saving.restore(container, "--manage-cgroups-mode", mode).ok()
    goes_on(container)
    lines = Path(f"/proc/{container.pid}/cgroup").read_text().splitlines()
    assert any(line.endswith(f"/{container.id}") for line in lines)


def test_rights_are_no_more_than_they_were(saving: Saving, config: Config, probe: Path) -> None:
    config.bind(probe, "/probe")
    config.linux["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "errnoRet": 5}],
    }
    container = saving.begin(config, *counter())

    def rights() -> list[str]:
        lines = Path(f"/proc/{container.pid}/status").read_text().splitlines()
        wanted = ("Cap", "Uid", "Gid", "Groups", "NoNewPrivs", "Seccomp:", "Umask")
        return [line for line in lines if line.startswith(wanted)]

    before = rights()
    again(saving, container)
    assert rights() == before
    assert "Seccomp:\t2" in rights()


def test_the_keys_of_the_caller_do_not_come_along(
    pyrunc: Runtime, saving: Saving, config: Config, probe: Path
) -> None:
    """CRIU restores no keyrings: a process would inherit what CRIU has."""
    config.bind(probe, "/probe")
    config.process["noNewPrivileges"] = False
    script = "while :; do /probe keyring >> /tmp/count; sleep 0.02; done"
    container = saving.begin(config, "sh", "-c", script)
    until(lambda: len(numbers(container)) > 3, "it has looked")
    saving.save(container).ok()
    before = len(numbers(container))
    saving.restore(container).ok()
    until(lambda: len(numbers(container)) > before + 3, "it has looked again")
    mine = subprocess.run([probe, "keyring"], capture_output=True, text=True, check=True).stdout
    assert numbers(container)[-1] != int(mine)


def test_a_paused_container_can_be_saved(saving: Saving, config: Config) -> None:
    container = saving.begin(config, *counter())
    until(lambda: len(numbers(container)) > 3, "it counts")
    container.command("pause").ok()
    saving.save(container).ok()
    assert "does not exist" in container.command("state").stderr
    saving.restore(container).ok()
    goes_on(container)


def test_a_container_is_saved_again_and_again(saving: Saving, config: Config) -> None:
    container = saving.begin(config, *counter())
    for _ in range(3):
        again(saving, container)


def test_exec_has_the_clock_of_the_container(saving: Saving, config: Config) -> None:
    """CRIU puts what it restores into a time namespace, so that no clock goes back."""
    container = saving.begin(config, *counter())
    again(saving, container)
    links = inside(
        container, "sh", "-c", "readlink /proc/1/ns/time; readlink /proc/self/ns/time"
    ).split()
    assert links[0] == links[1]


def test_hooks_that_make_a_network_run_again(saving: Saving, config: Config) -> None:
    for kind in ("prestart", "createRuntime", "poststop"):
        script = f"echo {kind} >> {config.bundle}/hooks"
        config.hook(kind, "/bin/sh", "-c", script)
    container = saving.begin(config, *counter())
    again(saving, container)
    container.delete().ok()
    ran = (config.bundle / "hooks").read_text().split()
    assert ran == ["prestart", "createRuntime", "poststop"] * 2


# -- errors ----------------------------------------------------------------------------------------


def test_only_root_saves_and_restores(pyrunc: Runtime, workspace: Path) -> None:
    prefix = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    state = workspace / "nobody"
    state.mkdir(mode=0o700)
    os.chown(state, 65534, 65534)
    for verb in ("checkpoint", "restore"):
        result = Runtime(pyrunc.program, state)(verb, "web", prefix=prefix)
        assert result.status == 1
        assert f"{verb} needs root" in result.error


def test_only_a_running_container_is_saved(
    pyrunc: Runtime, saving: Saving, create: Create, config: Config
) -> None:
    container = create(config, "sleep", "600")
    assert "created state" in saving.save(container).error
    container.start().command("kill", "KILL").ok()
    container.wait()
    assert "container not running" in saving.save(container).error


def test_without_criu_the_error_says_so(
    pyrunc: Runtime, saving: Saving, counting: Container, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/absent")
    result = saving.save(counting)
    assert "executable file not found in $PATH" in result.error
    assert "install CRIU" in result.stderr
    enabled = "org.pyrunc.checkpoint.enabled"
    assert json.loads(pyrunc("features").ok().stdout)["annotations"][enabled] == "false"
    monkeypatch.undo()
    goes_on(counting)


def test_features_tell_that_criu_is_there(pyrunc: Runtime, criu: Path) -> None:
    annotations = json.loads(pyrunc("features").ok().stdout)["annotations"]
    assert annotations["org.pyrunc.checkpoint.enabled"] == "true"
    assert annotations["org.opencontainers.runc.checkpoint.enabled"] == "true"


def test_a_criu_that_others_can_change_is_not_run(
    pyrunc: Runtime, saving: Saving, counting: Container, workspace: Path, criu: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    fake = workspace / "bin/criu"
    fake.parent.mkdir()
    shutil.copy(criu, fake)
    fake.chmod(0o777)
    monkeypatch.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")
    assert "can be changed by others" in saving.save(counting).error


@pytest.mark.parametrize("verb", ["checkpoint", "restore"])
def test_a_directory_of_images_that_others_can_write_to_is_refused(
    pyrunc: Runtime, saving: Saving, counting: Container, verb: str
) -> None:
    """CK-1: what is in it becomes processes of root."""
    if verb == "restore":
        saving.save(counting).ok()
    else:
        saving.images.mkdir()
    saving.images.chmod(0o777)
    result = saving.save(counting) if verb == "checkpoint" else saving.restore(counting)
    assert result.status == 1
    assert "writable by nobody else" in result.error


def test_flags_that_cannot_be_meant_are_refused(
    pyrunc: Runtime, saving: Saving, counting: Container
) -> None:
    for flags, text in (
        (("--parent-path", "/absolute"), "must be relative"),
        (("--parent-path", "absent"), "invalid --parent-path absent: no such file or directory"),
        (("--page-server", "localhost"), "ADDRESS:PORT"),
        (("--lazy-pages",), "needs --page-server"),
        (("--status-fd", "1"), "needs --lazy-pages"),
        (("--manage-cgroups-mode", "none"), "must be one of soft"),
    ):
        result = saving.save(counting, *flags)
        assert result.status == 1
        assert text in result.stderr
    goes_on(counting)


def test_memory_that_the_kernel_cannot_track_is_an_error(
    pyrunc: Runtime, saving: Saving, counting: Container, criu: Path
) -> None:
    done = subprocess.run([criu, "check", "--feature", "mem_dirty_track"], check=False)
    if done.returncode == 0:
        pytest.skip("needs a kernel without CONFIG_MEM_SOFT_DIRTY")
    result = saving.save(counting, "--pre-dump")
    assert result.status == 1
    assert "CONFIG_MEM_SOFT_DIRTY" in result.stderr
    goes_on(counting)


def test_a_container_without_a_mount_namespace_is_refused(
    pyrunc: Runtime, saving: Saving, config: Config
) -> None:
    config.without_namespace("mount")
    config["mounts"] = []
    container = saving.begin(config, *counter())
    assert "without a mount namespace" in saving.save(container).error
    goes_on(container)


def test_an_id_mapped_mount_is_refused(
    pyrunc: Runtime, saving: Saving, config: Config, workspace: Path
) -> None:
    """It would come back with other owners."""
    (workspace / "mapped").mkdir()
    mapping = [{"containerID": 0, "hostID": 5000, "size": 10}]
    config.bind(workspace / "mapped", "/mnt/mapped")
    config["mounts"][-1].update(uidMappings=mapping, gidMappings=mapping)
    config.write()
    config.process["args"] = list(counter())
    config.write()
    container = Container(pyrunc, pyrunc.new_id(), config)
    saving.made.append(container)
    started = pyrunc("run", "--detach", "--bundle", config.bundle, container.id)
    if "id-mapped" in started.stderr:
        pytest.skip("this file system cannot be id-mapped")
    started.ok()
    assert "id-mapped mount /mnt/mapped" in saving.save(container).error
    goes_on(container)


def test_a_restore_that_fails_leaves_nothing(
    pyrunc: Runtime, saving: Saving, counting: Container
) -> None:
    saving.save(counting).ok()
    core = next(saving.images.glob("core-1.img"))
    core.write_bytes(core.read_bytes()[:100])
    result = saving.restore(counting)
    assert result.status == 1
    assert "criu cannot restore" in result.error
    assert str(saving.images / "restore.log") in result.stderr
    assert "does not exist" in counting.command("state").stderr


def test_a_hook_that_fails_undoes_the_restore(
    pyrunc: Runtime, saving: Saving, counting: Container
) -> None:
    saving.save(counting).ok()
    counting.config.hook("createRuntime", "/bin/false")
    counting.config.write()
    result = saving.restore(counting)
    assert result.status == 1
    assert "createRuntime hook #0" in result.error
    assert "does not exist" in counting.command("state").stderr


def test_the_name_of_a_container_that_is_there_is_refused(
    pyrunc: Runtime, saving: Saving, counting: Container
) -> None:
    saving.save(counting, "--leave-running").ok()
    assert "already exists" in saving.restore(counting).error
    goes_on(counting)


def test_a_checkpoint_killed_at_random_moments_leaves_the_container(
    pyrunc: Runtime, saving: Saving, counting: Container
) -> None:
    """Criu lets go of the processes when it finds that nobody listens any more."""
    null = subprocess.DEVNULL
    chance = random.Random(12)
    killed = 0
    for number in range(KILLS):
        images = saving.images.with_name(f"images{number}")
        flags = ("--leave-running", "--image-path", images)
        argv = pyrunc.argv("checkpoint", *flags, counting.id)
        with subprocess.Popen(argv, stdin=null, stdout=null, stderr=null) as child:
            time.sleep(chance.random() * 0.5)
            child.kill()
            killed += child.wait() != 0
        goes_on(counting)
        until(lambda: counting.state()["status"] == "running", "it is let go")
    assert killed
    saving.save(counting).ok()
    saving.restore(counting).ok()
    goes_on(counting)


def test_a_restore_killed_at_random_moments_leaves_nothing(
    pyrunc: Runtime, saving: Saving, counting: Container
) -> None:
    """Criu ends with us, and what it has brought back is found by its cgroup."""
    saving.save(counting).ok()
    flags = ("--detach", "--bundle", counting.config.bundle, "--image-path", saving.images)
    null = subprocess.DEVNULL
    chance = random.Random(11)
    killed = 0
    for _ in range(KILLS):
        argv = pyrunc.argv("restore", *flags, counting.id)
        with subprocess.Popen(argv, stdin=null, stdout=null, stderr=null) as child:
            time.sleep(chance.random() * 0.7)
            child.kill()
            killed += child.wait() != 0
        result = pyrunc("delete", "--force", counting.id).ok()
        assert result.stderr == ""
        assert not (pyrunc.root / counting.id).exists()
    assert killed
    before = len(numbers(counting))
    saving.restore(counting).ok()
    until(lambda: len(numbers(counting)) > before + 3, "it counts on")
