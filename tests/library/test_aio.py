# SPDX-License-Identifier: Apache-2.0
"""The library for asyncio."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

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


def test_pipes_are_read_and_written_by_tasks(runtime: aio.Runtime, script: Script) -> None:
    async def talk() -> tuple[list[bytes], bytes, int]:
        text = "while read a; do echo got $a; done; echo end; echo error >&2; exit 3"
        pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), pyrunc.PIPE)
        async with await runtime.create(script(text), **pipes) as container:
            await container.start()
            lines = []
            for word in (b"1", b"2"):
                assert await container.stdin.write(word + b"\n") == 2
                lines.append(await container.stdout.readline())
            container.stdin.close()
            lines += [line async for line in container.stdout]
            assert (await container.stdout.read(), await container.stdout.read(5)) == (b"", b"")
            return lines, await container.stderr.readall(), await container.wait()

    lines, error, code = asyncio.run(talk())
    assert lines == [b"got 1\n", b"got 2\n", b"end\n"]
    assert (error, code) == (b"error\n", 3)


def test_what_a_task_has_not_read_is_for_communicate(runtime: aio.Runtime, script: Script) -> None:
    async def talk() -> bytes:
        pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout"), pyrunc.PIPE)
        async with await runtime.create(script("echo one; echo two; cat"), **pipes) as container:
            await container.start()
            assert await container.stdout.readline() == b"one\n"
            assert await container.stdout.read(1) == b"t"
            done = await container.communicate(b"three")
            with pytest.raises(pyrunc.StateError, match="stdout is no open pipe"):
                container.stdout  # noqa: B018
            return done.stdout

    assert asyncio.run(talk()) == b"wo\nthree"


def test_more_than_a_pipe_holds_goes_both_ways(runtime: aio.Runtime, script: Script) -> None:
    data = bytes(range(256)) * 4096

    async def talk() -> bytes:
        pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout"), pyrunc.PIPE)
        async with await runtime.create(script("cat"), **pipes) as container:
            await container.start()

            async def feed() -> None:
                await container.stdin.write(data)
                container.stdin.close()

            task = asyncio.ensure_future(feed())
            result = await container.stdout.readall()
            await task
            return result

    assert asyncio.run(talk()) == data


def test_a_task_that_reads_can_be_cancelled(runtime: aio.Runtime, script: Script) -> None:
    async def talk() -> bytes:
        pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout"), pyrunc.PIPE)
        async with await runtime.create(script("cat"), **pipes) as container:
            await container.start()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(container.stdout.readline(), 0.1)
            with pytest.raises(pyrunc.TimeoutExpired):
                await container.wait(timeout=0.1)
            await container.stdin.write(b"line\n")
            return await container.stdout.readline()

    assert asyncio.run(talk()) == b"line\n"


def test_those_who_wait_do_not_keep_others_from_working(
    runtime: aio.Runtime, script: Script, library: pyrunc.Runtime
) -> None:
    """A loop has a few worker threads; every program that is waited for would take one."""
    waiting = 40

    async def crowd() -> str:
        async with await runtime.create(script("sleep 600")) as container:
            await container.start()
            tasks: list[asyncio.Future[Any]] = [
                asyncio.ensure_future(container.exec(["sleep", "600"])) for _ in range(waiting)
            ]
            tasks.append(asyncio.ensure_future(runtime.run(script("sleep 600"))))
            while (
                sum(entry.command == "sleep 600" for entry in await container.processes())
                <= waiting
            ):
                await asyncio.sleep(0.05)
            done = await container.exec(["echo", "served"])
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            assert {type(result) for result in results} == {asyncio.CancelledError}
            return done.text

    assert asyncio.run(crowd()) == "served\n"
    assert library.ids() == []


def test_a_sandbox_needs_no_block(
    library: pyrunc.Runtime, spec: pyrunc.Spec, base: Path, runtime: aio.Runtime
) -> None:
    async def use() -> None:
        box = aio.Sandbox(base, spec=spec, runtime=runtime, program=["cat"], pool=2)
        try:
            assert box.runtime is runtime
            assert (await box.run(input=b"x")).stdout == b"x"
        finally:
            await box.close()
        assert library.ids() == []
        async with aio.Sandbox(base, spec=spec, runtime=library, program=["cat"], pool=2) as box:
            assert len(library.ids()) == 2
            assert (await box.run(input=b"y")).stdout == b"y"
        assert library.ids() == []

    asyncio.run(use())
