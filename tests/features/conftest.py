# SPDX-License-Identifier: Apache-2.0
"""Containers that run, users without privileges, and sockets that are waited at."""

from __future__ import annotations

import os
import pwd
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import machine
from tests.support.bundle import Config
from tests.support.runtime import TREE, Container, Result, Runtime
from tests.support.terminal import FdSocket, Terminal

MS_BIND = 4096
SUBIDS = 200000, 65536


@pytest.fixture(autouse=True)
def _clean(clean_machine: None) -> None:
    """Ask for the check even where a test takes no fixture of the harness."""


@pytest.fixture
def running(create: Callable[..., Container], config: Config) -> Container:
    """A container whose program waits."""
    return create(config, "sleep", "600").start()


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
