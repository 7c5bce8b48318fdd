# SPDX-License-Identifier: Apache-2.0
"""Options and fixtures of the whole suite.

What touches the system is marked `root` and checked for leftovers.
"""

from __future__ import annotations

import gc
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from _pytest import tmpdir

from tests.support import machine
from tests.support.bundle import BUSYBOX, Config, make_base, make_bundle
from tests.support.programs import PROGRAMS, static_program
from tests.support.runtime import FRONTS, TREE, Container, Result, Runtime, find_program
from tests.support.wait import until

# A directory whose name says nothing: that of the test would answer for a word of a message.
tmpdir._mk_tmp = lambda request, factory: factory.mktemp("t", numbered=True)

pytest_plugins = ["tests.support.criu", "tests.support.features"]
LEFT_OPEN = 32  # descriptors that a session may leave: those of failed tests, of the harness
PRIVILEGED = ("container", "features", "security")  # directories whose tests all need root


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--runtime", default="", help="test this program instead: runc, crun or a path"
    )
    parser.addoption(
        "--front", choices=sorted(FRONTS), default=os.environ.get("PYRUNC_FRONT", "launcher")
    )
    parser.addoption("--teeth", action="store_true", help="run what is about pyrunc on a peer too")
    parser.addoption(
        "--packages", choices=("short", "all"), default="short", help="how much of tests/packages"
    )
    parser.addoption("--update-plans", action="store_true", help="write the plan snapshots again")


def pytest_configure(config: pytest.Config) -> None:
    if os.geteuid() == 0:
        machine.isolate()


def pytest_unconfigure(config: pytest.Config) -> None:
    if os.geteuid() == 0:
        machine.rejoin()


def pytest_collection_finish() -> None:
    """Modules and collected tests stay to the end: the collector need not look at them again."""
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what lies in a privileged directory, and skip what is marked when we are not root."""
    skip = pytest.mark.skip(reason="needs root")
    for item in items:
        parts = item.path.relative_to(TREE).parts
        if len(parts) > 1 and parts[1] in PRIVILEGED:
            item.add_marker("root")
        if item.get_closest_marker("root") and os.geteuid() != 0:
            item.add_marker(skip)


@pytest.fixture(scope="session", autouse=True)
def _no_descriptors_are_left() -> Iterator[None]:
    """Fail the session (its last test) whose tests have left open what they opened."""
    before = machine.descriptors()
    yield
    gc.collect()
    left = machine.descriptors() - before
    if len(left) > LEFT_OPEN:
        found = "\n  ".join(f"{number}: {what}" for number, what in sorted(left))
        pytest.fail(f"the tests left descriptors open:\n  {found}", pytrace=False)


@pytest.fixture(scope="session")
def program(request: pytest.FixtureRequest) -> Path:
    """The program under test."""
    found = find_program(request.config.getoption("--runtime"), request.config.getoption("--front"))
    if not found.exists():
        pytest.fail(f"{found} is missing: run `make`")
    return found


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The busybox root file system that all bundles are linked from."""
    if not BUSYBOX.exists():
        pytest.skip("the Debian package busybox-static is missing")
    directory = tmp_path_factory.mktemp("base")
    for parent in (directory, *directory.parents[:2]):  # mapped ids must get to the bundles below
        parent.chmod(0o711)
    return make_base(directory / "rootfs")


@pytest.fixture
def clean_machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Fail the test that leaves a mount, a cgroup, a process, a socket or a file behind."""
    tmp_path_factory.getbasetemp()  # made by the first who asks, which is not the test's doing
    before = machine.Snapshot()
    yield
    left = before.leftovers()
    if left:
        machine.remove_cgroups()
        pytest.fail("the test left on the machine:\n  " + "\n  ".join(left), pytrace=False)


@pytest.fixture
def workspace(clean_machine: None, tmp_path: Path) -> Path:
    """A directory for this test that ids of user namespaces can get through."""
    for parent in (tmp_path, *tmp_path.parents[:2]):
        parent.chmod(0o711)
    return tmp_path


@pytest.fixture
def runtime(workspace: Path, program: Path) -> Iterator[Runtime]:
    """The runtime under test with a state directory that must be empty again after the test."""
    root = workspace / "state"
    root.mkdir(mode=0o700)
    flags = os.environ.get("PYRUNC_FLAGS", "")  # such as --systemd-cgroup
    found = Runtime(program, root, tuple(flags.split()))
    yield found
    left = [entry.name for entry in root.iterdir() if not entry.name.startswith(".")]
    for name in left:
        found("delete", "--force", name)
    if left:
        pytest.fail(f"the test left containers: {', '.join(sorted(left))}", pytrace=False)


@pytest.fixture
def make_config(base: Path, workspace: Path) -> Callable[[], Config]:
    """Make one more bundle."""
    made: list[Config] = []

    def make() -> Config:
        made.append(make_bundle(base, workspace / f"bundle{len(made)}"))
        return made[-1]

    return make


@pytest.fixture
def config(make_config: Callable[[], Config]) -> Config:
    """The config of a fresh busybox bundle, to be changed by the test."""
    return make_config()


@pytest.fixture
def run(runtime: Runtime) -> Callable[..., Result]:
    """run(config, *argv): run a program in a new container to its end."""
    return runtime.run


@pytest.fixture
def shell(runtime: Runtime) -> Callable[..., str]:
    """shell(config, script): what a shell script in a new container writes; it must succeed."""

    def shell(config: Config, script: str, **more: Any) -> str:
        return runtime.run(config, "sh", "-ec", script, **more).ok().stdout

    return shell


@pytest.fixture
def create(runtime: Runtime) -> Iterator[Callable[..., Container]]:
    """create(config, *argv): a created container, deleted after the test."""
    made: list[Container] = []

    def create(config: Config, *argv: str, **more: Any) -> Container:
        made.append(runtime.create(config, *argv, **more))
        return made[-1]

    yield create
    for container in reversed(made):
        container.delete().ok()


@pytest.fixture
def running(create: Callable[..., Container], config: Config) -> Container:
    """A container whose program waits."""
    return create(config, "sleep", "600").start()


@pytest.fixture
def pyrunc(runtime: Runtime, request: pytest.FixtureRequest) -> Runtime:
    """The runtime under test if it is pyrunc: for what the peers do otherwise or not at all."""
    if runtime.name != "pyrunc" and not request.config.getoption("--teeth"):
        pytest.skip("about pyrunc only")
    return runtime


@pytest.fixture(scope="session")
def probe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A static program that asks the kernel what no busybox applet can tell."""
    target = tmp_path_factory.mktemp("programs") / "probe"
    headers = ("-idirafter", "/usr/include", "-idirafter", "/usr/include/x86_64-linux-gnu")
    return static_program(PROGRAMS / "probe.c", target, "-O1", "-Wall", "-Werror", *headers)


@pytest.fixture
def holder(workspace: Path) -> Iterator[Callable[..., int]]:
    """holder(*unshare options): the pid of a process that keeps namespaces to be joined."""
    started: list[subprocess.Popen[bytes]] = []

    def hold(*options: str) -> int:
        ready = workspace / f"ready{len(started)}"
        script = f'touch "{ready}"; exec sleep 600'
        argv = ["unshare", *options, "--", "sh", "-c", script]
        started.append(subprocess.Popen(argv, start_new_session=True))
        until(ready.exists, f"unshare {' '.join(options)}")
        return started[-1].pid

    yield hold
    for process in started:
        process.kill()
        process.wait()
