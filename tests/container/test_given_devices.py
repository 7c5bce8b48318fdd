# SPDX-License-Identifier: Apache-2.0
"""devices add and remove: node and rule of a running container, both or neither."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from tests.support.bundle import Config
from tests.support.runtime import Container, Runtime

KMSG = "/dev/kmsg"  # 1:11, which no container has


@pytest.fixture
def held(pyrunc: Runtime, config: Config) -> Container:
    if not stat.S_ISCHR(os.stat(KMSG).st_mode):
        pytest.skip(f"needs {KMSG}")
    config.linux["resources"] = {"devices": [{"allow": False, "access": "rwm"}]}
    config.process["capabilities"] = {
        kind: ["CAP_SYSLOG", "CAP_SYS_ADMIN", "CAP_MKNOD"]
        for kind in ("bounding", "effective", "permitted")
    }
    return pyrunc.create(config, "sleep", "600").start()


def opens(container: Container) -> str:
    script = f"exec 3<>{KMSG} && echo opened"
    result = container.command("exec", "sh", "-c", script)
    return result.stdout.strip() or result.stderr.strip().rsplit(": ", 1)[-1]


def test_a_device_is_given_and_taken_back(pyrunc: Runtime, held: Container) -> None:
    before = json.loads((Path(pyrunc.root) / held.id / "state.json").read_text())["resources"]
    assert "No such file" in held.command("exec", "ls", KMSG).stderr
    pyrunc("devices", "add", held.id, KMSG).ok()
    assert opens(held) == "opened"
    assert pyrunc("verify", held.id).status == 0
    pyrunc("devices", "remove", held.id, KMSG).ok()
    assert "No such file" in held.command("exec", "ls", KMSG).stderr
    node = held.command("exec", "sh", "-c", "mknod /tmp/k c 1 11; exec 3<>/tmp/k && echo opened")
    assert "Operation not permitted" in node.stderr, "the rule is gone, too"
    after = json.loads((Path(pyrunc.root) / held.id / "state.json").read_text())
    assert (after["resources"], after["devices"]) == (before, [])
    held.delete()


def test_only_the_access_that_was_asked_for_is_allowed(pyrunc: Runtime, held: Container) -> None:
    pyrunc("devices", "add", "--access", "r", held.id, KMSG).ok()
    read = held.command("exec", "sh", "-c", f"exec 3<{KMSG} && echo opened")
    write = held.command("exec", "sh", "-c", f"exec 3>{KMSG} && echo opened")
    held.delete()
    assert read.stdout == "opened\n"
    assert "Operation not permitted" in write.stderr


def test_a_node_that_cannot_be_made_leaves_no_rule(
    pyrunc: Runtime, config: Config, workspace: Path
) -> None:
    config["root"]["readonly"] = True
    config.without_mount("/dev/shm")
    config.linux["resources"] = {"devices": [{"allow": False, "access": "rwm"}]}
    container = pyrunc.create(config, "sleep", "600").start()
    node = workspace / "node"
    os.mknod(node, 0o600 | stat.S_IFCHR, os.makedev(1, 11))
    stored = Path(pyrunc.root) / container.id / "state.json"
    before = json.loads(stored.read_text())["resources"]
    result = pyrunc("devices", "add", container.id, node)
    assert result.status == 1
    assert "read-only file system" in result.stderr.lower()
    after = json.loads(stored.read_text())
    dry = pyrunc("devices", "add", "--dry-run", container.id, KMSG).ok().stdout
    container.delete()
    assert after["resources"] == before
    assert not after.get("devices")
    assert f"{KMSG}: bind the host's node" in dry.splitlines()
    assert "1:11" in dry


def test_what_is_no_device_or_was_not_given_is_refused(pyrunc: Runtime, held: Container) -> None:
    told = [
        pyrunc("devices", "add", held.id, "/etc/passwd").error,
        pyrunc("devices", "add", held.id, "dev/null").error,
        pyrunc("devices", "add", "--access", "rx", held.id, KMSG).error,
        pyrunc("devices", "remove", held.id, KMSG).error,
        pyrunc("devices", "give", held.id, KMSG).error,
    ]
    pyrunc("devices", "add", held.id, KMSG).ok()
    twice = pyrunc("devices", "add", held.id, KMSG).error
    held.delete()
    for text, part in zip(
        told,
        (
            "is no device of the host",
            "absolute path",
            "each once",
            "no device was added",
            "does not",
        ),
        strict=True,
    ):
        assert part in text
    assert "was added already" in twice


def test_the_devices_of_the_configuration_stay_in_force(
    pyrunc: Runtime, config: Config, workspace: Path
) -> None:
    """Every program on a cgroup2 must allow a device: one of our own more would narrow it."""
    config.linux["resources"] = {
        "devices": [
            {"allow": False, "access": "rwm"},
            {"allow": True, "type": "c", "major": 1, "minor": 11, "access": "rw"},
        ]
    }
    config.linux["devices"] = [{"path": KMSG, "type": "c", "major": 1, "minor": 11}]
    config.process["capabilities"] = {
        kind: ["CAP_SYSLOG", "CAP_SYS_ADMIN"] for kind in ("bounding", "effective", "permitted")
    }
    node = workspace / "node"
    os.mknod(node, 0o600 | stat.S_IFCHR, os.makedev(1, 10))
    container = pyrunc.create(config, "sleep", "600").start()
    pyrunc("devices", "add", container.id, node).ok()
    first = opens(container)
    rules = json.loads((Path(pyrunc.root) / container.id / "state.json").read_text())
    pyrunc("devices", "remove", container.id, node).ok()
    second = opens(container)
    container.delete()
    assert (first, second) == ("opened", "opened")
    assert len(rules["resources"]["devices"]) == 3


@pytest.mark.parametrize("user_namespace", [False, True])
def test_a_created_container_is_given_a_device(
    pyrunc: Runtime, config: Config, user_namespace: bool
) -> None:
    if not stat.S_ISCHR(os.stat(KMSG).st_mode):
        pytest.skip(f"needs {KMSG}")
    if user_namespace:
        config.user_namespace()
    container = pyrunc.create(config, "sh", "-c", f"ls {KMSG} && exec sleep 600")
    pyrunc("devices", "add", container.id, KMSG).ok()
    container.start()
    listed = container.command("exec", "ls", KMSG)
    pyrunc("devices", "remove", container.id, KMSG).ok()
    gone = container.command("exec", "ls", KMSG)
    container.delete()
    assert listed.stdout == f"{KMSG}\n"
    assert "No such file" in gone.stderr
