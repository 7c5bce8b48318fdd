# SPDX-License-Identifier: Apache-2.0
"""Containers that are saved and restored as one: `checkpoint --together`, `restore --together`."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import machine
from tests.support.bundle import Config
from tests.support.criu import Saving, counter, goes_on, keep, numbers, said, says_again
from tests.support.runtime import Container, Result, Runtime
from tests.support.wait import until

PORT = "7007"


@pytest.fixture
def network(workspace: Path) -> Iterator[Path]:
    """The file of the network namespace of a pod, which outlives its containers."""
    path = workspace / "network"
    path.touch()
    lo = "ip link set lo up"
    subprocess.run(["unshare", f"--net={path}", "sh", "-c", lo], check=True)
    yield path
    machine.unmount(path)


Pod = list[Container]


@pytest.fixture
def pod(
    pyrunc: Runtime, saving: Saving, make_config: Callable[[], Config], keeper: Path, network: Path
) -> Pod:
    """Two containers of one network, each with an end of a connection, and one that counts."""
    saving.runtime = pyrunc
    configs = [make_config() for _ in range(3)]
    for config in configs:
        config.namespace("network", network)
    configs[0].bind(keeper, "/keeper")
    first = saving.begin(configs[0], "/keeper", "answer", PORT)
    second = keep(saving, configs[1], keeper, "ask", PORT)
    third = saving.begin(configs[2], *counter())
    until(lambda: said(first) and len(numbers(third)) > 3, "all three have begun")
    return [first, second, third]


def save(saving: Saving, pod: Pod, *flags: str) -> Result:
    names = [one.id for one in pod]
    where = ("--image-path", saving.images)
    return saving.runtime("checkpoint", "--together", "--tcp-established", *where, *flags, *names)


def restore(saving: Saving, pod: Pod, *flags: str) -> Result:
    names = [f"{one.id}={one.config.bundle}" for one in pod]
    where = ("--image-path", saving.images)
    restored = ("restore", "--together", "--detach", "--tcp-established")
    with Path("/dev/null").open("r+b") as null, (saving.images / "errors").open("w+b") as errors:
        argv = tuple(saving.runtime.argv(*restored, *where, *flags, *names))
        done = subprocess.run(argv, stdin=null, stdout=null, stderr=errors, check=False)
        errors.seek(0)
        return Result(argv, done.returncode, "", errors.read().decode(errors="replace"))


def all_go_on(pod: Pod) -> None:
    first, second, third = pod
    says_again(first, "connected")
    says_again(second, "connected")
    goes_on(third)


def test_a_connection_between_containers_survives(saving: Saving, pod: Pod) -> None:
    save(saving, pod).ok()
    assert all("does not exist" in one.command("state").stderr for one in pod)
    assert all((saving.images / one.id / "inventory.img").exists() for one in pod)
    restore(saving, pod).ok()
    all_go_on(pod)


def test_containers_that_stay_go_on_together(saving: Saving, pod: Pod) -> None:
    pids = [one.pid for one in pod]
    save(saving, pod, "--leave-running").ok()
    assert [(one.pid, one.state()["status"]) for one in pod] == [(pid, "running") for pid in pids]
    all_go_on(pod)


def test_all_go_on_where_one_cannot_be_saved(
    saving: Saving, pod: Pod, make_config: Callable[[], Config], workspace: Path
) -> None:
    """The last by its name has an open file that CRIU does not save without a flag."""
    config = make_config()
    script = "exec 9>/tmp/lost; ln /tmp/lost /tmp/kept; rm /tmp/lost; touch /tmp/up; sleep 1000"
    config.process["args"] = ["sh", "-c", script]
    config.write()
    last = Container(saving.runtime, f"{max(one.id for one in pod)}z", config)
    saving.made.append(last)
    saving.runtime("run", "--detach", "--bundle", config.bundle, last.id).ok()
    until((config.rootfs / "tmp/up").exists, "the file is open")
    failed = save(saving, [*pod, last])
    assert failed.status == 1
    assert last.id in failed.stderr
    assert [one.state()["status"] for one in (*pod, last)] == ["running"] * 4
    all_go_on(pod)


def test_none_is_left_where_one_cannot_be_restored(saving: Saving, pod: Pod) -> None:
    save(saving, pod).ok()
    inventory = saving.images / pod[-1].id / "inventory.img"
    good = inventory.read_bytes()
    inventory.write_bytes(b"no image")
    failed = restore(saving, pod)
    assert failed.status == 1
    assert pod[-1].id in failed.stderr
    assert all("does not exist" in one.command("state").stderr for one in pod)
    inventory.write_bytes(good)
    restore(saving, pod).ok()
    all_go_on(pod)


def test_a_paused_one_comes_back(saving: Saving, pod: Pod) -> None:
    """What was paused before is no obstacle, and is restored running as by `restore` alone."""
    pod[-1].command("pause").ok()
    save(saving, pod).ok()
    restore(saving, pod).ok()
    all_go_on(pod)


@pytest.mark.root
@pytest.mark.parametrize(
    ("argv", "reason"),
    [
        (("checkpoint", "--together", "a"), "two containers or more"),
        (("checkpoint", "--together", "a", "a"), "two containers or more"),
        (("checkpoint", "--together", "--pre-dump", "a", "b"), "--pre-dump cannot go with"),
        (("checkpoint", "a", "b"), "exactly 1 argument"),
        (("restore", "a", "b"), "exactly 1 argument"),
        (("restore", "--together", "a=/a", "b=/b"), "needs --detach"),
        (("restore", "--together", "--detach", "a=/a", "b"), "ID=BUNDLE"),
        (("restore", "--together", "--detach", "--pid-file", "x", "a=/a", "b=/b"), "--pid-file"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    pyrunc: Runtime, argv: tuple[str, ...], reason: str
) -> None:
    refused = pyrunc(*argv)
    assert refused.status == 1
    assert reason in refused.stderr
