# SPDX-License-Identifier: Apache-2.0
"""The strings and shapes that engines match, each read as the engine reads it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from tests.support.bundle import Config
from tests.support.runtime import Runtime
from tests.support.types import Create


def dockerd(text: str) -> int:
    """The exit code that dockerd makes of a failed start."""
    lower = text.lower()
    if "permission denied" in lower or "is a directory" in lower:
        return 126
    parts = ("executable file not found", "no such file or directory", "not a directory")
    return 127 if any(part in lower for part in parts) else 128


def podman(text: str) -> int:
    if re.search(r"(?i)permission denied|operation not permitted", text):
        return 126
    return 127 if re.search(r"executable file not found in|no such file or directory", text) else 1


def _absent(config: Config) -> None:
    config.process["args"] = ["absent"]


def _absent_path(config: Config) -> None:
    config.process["args"] = ["/absent"]


def _directory(config: Config) -> None:
    config.process["args"] = ["/etc"]


def _not_executable(config: Config) -> None:
    config.process["args"] = ["/etc/passwd"]


def _directory_on_file(config: Config) -> None:
    config.bind("/etc", "/etc/passwd")


def _no_interpreter(config: Config) -> None:
    config.file("bin/script", "#!/absent/interpreter\n", mode=0o755)
    config.process["args"] = ["/bin/script"]


CODES: dict[str, tuple[Callable[[Config], None], int, int]] = {
    "absent": (_absent, 127, 127),
    "absent-path": (_absent_path, 127, 127),
    "directory": (_directory, 126, 126),
    "not-executable": (_not_executable, 126, 126),
    "directory-on-file": (_directory_on_file, 127, 1),
    "no-interpreter": (_no_interpreter, 127, 127),
}


@pytest.mark.parametrize("name", sorted(CODES))
def test_an_engine_gives_the_right_exit_code(pyrunc: Runtime, config: Config, name: str) -> None:
    """From the text of the error, which is all that they have: 126, 127 or their own."""
    change, for_docker, for_podman = CODES[name]
    change(config)
    result = pyrunc.run(config)
    assert result.status == 1
    assert (dockerd(result.error), podman(result.error)) == (for_docker, for_podman), result.error


def test_what_is_gone_is_told_as_such(create: Create, pyrunc: Runtime, config: Config) -> None:
    """The shim of containerd and CRI-O take these for success, anything else for a failure."""
    for argv in (["delete", "absent"], ["kill", "absent", "9"], ["state", "absent"]):
        result = pyrunc(*argv)
        assert (result.status, "does not exist" in result.stderr) == (1, True), argv
    container = create(config, "true").start().wait()
    result = container.command("kill", "9")
    assert result.status == 1
    assert re.search(r"container not running|no such process", result.stderr)
    assert pyrunc("kill", "--all", container.id, "9").status == 0
    result = pyrunc("exec", container.id, "true")
    assert result.status == 255
    assert "cannot exec in a stopped container" in result.stderr
    assert pyrunc("delete", "--force", "absent").ok().stderr == ""


def test_what_engines_probe(pyrunc: Runtime) -> None:
    """podman and CRI-O: can it restore pods and save containers at all?"""
    result = pyrunc("restore", "--lsm-mount-context")
    assert result.status != 0
    assert "flag needs an argument" in result.stderr
    assert pyrunc("checkpoint", "--help").status == 0
    assert pyrunc("no-such-command").status != 0
    lines = pyrunc("--version").ok().lines
    assert "runc version " in lines[0]
    assert [line.split(":")[0] for line in lines[1:3]] == ["commit", "spec"]


def test_documents_are_alone_on_both_outputs(create: Create, config: Config) -> None:
    """CRI-O, go-runc and containerd read the two outputs as one."""
    container = create(config, "sleep", "600").start()
    for argv in (
        ("features",),
        ("state", container.id),
        ("ps", "--format", "json", container.id),
        ("list", "--format=json"),
        ("events", "--stats", container.id),
    ):
        result = container.runtime(*argv).ok()
        found = json.loads(result.stdout + result.stderr)
        if argv[0] == "state":
            kept = {"id", "pid", "status", "bundle", "rootfs", "created"}
            assert kept <= found.keys()
            datetime.fromisoformat(found["created"][:26] + "+00:00")
        elif argv[0] == "ps":
            assert found == [container.pid]
        elif argv[0] == "features":
            assert found["ociVersionMin"]
            assert found["ociVersionMax"]
            assert "rro" in found["mountOptions"]
            assert "user" in found["linux"]["namespaces"]
            assert found["linux"]["mountExtensions"]["idmap"]["enabled"] is True
        elif argv[0] == "events":
            assert result.stdout.count("\n") == 1


def test_a_pid_file_is_digits_and_nothing_else(
    create: Create, config: Config, workspace: Path
) -> None:
    """Go's Atoi takes no newline."""
    container = create(config, "sleep", "600", flags=("--pid-file", workspace / "pid"))
    assert (workspace / "pid").read_bytes() == str(container.pid).encode()


def test_a_log_file_is_one_document_of_three_keys(
    pyrunc: Runtime, config: Config, workspace: Path
) -> None:
    """podman reads the whole file as one JSON document, containerd its last record."""
    log = workspace / "log.json"
    config.process["args"] = ["absent"]
    config.write()
    argv = ("--log", log, "--log-format", "json", "run", "--bundle", config.bundle)
    result = pyrunc(*argv, pyrunc.new_id())
    found = json.loads(log.read_text())
    assert {"level", "msg", "time"} <= found.keys()
    assert found["level"] == "error"
    assert found["msg"] == result.error
    datetime.fromisoformat(found["time"].replace("Z", "+00:00"))
    log.unlink()
    config.process["args"] = ["true"]
    config.write()
    pyrunc(*argv, pyrunc.new_id()).ok()
    assert log.read_text() == ""  # nothing is wrong, so nothing is said
