# SPDX-License-Identifier: Apache-2.0
"""Podman below systemd's units: the command lines that Quadlet makes of them."""

from __future__ import annotations

import os
import re
import shlex
import shutil
from pathlib import Path

from conformance.engines.containerd import cgroup_values
from conformance.engines.engine import SYSTEMD, Unavailable, command, eventually, expect
from conformance.engines.podman_client import Podman

GENERATORS = (
    *("/usr/libexec/podman/quadlet", "/usr/lib/podman/quadlet"),
    "/usr/lib/systemd/system-generators/podman-system-generator",
)
SPLIT = "--cgroups=split"  # of the unit's own cgroup, which only systemd makes
UNIT = """[Container]
Image=localhost/bb:1
ContainerName=quadlet
Exec=sh -c 'id -u >/tmp/who; trap "exit 0" TERM; while :; do sleep 0.1; done'
Environment=COLOUR=green "TEXT=two words"
User=1000
Group=1000
ReadOnly=true
ReadOnlyTmpfs=true
Tmpfs=/scratch:size=1m,mode=1777
Volume={volume}:/v:ro
Network=none
HostName=inside
DropCapability=all
NoNewPrivileges=true
PidsLimit=50
Ulimit=nofile=1024:2048
ShmSize=1m
Mask=/home
StopSignal=SIGTERM
StopTimeout=5
HealthCmd=true
HealthInterval=disable
Annotation=org.example.note=kept
LogDriver=k8s-file
{options}

[Service]
Type=notify
"""
SEEN = (
    'echo "$COLOUR $TEXT"; cat /tmp/who; hostname; cat /v/file; echo;'
    " touch /x 2>/dev/null || echo ro; touch /scratch/x && echo rw;"
    " grep -E 'CapEff|NoNewPrivs' /proc/self/status; ulimit -n;"
    " grep -c ' /home ' /proc/self/mountinfo"
)
EXPECTED = [
    *("green two words", "1000", "inside", "content", "ro", "rw", "CapEff:\t0000000000000000"),
    *("NoNewPrivs:\t1", "1024", "1"),
]


def generated(directory: Path) -> list[str]:
    """Return the command line that Quadlet starts the unit in a directory with."""
    named = shutil.which("quadlet")
    found = [path for path in (named, *GENERATORS) if path and os.access(path, os.X_OK)]
    if not found:
        raise Unavailable("a Podman with Quadlet (4.4)")
    env = {"QUADLET_UNIT_DIRS": str(directory)}
    outcome = command(found[0], "-dryrun", "-no-kmsg-log", env=env).ok()
    starts = [line for line in outcome.lines() if line.startswith("ExecStart=")]
    expect(len(starts) == 1, outcome.output + outcome.errors)
    words = shlex.split(starts[0].removeprefix("ExecStart="))
    return [re.sub(r"\\x([0-9a-f]{2})", lambda one: chr(int(one[1], 16)), word) for word in words]


def test_the_command_line_of_a_quadlet(engine: Podman) -> None:
    directory = engine.directory / "units"
    directory.mkdir(exist_ok=True)
    (directory / "file").write_text("content")
    options = "" if SYSTEMD else f"PodmanArgs={' '.join(engine.groups)}"
    unit = UNIT.format(volume=directory, options=options)
    (directory / "quadlet.container").write_text(unit)
    program, verb, *words = generated(directory)
    expect(Path(program).name == "podman" and verb == "run", f"{program} {verb}")
    start = engine.argv(verb, *(word for word in words if SYSTEMD or word != SPLIT))
    service = f"quadlet{os.getpid()}.service"
    try:
        if SYSTEMD:
            in_a_unit(engine, service, start)
        else:
            command(*start, env=engine.environment).ok()
        eventually(
            lambda: engine.podman("exec", "quadlet", "test", "-s", "/tmp/who").status == 0,
            "the program does not run",
        )
        outcome = engine.podman("exec", "quadlet", "sh", "-c", SEEN).ok()
        expect(outcome.lines() == EXPECTED, outcome.output)
        values = cgroup_values(engine.pid("quadlet"))
        expect(values["pids"].strip() == "50", repr(values))
        engine.podman("healthcheck", "run", "quadlet").ok()
        engine.podman("stop", "quadlet").ok()
    finally:
        if SYSTEMD:
            command("systemctl", "stop", service)
            command("systemctl", "reset-failed", service)
    engine.podman("rm", "-f", "-i", "-t", "0", "quadlet").ok()


def in_a_unit(engine: Podman, service: str, argv: tuple[str, ...]) -> None:
    """Start it as systemd does, which is told when the container runs."""
    settings = ("Type=notify", "NotifyAccess=all", "Delegate=yes", "KillMode=mixed")
    properties = [word for one in settings for word in ("-p", one)]
    env = {**engine.environment, "PATH": os.environ["PATH"]}
    variables = [f"--setenv={name}={value}" for name, value in env.items()]
    command("systemd-run", "-q", "--unit", service, *properties, *variables, *argv).ok()
