# SPDX-License-Identifier: Apache-2.0
"""The library for asyncio."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

import pyrunc
from pyrunc import aio
from tests.support import machine
from tests.support.wait import until

pytestmark = pytest.mark.root
Script = Callable[[str], pyrunc.Spec]


@pytest.fixture
def runtime(library: pyrunc.Runtime) -> aio.Runtime:
    return aio.Runtime(library.root)


def test_a_program_runs_to_its_end(runtime: aio.Runtime, script: Script) -> None:
    done = asyncio.run(runtime.run(script("cat; exit 3"), input=b"input"))
    assert (done.returncode, done.stdout) == (3, b"input")


def test_a_life_with_exec_limits_and_events(runtime: aio.Runtime, script: Script) -> None:
    async def life() -> list[str]:
        async with await runtime.create(script("sleep 60").limit(pids=20)) as container:
            await container.start()
            assert await container.status() == "running"
            done = await container.exec(["sh", "-c", "cat; exit 5"], input=b"x")
            assert (done.returncode, done.stdout) == (5, b"x")
            await container.update({"pids": {"limit": 30}})
            assert (await container.stats()).pids.limit == 30
            with pytest.raises(TimeoutError):
                await container.wait(timeout=0.1)
            container.kill()
            assert await container.wait() == 137
            return [event.type async for event in container.events(interval=0.1)]

    assert asyncio.run(life())[-1] == "exit"


def test_many_wait_for_one_process(runtime: aio.Runtime, script: Script) -> None:
    async def life() -> list[int]:
        async with await runtime.create(script("sleep 0.3; exit 4")) as container:
            await container.start()
            return await asyncio.gather(*(container.wait() for _ in range(10)))

    assert asyncio.run(life()) == [4] * 10


def test_many_containers_at_once(runtime: aio.Runtime, script: Script) -> None:
    async def all_of_them() -> list[str]:
        done = await asyncio.gather(*(runtime.run(script(f"echo {n}")) for n in range(40)))
        return [one.text.strip() for one in done]

    assert asyncio.run(all_of_them()) == [str(n) for n in range(40)]


@pytest.mark.parametrize("after_s", [0.0, 0.002, 0.01, 0.03, 0.1, 0.3])
def test_a_cancelled_run_leaves_nothing(
    runtime: aio.Runtime, script: Script, library: pyrunc.Runtime, after_s: float
) -> None:
    library.run(script("true"))
    before = machine.descriptors()

    async def cancelled() -> None:
        task = asyncio.ensure_future(runtime.run(script("sleep 60")))
        await asyncio.sleep(after_s)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    until(lambda: not library.ids(), "the container is deleted")
    until(lambda: machine.descriptors() <= before, "every descriptor is closed")
    assert threading.active_count() == 1


def test_a_cancelled_sandbox_run_kills_the_program(
    library: pyrunc.Runtime, spec: pyrunc.Spec, base: Path
) -> None:
    async def cancelled() -> None:
        async with aio.Sandbox(base, spec=spec, runtime=library, memory="64m") as box:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(box.run(["sleep", "60"]), 0.5)
            assert library.ids() == []
            assert (await box.run(["echo", "x"])).stdout == b"x\n"

    asyncio.run(cancelled())
