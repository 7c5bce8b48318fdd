# SPDX-License-Identifier: Apache-2.0
"""How many system calls a command makes, its init included: no load changes that."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.bundle import Config
from tests.support.runtime import Runtime
from tests.support.wait import until

# Upper bounds with a small bundle, some 5 % above what is measured: of a command, and more for each
# cgroup hierarchy of the host.
MOST = {
    "create": (440, 8),
    "state": (34, 0),
    "start": (46, 0),
    "exec": (260, 4),
    "kill": (37, 0),
    "delete": (50, 2),
}
SIZES = (20, 40, 80)


@pytest.fixture(autouse=True)
def _only_the_binary(pyrunc: Runtime) -> None:
    if pyrunc.program.name != "pyrunc":
        pytest.skip("the bounds are those of the program with the saved heap")
    if not shutil.which("strace"):
        pytest.skip("the Debian package strace is missing")


def count(pyrunc: Runtime, trace: Path, *words: str | Path) -> int:
    """Calls of all processes of a command until it ends; a container goes on untraced."""
    argv = ["strace", "-f", "-q", "-o", str(trace), *pyrunc.argv(*words)]
    null = subprocess.DEVNULL

    def text() -> str:
        return trace.read_text(errors="replace") if trace.exists() else ""

    def ended() -> bool:
        first = re.match(r"\d+", text())
        return first is not None and f"{first[0]} +++ exited with 0 +++" in re.sub(
            r" +", " ", text()
        )

    with subprocess.Popen(argv, stdin=null, stdout=null, stderr=null) as tracer:
        try:
            until(ended, f"the end of {words[0]}")
        finally:
            tracer.kill()
    calls = re.findall(r"^\d+ +\w+\(", text(), re.MULTILINE)
    trace.unlink()
    return len(calls)


def most(verb: str) -> int:
    mounts = Path("/proc/self/mountinfo").read_text()
    hierarchies = len(re.findall(r" - cgroup2? ", mounts))
    calls, each = MOST[verb]
    return calls + each * hierarchies


def test_a_command_makes_no_more_calls_than_its_bound(
    pyrunc: Runtime, config: Config, tmp_path: Path
) -> None:
    config.process["args"] = ["sleep", "600"]
    config.write()
    name = pyrunc.new_id()
    trace = tmp_path / "trace"
    found = {"create": count(pyrunc, trace, "create", "--bundle", config.bundle, name)}
    for verb in ("state", "start"):
        found[verb] = count(pyrunc, trace, verb, name)
    found["exec"] = count(pyrunc, trace, "exec", name, "/bin/true")
    found["kill"] = count(pyrunc, trace, "kill", name, "KILL")
    until(lambda: '"stopped"' in pyrunc("state", name).ok().stdout, "the end of the container")
    found["delete"] = count(pyrunc, trace, "delete", name)
    assert {verb: n for verb, n in found.items() if n > most(verb)} == {}


def add_others(pyrunc: Runtime, name: str, size: int) -> None:
    """Give the state root as many containers more, which share the process of one."""
    own = pyrunc.root / name
    for number in range(size):
        other = pyrunc.root / f"other{number}"
        if other.exists():
            continue
        other.mkdir()
        for file in ("config.json", "intents"):
            shutil.copyfile(own / file, other / file)
        state = json.loads((own / "state.json").read_text())
        (other / "state.json").write_text(json.dumps({**state, "id": other.name}))


def test_commands_do_not_grow_with_the_number_of_other_containers(
    pyrunc: Runtime, config: Config, tmp_path: Path
) -> None:
    config.process["args"] = ["sleep", "600"]
    config.write()
    name = pyrunc.new_id()
    trace = tmp_path / "trace"
    pyrunc("create", "--bundle", config.bundle, name).ok()
    found = []
    for size in (10, 200):
        add_others(pyrunc, name, size)
        other = pyrunc.new_id()
        calls = {"create": count(pyrunc, trace, "create", "--bundle", config.bundle, other)}
        for verb in ("state", "start"):
            calls[verb] = count(pyrunc, trace, verb, other)
        calls["kill"] = count(pyrunc, trace, "kill", other, "KILL")
        until(lambda: '"stopped"' in pyrunc("state", other).ok().stdout, "the end")  # noqa: B023
        calls["delete"] = count(pyrunc, trace, "delete", other)
        calls["list -q"] = count(pyrunc, trace, "list", "-q")
        calls["list"] = count(pyrunc, trace, "list")
        found.append(calls)
    more = {verb: found[1][verb] - calls for verb, calls in found[0].items()}
    for number in range(200):
        shutil.rmtree(pyrunc.root / f"other{number}")
    pyrunc("delete", "--force", name).ok()
    # A listing looks at each: whether there is a state, or at state, process and freezer.
    assert 190 <= more.pop("list -q") <= 200
    assert more.pop("list") <= 18 * 190
    # A cgroup that is busy for a moment is tried again.
    assert {verb: calls for verb, calls in more.items() if calls > 10} == {}


def binds(config: Config, size: int) -> None:
    for number in range(size):
        config.bind("/etc/passwd", f"/mnt/file{number}", "ro")


def rules(config: Config, size: int) -> None:
    resources: dict[str, Any] = config.linux.setdefault("resources", {})
    resources["devices"] = [{"allow": False, "access": "rwm"}] + [
        {"allow": True, "type": "c", "major": 200, "minor": number, "access": "rw"}
        for number in range(size)
    ]


def variables(config: Config, size: int) -> None:
    config.process["env"] = [f"NAME{number}=value" for number in range(size)]


def remarks(config: Config, size: int) -> None:
    config["annotations"] = {f"org.example.key{number}": "value" for number in range(size)}


@pytest.mark.parametrize(
    ("add", "each"), [(binds, 11), (rules, 2), (variables, 0.5), (remarks, 0.5)]
)
def test_the_calls_of_create_grow_linearly_with_the_configuration(
    pyrunc: Runtime, config: Config, tmp_path: Path, add: Any, each: float
) -> None:
    config.process["args"] = ["sleep", "600"]
    found = []
    plain = {key: config[key] for key in ("mounts", "linux", "process")}
    for size in SIZES:
        config.update({key: value.copy() for key, value in plain.items()})
        add(config, size)
        config.write()
        name = pyrunc.new_id()
        argv = ("create", "--bundle", config.bundle, name)
        found.append(count(pyrunc, tmp_path / "trace", *argv))
        pyrunc("delete", "--force", name).ok()
    small, middle, large = found
    assert large - middle <= each * (SIZES[2] - SIZES[1]), found
    # Twice the items make twice the calls, four times would be quadratic.
    assert large - middle <= 3 * max(0, middle - small) + 20, found
