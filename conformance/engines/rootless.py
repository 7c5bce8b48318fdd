# SPDX-License-Identifier: Apache-2.0
"""Podman as an unprivileged user, with storage of its own and subordinate ids.

Limits, statistics and pauses need cgroups that are the user's own, which systemd gives.
"""

from __future__ import annotations

import os
import pwd
from pathlib import Path

from conformance.engines import podman, podman_client
from conformance.engines.engine import (
    SYSTEMD,
    Unavailable,
    command,
    eventually,
    expect,
    need,
)
from conformance.engines.podman import (
    test_a_missing_program_gives_127,
    test_a_pod_of_kubernetes,
    test_a_program_that_may_not_be_executed_gives_126,
    test_an_init_process,
    test_capabilities_and_security_options,
    test_health_checks,
    test_no_cgroups,
    test_pods_share_namespaces,
    test_read_only_and_tmpfs,
    test_run_prints_and_exits,
    test_stdin_reaches_the_program,
    test_volumes_and_secrets,
)
from conformance.engines.podman_volumes import (
    test_a_file_system_over_a_directory_of_the_host,
    test_a_health_check_that_fails_ends_the_container,
    test_a_volume_is_given_to_the_user,
    test_descriptors_are_kept,
    test_the_mounts_of_systemd,
)

SHARED = (
    test_a_file_system_over_a_directory_of_the_host,
    test_a_health_check_that_fails_ends_the_container,
    test_a_volume_is_given_to_the_user,
    test_descriptors_are_kept,
    test_the_mounts_of_systemd,
    test_a_missing_program_gives_127,
    test_a_pod_of_kubernetes,
    test_a_program_that_may_not_be_executed_gives_126,
    test_an_init_process,
    test_capabilities_and_security_options,
    test_health_checks,
    test_no_cgroups,
    test_pods_share_namespaces,
    test_read_only_and_tmpfs,
    test_run_prints_and_exits,
    test_stdin_reaches_the_program,
    test_volumes_and_secrets,
)


class Rootless(podman_client.Podman):
    """The client of a user that lives as long as the suite."""

    NAME = "rootless"
    groups = ()

    def __init__(self, directory: Path, runtime: str):
        need("newuidmap", "runuser", "useradd")
        self.user = f"pr{os.getpid()}"
        home = ("--no-create-home", "--home-dir", str(directory))
        command("useradd", *home, "--groups", "users", self.user).ok()
        command("chown", f"{self.user}:", str(directory)).ok()
        if SYSTEMD:
            command("loginctl", "enable-linger", self.user).ok()
            self.runtime_directory = Path(f"/run/user/{pwd.getpwnam(self.user).pw_uid}")
            bus = self.runtime_directory / "bus"
            eventually(bus.exists, f"no {bus}")
        else:
            self.runtime_directory = directory / "xdg"
            command("install", "-d", "-m", "700", "-o", self.user, str(directory / "xdg")).ok()
        self.become = ("runuser", "-u", self.user, "--")
        self.environment = {
            "XDG_RUNTIME_DIR": str(self.runtime_directory),
            "DBUS_SESSION_BUS_ADDRESS": f"unix:path={self.runtime_directory}/bus",
            "HOME": str(directory),
        }
        super().__init__(directory, runtime)

    def stop(self) -> None:
        super().stop()
        # The pause process keeps the user namespace; it is the last of this user.
        self.podman("system", "migrate")
        if SYSTEMD:
            command("loginctl", "disable-linger", self.user)
            command("systemctl", "stop", f"user@{pwd.getpwnam(self.user).pw_uid}.service")
        pids = command("pgrep", "-u", self.user).output.split()
        for pid in pids:
            os.kill(int(pid), 15)
        eventually(lambda: not command("pgrep", "-u", self.user).output, "processes stay")
        command("userdel", self.user).ok()


def test_the_root_of_a_container_is_the_user(engine: Rootless) -> None:
    outcome = engine.run("bb:1", "sh", "-c", "id -u; cat /proc/self/uid_map").ok()
    lines = outcome.lines()
    expect(lines[0] == "0" and len(lines) == 3, outcome.output)


def test_keep_id(engine: Rootless) -> None:
    outcome = engine.run("--userns", "keep-id", "bb:1", "id", "-u").ok()
    expect(outcome.text not in ("", "0"), outcome.output)


def test_keep_id_of_another_name(engine: Rootless) -> None:
    options = ("--userns", "keep-id:uid=1000,gid=1000")
    outcome = engine.run(
        *options, "bb:1", "sh", "-c", "id -u; id -g; touch /tmp/x && stat -c %u /tmp/x"
    )
    expect(outcome.ok().output.split() == ["1000"] * 3, outcome.output)


def test_groups_of_the_user_are_kept(engine: Rootless) -> None:
    """Podman asks for it by an annotation that was crun's; unmapped groups are seen as 65534."""
    outcome = engine.run("--group-add", "keep-groups", "bb:1", "id", "-G").ok()
    expect("65534" in outcome.output.split(), outcome.output)


def test_life_and_exec(engine: Rootless) -> None:
    engine.start("a")
    outcome = engine.podman("exec", "a", "sh", "-c", "echo out; exit 5").exited(5)
    expect(outcome.text == "out", outcome.output)
    engine.podman("exec", "a", "/absent").exited(127)
    engine.podman("kill", "-s", "KILL", "a").ok()
    expect(engine.podman("wait", "a").ok().text == "137", "not the status of the signal")
    engine.podman("start", "a").ok()
    engine.remove("a")


def test_terminals(engine: Rootless) -> None:
    outcome = engine.run("-t", "bb:1", "tty").ok()
    expect("/dev/pts/" in outcome.output or "/dev/console" in outcome.output, outcome.output)
    engine.start("a")
    expect("/dev/pts/" in engine.podman("exec", "-t", "a", "tty").ok().output, "no terminal")
    engine.remove("a")


def test_limits_statistics_and_pauses(engine: Rootless) -> None:
    if not SYSTEMD:
        raise Unavailable("systemd, which gives a user cgroups")
    podman.test_limits_of_memory_and_processes(engine)
    podman.test_pause_and_resume(engine)
    podman.test_stats(engine)


def test_the_host_network(engine: Rootless) -> None:
    outcome = engine.run("bb:1", "readlink", "/proc/self/ns/net", network="host").ok()
    expect(outcome.text == os.readlink("/proc/self/ns/net"), outcome.output)


SMOKE = (test_run_prints_and_exits, test_life_and_exec)
