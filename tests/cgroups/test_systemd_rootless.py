# SPDX-License-Identifier: Apache-2.0
"""The systemd driver of an unprivileged user: units of the user's own manager, as in a session."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pyrunc.cgroups import delegate
from tests.support import machine
from tests.support.bundle import Config

pytestmark = pytest.mark.skipif(
    not Path("/run/systemd/system").is_dir(), reason="systemd is not running"
)

NOBODY = 65534
SUBORDINATE = 300000  # the first of the ids that the user nobody may map
IDS = 65536
Call = Callable[..., str]
ROOTLESS = """
import json, os, subprocess
from pyrunc import cgroups
from pyrunc.spec import parse_resources
manager = cgroups.resolve("systemd", None, {id!r}, rootless=True)
task = subprocess.Popen(["sleep", "100"])
old = parse_resources(b'{{"pids": {{"limit": 9}}}}')
manager.prepare()
manager.apply(old)
manager.attach(task.pid)
with open(f"/proc/{{task.pid}}/cgroup") as file:
    print(file.read().strip())
print(manager.members[0].read("pids.max"))
new = parse_resources(b'{{"pids": {{"limit": 11}}}}')
print(len(manager.update(old, new)), manager.members[0].read("pids.max"))
again = cgroups.from_record(json.loads(json.dumps(manager.record())))
again.kill()
print(task.wait())
again.destroy()
print(os.path.exists(manager.members[0].path))
"""


@pytest.fixture
def user_manager(clean_machine: None) -> Iterator[dict[str, str]]:
    unit = f"user@{NOBODY}.service"
    if subprocess.run(["systemctl", "start", unit], check=False).returncode:
        pytest.skip("systemd cannot start a manager for the user nobody")
    tree = str(Path(__file__).parents[2])
    yield {
        "PATH": "/usr/bin:/bin",
        "XDG_RUNTIME_DIR": f"/run/user/{NOBODY}",
        "PYTHONPATH": os.pathsep.join([tree, *sys.path]),
    }
    subprocess.run(["systemctl", "stop", unit], check=False)


def test_a_rootless_container_is_a_unit_of_the_users_manager(
    user_manager: dict[str, str],
) -> None:
    # The runtime directory is mounted after the harness has taken its own mount namespace.
    argv = ["nsenter", "--target=1", "--mount", "--"]
    argv += ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--"]
    script = ROOTLESS.format(id=f"{machine.TOKEN}u")
    result = subprocess.run(
        [*argv, sys.executable, "-c", script],
        env=user_manager,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    own, limit, changed, status, present = result.stdout.splitlines()
    assert f"/user@{NOBODY}.service/user.slice/pyrunc-{machine.TOKEN}u.scope" in own
    assert (limit, changed, status, present) == ("9", "1 11", "-9", "False")


@pytest.fixture
def call(
    user_manager: dict[str, str], config: Config, workspace: Path, program: Path
) -> Iterator[Call]:
    """call(*argv): the program as the user, in a session: a scope beside the user's manager."""
    root = workspace / "rootless"
    for owned in (root, config.bundle, config.rootfs):
        owned.mkdir(exist_ok=True)
        os.chown(owned, NOBODY, NOBODY)
    config.namespace("user")
    mapping = [{"containerID": 0, "hostID": NOBODY, "size": 1}]
    config.linux["uidMappings"] = config.linux["gidMappings"] = mapping
    config.without_mount("/dev/pts")
    config.process["args"] = ["sleep", "100"]
    # The runtime directory is mounted after the harness has taken its own mount namespace.
    enter = ["nsenter", "--target=1", "--mount", "--"]
    enter += ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--"]
    session = ["systemd-run", "--quiet", "--scope", f"--slice=user-{NOBODY}.slice", "--"]

    def call(*argv: str, status: int = 0) -> str:
        command = [*session, *enter, str(program), "--root", str(root), "--systemd-cgroup", *argv]
        with (workspace / "output").open("w+") as output:
            found = subprocess.run(
                command,
                env=user_manager,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                timeout=60,
                check=False,
            ).returncode
            output.seek(0)
            text = output.read()
        assert found == status, text
        return text

    yield call
    for known in json.loads(call("list", "--format", "json")) or []:
        call("delete", "--force", known["id"])
        machine.reap()  # whose pid namespace the next one made ends only when this one is collected


@pytest.fixture
def subordinate_ids(user_manager: dict[str, str], config: Config) -> Config:
    """A container with many ids, as newuidmap gives them to a user that /etc/subuid lists."""
    for file in ("/etc/subuid", "/etc/subgid"):
        if "IN_GUEST" in os.environ:
            Path(file).write_text(f"{NOBODY}:{SUBORDINATE}:{IDS}\n")
        elif f"{NOBODY}:{SUBORDINATE}:{IDS}" not in Path(file).read_text():
            pytest.skip(f"{file} gives the user nobody no ids")
    return config


