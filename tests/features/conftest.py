# SPDX-License-Identifier: Apache-2.0
"""Users without privileges, and sockets that are waited at."""

from __future__ import annotations

import json
import os
import pwd
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support import machine
from tests.support.bundle import Config
from tests.support.features import MODES
from tests.support.runtime import TREE, Result, Runtime
from tests.support.terminal import FdSocket, Terminal

MS_BIND = 4096
SUBIDS = 200000, 65536


@pytest.fixture(autouse=True)
def _clean(clean_machine: None) -> None:
    """Ask for the check even where a test takes no fixture of the harness."""


@pytest.fixture
def fd_socket() -> Iterator[Callable[[Path], FdSocket]]:
    """fd_socket(path): a socket that takes one message with a descriptor."""
    made: list[FdSocket] = []

    def make(path: Path) -> FdSocket:
        path.parent.mkdir(parents=True, exist_ok=True)
        made.append(FdSocket(path))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def terminal() -> Iterator[Callable[..., Terminal]]:
    """terminal(argv): a command on a terminal of its own."""
    made: list[Terminal] = []

    def make(argv: list[str], **size: int) -> Terminal:
        made.append(Terminal(argv, **size))
        return made[-1]

    yield make
    for one in made:
        one.close()


@dataclass
class User:
    """A user without privileges, with a state directory and a bundle of its own."""

    runtime: Runtime
    config: Config
    uid: int
    gid: int

    @property
    def prefix(self) -> list[str]:
        return ["setpriv", f"--reuid={self.uid}", f"--regid={self.gid}", "--clear-groups"]

    def __call__(self, *args: str | Path, env: dict[str, str] | None = None) -> Result:
        return self.runtime(*args, prefix=self.prefix, env=env, cwd=self.config.bundle)

    def run(self, *argv: str, env: dict[str, str] | None = None) -> Result:
        """`run` a program in a new container to its end."""
        self.config.process["args"] = list(argv)
        self.config.write()
        return self("run", "--bundle", self.config.bundle, self.runtime.new_id(), env=env)


@pytest.fixture
def user(pyrunc: Runtime, config: Config, workspace: Path) -> Iterator[User]:
    """The user nobody, whose bundle is what `spec --rootless` asks for."""
    if not os.access(TREE, os.R_OK | os.X_OK) or not (TREE.stat().st_mode & 0o005):
        pytest.skip("the source tree is closed to other users")
    entry = pwd.getpwnam("nobody")
    for directory, _names, files in os.walk(config.bundle):
        own = (name for name in files if Path(directory).name != "bin")
        for path in (directory, *(os.path.join(directory, name) for name in own)):
            os.chown(path, entry.pw_uid, entry.pw_gid, follow_symlinks=False)
    state = workspace / "user-state"
    state.mkdir(mode=0o700)
    os.chown(state, entry.pw_uid, entry.pw_gid)
    rootless(config, entry.pw_uid, entry.pw_gid)
    yield User(Runtime(pyrunc.program, state), config, entry.pw_uid, entry.pw_gid)
    left = [name for name in os.listdir(state) if not name.startswith(".")]
    assert not left, f"the test left containers: {left}"


def rootless(config: Config, uid: int, gid: int) -> None:
    """A config for one id, without what only root may do."""
    config.namespace("user")
    config.without_namespace("network", "cgroup")
    config.linux["uidMappings"] = [{"containerID": 0, "hostID": uid, "size": 1}]
    config.linux["gidMappings"] = [{"containerID": 0, "hostID": gid, "size": 1}]
    config.without_mount("/sys")
    for mount in config["mounts"]:
        if "options" in mount:
            mount["options"] = [one for one in mount["options"] if not one.startswith("gid=")]
    config.process["noNewPrivileges"] = True


@pytest.fixture
def subids(workspace: Path) -> Iterator[tuple[int, int]]:
    """nobody has subordinate ids, in our mount namespace."""
    if not shutil.which("newuidmap"):
        pytest.skip("the Debian package uidmap is missing")
    file = workspace / "subid"
    file.write_text("nobody:{}:{}\n".format(*SUBIDS))
    file.chmod(0o644)
    for target in ("/etc/subuid", "/etc/subgid"):
        machine.mount(str(file), target, flags=MS_BIND)
    yield SUBIDS
    for target in ("/etc/subuid", "/etc/subgid"):
        machine.unmount(target)


# -- the three ways in which a container is run ----------------------------------------------------


class Mode:
    """One of: by root, by root in a user namespace, by a user without privileges who has
    subordinate ids. The config suits it; its ids 0 to 65535 are mapped.
    """

    def __init__(self, name: str, runtime: Runtime, config: Config, user: User | None) -> None:
        self.name = name
        self.config = config
        self.runtime = user.runtime if user is not None else runtime
        self._user = user
        self._made: list[str] = []

    def __call__(self, *args: str | Path, **more: Any) -> Result:
        """Run pyrunc as whoever runs containers in this mode."""
        prefix = self._user.prefix if self._user is not None else ()
        return self.runtime(*args, prefix=prefix, cwd=self.config.bundle, **more)

    def run(self, *argv: str, flags: tuple[str, ...] = (), **more: Any) -> Result:
        """`run` a program in a new container to its end."""
        self.config.process["args"] = list(argv)
        self.config.write()
        name = self.runtime.new_id()
        return self("run", "--bundle", self.config.bundle, *flags, name, **more)

    def shell(self, script: str) -> str:
        """What a shell script in a new container writes; it must succeed."""
        return self.run("sh", "-ec", script).ok().stdout

    def start(self, *argv: str) -> str:
        """The id of a new container that runs a program; it is deleted after the test."""
        self.config.process["args"] = list(argv)
        self.config.write()
        name = self.runtime.new_id()
        self("run", "--detach", "--bundle", self.config.bundle, name).ok()
        self._made.append(name)
        return name

    def inside(self, name: str, script: str, *flags: str) -> str:
        """What a shell script in a running container writes."""
        return self("exec", *flags, name, "sh", "-ec", script).ok().stdout

    def mounts(self, action: str, name: str, *mounts: dict[str, Any]) -> Result:
        return self("mounts", action, name, "-", stdin=json.dumps({"mounts": mounts}))

    def close(self) -> None:
        for name in self._made:
            self("delete", "--force", name).ok()


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest, pyrunc: Runtime, config: Config) -> Iterator[Mode]:
    """The same test as root, in a user namespace, and as a user."""
    user = None
    if request.param == "userns":
        config.user_namespace()
    elif request.param == "user":
        first, count = request.getfixturevalue("subids")
        user = request.getfixturevalue("user")
        for name, own in (("uidMappings", user.uid), ("gidMappings", user.gid)):
            config.linux[name] = [
                {"containerID": 0, "hostID": own, "size": 1},
                {"containerID": 1, "hostID": first, "size": count},
            ]
    found = Mode(request.param, pyrunc, config, user)
    yield found
    found.close()
