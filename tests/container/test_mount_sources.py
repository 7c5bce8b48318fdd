# SPDX-License-Identifier: Apache-2.0
"""Where the source of a mount is looked for, and what of it is seen."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.bundle import Config
from tests.support.runtime import Container, Result, Runtime

Shell = Callable[..., str]
Run = Callable[..., Result]

# -- relative sources -----------------------------------------------------------------------------


@pytest.fixture
def elsewhere(workspace: Path) -> Path:
    """A working directory of the caller, with files of the names that the bundle has."""
    directory = workspace / "elsewhere"
    (directory / "v").mkdir(parents=True)
    (directory / "v/file").write_text("of the caller")
    (directory / "one").write_text("of the caller")
    return directory


def volume(directory: Path) -> None:
    directory.mkdir()
    (directory / "file").write_text("of the bundle")


@pytest.mark.parametrize("user_namespace", [False, True])
@pytest.mark.parametrize("spelling", ["v", "./v", "v/", "../{bundle}/v", "v/../v/."])
def test_a_relative_source_starts_at_the_bundle(
    run: Run, config: Config, elsewhere: Path, spelling: str, user_namespace: bool
) -> None:
    """config.md, Mounts: relative to the bundle, wherever the caller is."""
    volume(config.bundle / "v")
    config.bind(spelling.format(bundle=config.bundle.name), "/mnt", "rbind")
    if user_namespace:
        config.user_namespace()
    assert run(config, "cat", "/mnt/file", cwd=elsewhere).ok().stdout == "of the bundle"


def test_a_relative_source_may_be_a_file_of_a_mount_without_a_type(
    run: Run, config: Config, elsewhere: Path
) -> None:
    (config.bundle / "one").write_text("of the bundle")
    config.mount("/mnt/one", "none", "one", "bind")
    assert run(config, "cat", "/mnt/one", cwd=elsewhere).ok().stdout == "of the bundle"


def test_a_relative_source_of_a_relative_bundle(
    runtime: Runtime, config: Config, elsewhere: Path
) -> None:
    volume(config.bundle / "v")
    config.bind("v", "/mnt")
    config.process["args"] = ["cat", "/mnt/file"]
    config.write()
    bundle = os.path.relpath(config.bundle, elsewhere)
    done = runtime("run", "--bundle", bundle, runtime.new_id(), cwd=elsewhere)
    assert done.ok().stdout == "of the bundle"


def test_a_relative_source_of_a_mapped_mount(
    pyrunc: Runtime, config: Config, elsewhere: Path
) -> None:
    volume(config.bundle / "v")
    config.bind("v", "/mnt", "bind", "idmap=uids=0-7-1;gids=0-7-1")
    found = pyrunc.run(config, "stat", "-c", "%u:%g", "/mnt/file", cwd=elsewhere)
    assert found.ok().stdout.strip() == "7:7"


def test_a_link_is_copied_from_the_bundle(pyrunc: Runtime, config: Config, elsewhere: Path) -> None:
    (config.bundle / "link").symlink_to("/of/the/bundle")
    (elsewhere / "link").symlink_to("/of/the/caller")
    config.bind("link", "/mnt/link", "bind", "copy-symlink")
    found = pyrunc.run(config, "readlink", "/mnt/link", cwd=elsewhere)
    assert found.ok().stdout.strip() == "/of/the/bundle"


def test_a_relative_source_of_an_added_mount(
    pyrunc: Runtime, running: Container, elsewhere: Path
) -> None:
    """As in config.json, whose format it is."""
    volume(running.config.bundle / "v")
    mount = {"destination": "/mnt", "source": "v", "options": ["bind"]}
    (elsewhere / "mounts.json").write_text(json.dumps([mount]))
    pyrunc("mounts", "add", running.id, "mounts.json", cwd=elsewhere).ok()
    assert running.command("exec", "cat", "/mnt/file").ok().stdout == "of the bundle"


def test_a_missing_relative_source_is_named_with_its_whole_path(
    pyrunc: Runtime, config: Config, elsewhere: Path
) -> None:
    config.bind("v", "/mnt")
    result = pyrunc.run(config, "true", cwd=elsewhere)
    assert result.status == 1
    assert f"{config.bundle}/v" in result.error


def test_the_source_of_another_type_is_no_path(shell: Shell, config: Config) -> None:
    """`tmpfs` is a name that mountinfo shows."""
    config.mount("/mnt", "tmpfs", "named")
    assert "\nnamed /mnt tmpfs" in shell(config, "cat /proc/mounts")


def test_a_relative_layer_is_refused(pyrunc: Runtime, config: Config, elsewhere: Path) -> None:
    """The kernel would take it from the caller's directory."""
    config.mount("/mnt", "overlay", "overlay", "lowerdir=v")
    result = pyrunc.run(config, "cat", "/mnt/file", cwd=elsewhere)
    assert result.status == 1
    assert "/mounts/5/options/0: a layer of an overlay has a relative path" in result.error
