# SPDX-License-Identifier: Apache-2.0
"""A property with a misspelt name is not in force: whoever wrote it hears of it, once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.bundle import Config
from tests.support.runtime import Runtime
from tests.support.types import Create

FILTER = {"defaultAction": "SCMP_ACT_ALLOW"}

# Where, the name as it was written, its value, the name that was meant.
NAMES: list[tuple[str, str, Any, str]] = [
    ("linux", "secomp", FILTER, "seccomp"),
    ("linux", "masked_paths", ["/proc/kcore"], "maskedPaths"),
    ("linux/resources/memory", "limt", 1 << 20, "limit"),
    ("linux/resources", "Memory", {"limit": 1 << 20}, "memory"),
    ("root", "readOnly", True, "readonly"),
    ("process", "noNewPriviliges", True, "noNewPrivileges"),
    ("process", "no_new_privileges", True, "noNewPrivileges"),
    ("process/capabilities", "boundin", [], "bounding"),
    ("", "hostName", "box", "hostname"),
    ("hooks", "poststopp", [], "poststop"),
    # Shortened or lengthened ones.
    ("process", "cap", {}, "capabilities"),
    ("process", "caps", {}, "capabilities"),
    ("process", "tty", True, "terminal"),
    ("process", "nnp", True, "noNewPrivileges"),
    ("process", "environment", [], "env"),
    ("linux", "uidMap", [], "uidMappings"),
    ("linux", "ns", [], "namespaces"),
    ("linux/resources", "mem", {"limit": 1 << 20}, "memory"),
    ("linux/resources/cpu", "cpuShares", 512, "shares"),
    ("linux/resources/memory", "memoryLimit", 1 << 20, "limit"),
]


def put(config: Config, where: str, name: str, value: object) -> str:
    """Add a property; returns its JSON pointer."""
    node: dict[str, Any] = config
    for part in where.split("/") if where else ():
        node = node.setdefault(part, {})
    node[name] = value
    return f"/{where}/{name}".replace("//", "/")


def warnings(log: Path) -> list[str]:
    records = [json.loads(line) for line in log.read_text().splitlines()]
    return [record["msg"] for record in records if record["level"] == "warning"]


@pytest.mark.parametrize(("where", "name", "value", "meant"), NAMES, ids=[row[1] for row in NAMES])
def test_a_misspelt_property_is_a_warning_of_create(
    pyrunc: Runtime, config: Config, where: str, name: str, value: object, meant: str
) -> None:
    pointer = put(config, where, name, value)
    log = config.bundle / "log"
    config.process["args"] = ["true"]
    config.write()
    options = ("--log", log, "--log-format", "json")
    pyrunc(*options, "run", "--bundle", config.bundle, pyrunc.new_id()).ok()
    (message,) = warnings(log)
    assert message.startswith(f"{pointer}: unknown property")
    assert f"did you mean '{meant}'?" in message


def test_a_text_log_has_the_warning_too(pyrunc: Runtime, config: Config) -> None:
    put(config, "root", "readOnly", True)
    config.process["args"] = ["true"]
    config.write()
    result = pyrunc("run", "--bundle", config.bundle, pyrunc.new_id()).ok()
    assert result.stderr.count("level=warning") == 1
    assert "/root/readOnly: unknown property" in result.stderr


def test_properties_of_others_are_no_warnings(pyrunc: Runtime, config: Config) -> None:
    """Engines add their own, and a newer specification its own."""
    config["com.example.engine"] = {"x": 1}
    config["com.example.annotations"] = {"x": 1}
    config.linux["quantum"] = {}
    config["windows"] = {}
    config.process["args"] = ["true"]
    config.write()
    result = pyrunc("run", "--bundle", config.bundle, pyrunc.new_id()).ok()
    assert result.stderr == ""


def test_a_create_that_fails_logs_its_error_alone(pyrunc: Runtime, config: Config) -> None:
    """Podman reads the log as one document."""
    put(config, "root", "readOnly", True)
    config.process["args"] = ["/absent"]
    config.write()
    log = config.bundle / "log"
    options = ("--log", log, "--log-format", "json")
    assert pyrunc(*options, "create", "--bundle", config.bundle, pyrunc.new_id()).status == 1
    assert json.loads(log.read_text())["level"] == "error"


def test_a_misspelt_property_is_a_warning_of_exec_and_update(
    create: Create, config: Config
) -> None:
    container = create(config, "sleep", "600").start()
    process = {"args": ["true"], "cwd": "/", "env": [], "no_new_privs": True, "noNewPrivilege": 1}
    (config.bundle / "process.json").write_text(json.dumps(process))
    path = config.bundle / "process.json"
    found = container.runtime("exec", "--process", path, container.id).ok()
    assert found.stderr.count("level=warning") == 2
    for name in ("noNewPrivilege", "no_new_privs"):
        assert f"/{name}: unknown property" in found.stderr
    assert found.stderr.count("did you mean 'noNewPrivileges'?") == 2
    (config.bundle / "limits.json").write_text('{"pids": {"limit": 100, "limits": 5}}')
    found = container.command("update", "--resources", config.bundle / "limits.json").ok()
    assert found.stderr.count("level=warning") == 1
    assert "/pids/limits: unknown property" in found.stderr


def test_a_file_of_a_command_line_that_is_absent_is_named_without_bundles(
    create: Create, config: Config
) -> None:
    container = create(config, "sleep", "600").start()
    for argv in (
        ("mounts", "add", container.id, "/absent"),
        ("update", "--resources", "/absent", container.id),
        ("exec", "--process", "/absent", container.id),
    ):
        result = container.runtime(*argv)
        assert result.status != 0
        assert "cannot open /absent: no such file or directory" in result.error
        assert "bundle" not in result.stderr


def test_a_mount_of_type_none_without_bind_says_what_it_needs(
    pyrunc: Runtime, config: Config
) -> None:
    config.mount("/mnt", "none", "/tmp")
    config.write()
    result = pyrunc("create", "--bundle", config.bundle, pyrunc.new_id())
    assert result.status == 1
    assert "none needs bind or rbind" in result.stderr
