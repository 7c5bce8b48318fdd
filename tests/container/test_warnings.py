# SPDX-License-Identifier: Apache-2.0
"""What was asked for and is not in force, and yet no error, is told by every command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support import mountinfo
from tests.support.bundle import Config
from tests.support.runtime import Container, Runtime
from tests.support.types import Create

NOTHING = "these options do nothing: 'mode=755,size=1k'"
REMEDY = "set them on the source's own mount, or use the type tmpfs"


@pytest.fixture
def bound(config: Config, workspace: Path) -> Config:
    """Two bind mounts; the second one asks for what no bind has."""
    source = workspace / "source"
    source.mkdir()
    source.chmod(0o711)
    (source / "file").write_text("from the host\n")
    config.bind(source, "/plain")
    config.bind(source, "/mnt", "bind", "mode=755", "ro", "size=1k")
    config.write()
    return config


@pytest.fixture
def logging(pyrunc: Runtime, tmp_path: Path) -> Runtime:
    """pyrunc with a log of JSON records."""
    log = ("--log", str(tmp_path / "log"), "--log-format", "json")
    return Runtime(pyrunc.program, pyrunc.root, log)


def records(runtime: Runtime) -> list[dict[str, Any]]:
    path = Path(runtime.globals[1])
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_data_of_a_bind_mount_is_accepted_with_one_warning(logging: Runtime, bound: Config) -> None:
    script = "cat /mnt/file; stat -c %a /mnt; cat /proc/self/mountinfo"
    result = logging.run(bound, "sh", "-c", script).ok()
    assert result.lines[:2] == ["from the host", "711"]
    assert "ro" in mountinfo.parse("\n".join(result.lines[2:]))["/mnt"].options
    assert result.stderr == ""
    (record,) = records(logging)
    assert record["level"] == "warning"
    pointer = f"/mounts/{len(bound['mounts']) - 1}/options"
    assert record["msg"].startswith(f"{pointer}: a bind mount shows")
    assert NOTHING in record["msg"]
    assert REMEDY in record["msg"]


def test_without_a_log_file_the_warning_is_on_standard_error(
    pyrunc: Runtime, create: Create, bound: Config
) -> None:
    result = pyrunc.run(bound, "true").ok()
    assert result.stderr.count(NOTHING) == 1
    assert "level=warning" in result.error
    quiet = Runtime(pyrunc.program, pyrunc.root, ("--log-level", "error"))
    assert quiet.run(bound, "true").ok().stderr == ""
    create(bound)  # a warning does not keep it from being made


def test_a_create_that_fails_logs_its_error_alone(logging: Runtime, bound: Config) -> None:
    """Podman reads the log of a failure as one JSON document."""
    bound.process["args"] = ["/no/such/program"]
    assert logging.run(bound).status == 1
    assert [record["level"] for record in records(logging)] == ["error"]


def test_check_and_the_plan_tell_of_data_of_a_bind_mount(pyrunc: Runtime, bound: Config) -> None:
    found = json.loads(pyrunc("check", "--format", "json", bound.bundle).ok().stdout)
    pointer = f"/mounts/{len(bound['mounts']) - 1}/options"
    (warning,) = [one for one in found["warnings"] if one["pointer"] == pointer]
    assert warning["value"] == "'mode=755,size=1k'"
    assert warning["hint"] == REMEDY
    explained = pyrunc("explain", bound.bundle).ok().lines
    assert [line for line in explained if NOTHING in line] == [f"warning: {warning['message']}"]


def test_data_of_a_bind_mount_is_told_when_it_is_added(running: Container) -> None:
    mount = {"destination": "/mnt", "source": "/etc", "options": ["bind", "mode=755", "size=1k"]}
    text = json.dumps({"mounts": [mount]})
    result = running.runtime("mounts", "add", running.id, "-", stdin=text).ok()
    assert result.stderr.count("/mounts/0/options: a bind mount shows") == 1
    assert NOTHING in result.stderr
    running.runtime("exec", running.id, "test", "-e", "/mnt/passwd").ok()


def test_capabilities_that_cannot_be_granted_are_logged(logging: Runtime, config: Config) -> None:
    """config.md, Linux Process: a value that cannot be granted MUST be logged as a warning."""
    sets = config.process.setdefault("capabilities", {})
    sets["bounding"] = [*sets.get("bounding", ()), "CAP_OF_A_LATER_KERNEL"]
    logging.run(config, "true").ok()
    found = [record for record in records(logging) if "CAP_OF_A_LATER_KERNEL" in record["msg"]]
    assert [record["level"] for record in found] == ["warning"]


def test_unknown_properties_are_left_to_check(logging: Runtime, config: Config) -> None:
    """Engines write properties of newer versions of the specification."""
    config["unknownProperty"] = 1
    logging.run(config, "true").ok()
    assert not [record for record in records(logging) if "unknownProperty" in record["msg"]]
