# SPDX-License-Identifier: Apache-2.0
"""The same package through each front end: the launcher, its cold twin, the stock interpreter."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.bundle import Config
from tests.support.runtime import FRONTS, Runtime


@pytest.fixture(params=sorted(FRONTS))
def front(request: pytest.FixtureRequest, pyrunc: Runtime) -> Runtime:
    program = FRONTS[request.param]
    if not program.exists():
        pytest.skip(f"{program.name} was not built")
    return Runtime(program, pyrunc.root)


def test_a_container_lives_its_life(front: Runtime, config: Config) -> None:
    container = front.create(config, "sh", "-c", "echo inside; exec sleep 100")
    assert container.state()["status"] == "created"
    container.start()
    assert container.state()["status"] == "running"
    assert container.id in front("list", "--quiet").ok().lines
    container.command("kill", "KILL").ok()
    container.wait()
    assert container.output == "inside\n"
    container.delete(force=False).ok()
    assert front("list", "--quiet").ok().stdout == ""


def test_a_wrong_config_gets_the_same_line(front: Runtime, config: Config) -> None:
    config.process["cwd"] = "relative"
    result = front.run(config, "true")
    assert result.status == 1
    assert "/process/cwd" in result.stderr


def test_it_works_through_a_link_from_any_directory_without_environment(
    front: Runtime, config: Config, workspace: Path
) -> None:
    link = workspace / "pyrunc-link"
    link.symlink_to(front.program)
    linked = Runtime(link, front.root)
    result = linked.run(config, "echo", "ran", env={}, cwd=Path("/"))
    assert result.ok().stdout == "ran\n"


def test_a_container_of_one_front_end_is_that_of_the_others(
    pyrunc: Runtime, config: Config
) -> None:
    present = [Runtime(path, pyrunc.root) for path in FRONTS.values() if path.exists()]
    container = present[0].create(config, "sleep", "100")
    for other in present:
        assert other("state", container.id).ok().stdout == container.command("state").stdout
    present[-1]("start", container.id).ok()
    present[-1]("delete", "--force", container.id).ok()
    assert container.command("state").status == 1