@pytest.mark.feature("8.5 systemd driver, user bus")
@pytest.mark.parametrize("below", ["", "container"])
def test_the_whole_life_of_a_rootless_container_with_limits(
    call: Call, config: Config, below: str
) -> None:
    """As an engine of an unprivileged user does it: create, look, change, pause, kill, delete."""
    config.linux["resources"] = {"pids": {"limit": 20}}
    config["annotations"] = {delegate.SUBGROUP: below}
    config.write()
    known = f"{machine.TOKEN}life"
    call("run", "--detach", "--bundle", str(config.bundle), known)
    pid = json.loads(call("state", known))["pid"]
    own = Path(f"/proc/{pid}/cgroup").read_text().strip().partition("::")[2]
    scope = f"/user@{NOBODY}.service/user.slice/pyrunc-{known}.scope"
    assert own.endswith(f"{scope}/{below}" if below else scope)
    top = Path(f"/sys/fs/cgroup{own}")
    assert (top / "pids.max").read_text() == "20\n"
    call("update", "--pids-limit", "30", known)
    assert (top / "pids.max").read_text() == "30\n"
    assert json.loads(call("events", "--stats", known))["data"]["pids"]["limit"] == 30
    # Seen from the container's cgroup namespace, whose root is where its init is.
    assert call("exec", known, "cat", "/proc/self/cgroup") == "0::/\n"
    call("pause", known)
    assert json.loads(call("state", known))["status"] == "paused"
    call("delete", "--force", known)
    assert not top.exists()
    assert "nothing is left over" in call("doctor")


@pytest.mark.parametrize("user", [0, 5, 1000])
def test_a_process_of_any_id_of_a_rootless_container_is_in_its_cgroup(
    call: Call, subordinate_ids: Config, user: int
) -> None:
    """The user's systemd moves a process that is the user's, so before it takes another id."""
    config = subordinate_ids
    mapping = [
        {"containerID": 0, "hostID": NOBODY, "size": 1},
        {"containerID": 1, "hostID": SUBORDINATE, "size": IDS},
    ]
    config.linux["uidMappings"] = config.linux["gidMappings"] = mapping
    config.process["user"] = {"uid": user, "gid": user}
    config.write()
    known = f"{machine.TOKEN}ids{user}"
    call("run", "--detach", "--bundle", str(config.bundle), known)
    shown = call("exec", known, "sh", "-c", "id -u; cat /proc/self/cgroup")
    assert shown == f"{user}\n0::/\n"
    shown = call("exec", "--user", "7:8", known, "sh", "-c", "id -u; id -g; cat /proc/self/cgroup")
    assert shown == "7\n8\n0::/\n"


def subordinate_root(config: Config) -> None:
    """The root of the container is a subordinate id, and the caller has another one in it."""
    config.linux["uidMappings"] = config.linux["gidMappings"] = [
        {"containerID": 0, "hostID": SUBORDINATE, "size": 1000},
        {"containerID": 1000, "hostID": NOBODY, "size": 1},
    ]


@pytest.mark.parametrize("root", ["the caller", "a subordinate id"])
@pytest.mark.parametrize("joined", [False, True])
@pytest.mark.parametrize("limit", [1, 0])
def test_a_limit_of_one_process_is_enough_for_a_rootless_container(
    call: Call, subordinate_ids: Config, workspace: Path, root: str, joined: bool, limit: int
) -> None:
    """With a pid namespace that is joined the first process is forked as the container's root,
    whom a user's systemd does not move when it is a subordinate id.
    """
    config = subordinate_ids
    if root != "the caller":
        subordinate_root(config)
        for path in (config.rootfs, *config.rootfs.iterdir()):
            os.chown(path, SUBORDINATE, SUBORDINATE, follow_symlinks=False)
    config.linux["resources"] = {"pids": {"limit": limit}}
    known = f"{machine.TOKEN}one"
    if joined:
        config.write()
        call("run", "--detach", "--bundle", str(config.bundle), f"{known}keeper")
        keeper = json.loads(call("state", f"{known}keeper"))["pid"]
        config.namespace("user", f"/proc/{keeper}/ns/user")
        config.namespace("pid", f"/proc/{keeper}/ns/pid")
        del config.linux["uidMappings"], config.linux["gidMappings"]
    config.write()
    call("run", "--detach", "--bundle", str(config.bundle), known)
    pid = json.loads(call("state", known))["pid"]
    own = Path(f"/proc/{pid}/cgroup").read_text().strip().partition("::")[2]
    top = Path(f"/sys/fs/cgroup{own}")
    assert [(top / name).read_text() for name in ("pids.max", "pids.current")] == ["1\n", "1\n"]
    assert call("exec", known, "echo", "hi") == "hi\n"
    assert call("exec", known, "cat", "/proc/self/cgroup") == "0::/\n"


def test_exec_in_a_rootless_container_that_has_ended_says_so(call: Call, config: Config) -> None:
    config.process["args"] = ["true"]
    config.write()
    known = f"{machine.TOKEN}ended"
    call("run", "--detach", "--bundle", str(config.bundle), known)
    time.sleep(0.3)
    assert "cannot exec in a stopped container" in call("exec", known, "true", status=255)
