# SPDX-License-Identifier: Apache-2.0
"""--policy FILE.py on the command line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.bundle import Config
from tests.support.runtime import TREE, Runtime

pytestmark = pytest.mark.root
LIMIT = """
def add_a_limit(spec, host):
    return spec.limit(pids=33)

def refuse_one_name(spec, host):
    return Refusal("not today", pointer="/hostname") if spec.get("/hostname") == "bad" else spec

POLICIES = [add_a_limit, refuse_one_name]
"""


@pytest.fixture
def policy(workspace: Path) -> Path:
    """Write a file that only root can change; /tmp above it is shared, but sticky."""
    place = workspace / "policy.py"
    place.write_text(LIMIT)
    place.chmod(0o644)
    return place


def test_a_policy_changes_what_is_started(pyrunc: Runtime, config: Config, policy: Path) -> None:
    config["process"]["args"] = ["true"]
    config.write()
    flags = ("--bundle", config.bundle, pyrunc.new_id())
    pyrunc("--policy", policy, "run", *flags).ok()
    explained = pyrunc("--policy", policy, "explain", config.bundle).ok().stdout
    assert "policy  add_a_limit: /linux/resources: absent -> an object" in explained
    assert "pids.max  33" in explained


def test_a_policy_refuses(pyrunc: Runtime, config: Config, policy: Path) -> None:
    config["hostname"] = "bad"
    config.write()
    refused = pyrunc("--policy", policy, "run", "--bundle", config.bundle, pyrunc.new_id())
    assert refused.status == 1
    assert "refused by the policy refuse_one_name: not today" in refused.error
    assert "/hostname" in refused.stderr


@pytest.mark.parametrize("what", ["file", "directory", "owner", "link", "place of a link"])
def test_root_loads_no_policy_that_others_can_change(
    pyrunc: Runtime, config: Config, policy: Path, what: str
) -> None:
    config.write()
    if what == "file":
        policy.chmod(0o666)
    elif what == "directory":
        below = policy.parent / "open"
        below.mkdir()
        policy = policy.rename(below / "policy.py")
        below.chmod(0o777)
    elif what == "link":
        (policy.parent / "link.py").symlink_to(policy)
        policy = policy.parent / "link.py"
        os.chown(policy, 1000, 1000, follow_symlinks=False)
    elif what == "place of a link":
        place = policy.parent / "open"
        place.mkdir()
        (place / "link.py").symlink_to(policy)
        place.chmod(0o777)
        policy = place / "link.py"
    else:
        os.chown(policy, 1000, 1000)
    refused = pyrunc("--policy", policy, "explain", config.bundle)
    assert refused.status == 1
    assert "others than root can change" in refused.error


def test_root_loads_a_policy_through_links_of_root(
    pyrunc: Runtime, config: Config, policy: Path
) -> None:
    config.write()
    (policy.parent / "here").symlink_to(".")
    (policy.parent / "link.py").symlink_to(f"here/../{policy.parent.name}/here/{policy.name}")
    pyrunc("--policy", policy.parent / "here" / "link.py", "explain", config.bundle).ok()


def test_a_loop_of_links_is_no_policy(pyrunc: Runtime, config: Config, policy: Path) -> None:
    config.write()
    (policy.parent / "loop.py").symlink_to("loop.py")
    refused = pyrunc("--policy", policy.parent / "loop.py", "explain", config.bundle)
    assert refused.status == 1
    assert "cannot load the policy" in refused.error


@pytest.mark.parametrize("example", sorted((TREE / "docs/examples/policies").glob("*.py")))
def test_the_examples_load(pyrunc: Runtime, config: Config, workspace: Path, example: Path) -> None:
    config.write()
    copy = workspace / example.name
    copy.write_bytes(example.read_bytes())
    pyrunc("--policy", copy, "explain", config.bundle).ok()


def test_a_file_without_a_policy_is_refused(pyrunc: Runtime, config: Config, policy: Path) -> None:
    config.write()
    policy.write_text("x = 1\n")
    assert "defines no function" in pyrunc("--policy", policy, "explain", config.bundle).error


@pytest.mark.parametrize(
    "text",
    ["def policy(spec, host):\n    raise SystemExit(0)\n", "raise SystemExit(0)\n"],
    ids=["called", "loaded"],
)
def test_a_policy_that_exits_refuses(
    pyrunc: Runtime, config: Config, policy: Path, text: str
) -> None:
    """An exit is no answer: neither the container starts nor the program that asks ends with 0."""
    policy.write_text(text)
    config.write()
    refused = pyrunc("--policy", policy, "run", "--bundle", config.bundle, pyrunc.new_id())
    assert refused.status == 1
    assert "SystemExit" in refused.error
