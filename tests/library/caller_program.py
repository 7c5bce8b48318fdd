# SPDX-License-Identifier: Apache-2.0
"""A program against the public names alone, for type checkers: it is never run."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import assert_type

import pyrunc
from pyrunc import DEVNULL, PIPE, STDOUT, Host, Policy, Refusal, Spec, aio


def floor(spec: Spec, host: Host) -> Spec | Refusal:
    if host.euid != 0:
        return Refusal("root only", pointer="/process/user", hint="use sudo")
    return spec.limit(memory="64m")


def specs(image: Path, mapping: Mapping[str, object]) -> Spec:
    policy: Policy = floor
    assert_type(policy(Spec({}), Host(euid=0, egid=0)), Spec | Refusal)
    for one in (
        Spec(mapping),
        Spec.parse("{}"),
        Spec.parse(b"{}"),
        Spec.load(image),
        Spec.load("x"),
    ):
        assert_type(one, Spec)
        assert_type(one == one, bool)
        assert_type(str(one), str)
        assert_type(hash(one), int)
    spec = Spec.default(["sh", "-c", "true"], rootfs=image)
    spec = spec.limit(memory="64m", cpus=1.5, pids=50).limit(memory=1 << 30)
    spec = spec.mount("/cache", type="tmpfs", options=["size=1m"]).bind(image, "/data")
    spec = spec.env(A="b").env({"C": "d"}).user(1000).user(1, 2, groups=[3]).cwd("/")
    spec = spec.network("none").network("/run/netns/x").seccomp("default").seccomp(None)
    spec = spec.seccomp(Path("p.json")).rootless().ephemeral(size="1g").readonly().hostname("h")
    spec = spec.set("/process/terminal", False).annotation("a", "b").capabilities("CAP_KILL")
    spec = spec.terminal(rows=1, columns=2).user_namespace().without_user_namespace().args("sh")
    assert_type(spec.json(indent=1), str)
    return spec


def blocking(spec: Spec, images: Path) -> None:
    runtime = pyrunc.Runtime(root="/run/x", cgroup_manager="cgroupfs", systemd=False, rootless=None)
    runtime = pyrunc.Runtime(policies=[floor], log=lambda level, message: print(level, message))
    report = runtime.check(spec)
    assert_type(report.ok, bool)
    for problem in (*report.errors, *report.warnings):
        assert_type((problem.pointer, problem.value, problem.hint), tuple[str, str, str])
    plan = runtime.explain(spec)
    assert_type(plan.writes, tuple[tuple[str, str], ...])
    assert_type(
        [(op.name, op.text, op.pointer) for op in plan.operations], list[tuple[str, str, str]]
    )
    done = runtime.run(spec, input=b"x", timeout=1.5)
    assert_type(done, pyrunc.Completed)
    assert_type((done.returncode, done.stdout, done.timed_out), tuple[int, bytes, bool])
    with runtime.create(spec, id="x", stdin=PIPE, stdout=sys.stdout, stderr=STDOUT) as container:
        assert_type(container, pyrunc.Container)
        assert_type(container.start(), pyrunc.Container)
        assert_type(container.exec(["id"], user=(1, 2), cwd="/", env={"A": "b"}).text, str)
        with container.spawn(["cat"], stdin=PIPE, stdout=PIPE, stderr=DEVNULL) as process:
            assert_type(process, pyrunc.Process)
            process.stdin.write(b"x")
            assert_type(process.stdout.readline(), bytes)
            assert_type(process.communicate(b"", timeout=1, limit=5), pyrunc.Completed)
        assert_type(container.kill("TERM"), bool)
        container.pause()
        container.resume()
        assert_type(container.update({"pids": {"limit": 3}}, dry_run=True), list[str])
        container.update(memory="1g", cpus=2, pids=3)
        stats = container.stats()
        assert_type(stats.memory.peak, int)
        assert_type((stats.cpu.usage_ns, stats.pids.current), tuple[int, int])
        for event in container.events(interval=1):
            assert_type(event, pyrunc.Event)
            assert_type(event.type, str)
        assert_type([one.command for one in container.processes()], list[str])
        assert_type([one.point for one in container.mounts()], list[str])
        assert_type((container.status, container.spec), tuple[str, Spec])
        assert_type(container.warnings, tuple[str, ...])
        container.checkpoint(images, leave_running=False)
        again = container.restore(images)
        assert_type(again.wait(timeout=3), int)
        again.delete(force=True)
    assert_type(runtime.restore(images, spec), pyrunc.Container)
    assert_type(runtime.get("x"), pyrunc.Container)
    for entry in runtime.list():
        assert_type((entry.id, entry.pid, entry.status), tuple[str, int, str])
    assert_type(runtime.ids(), list[str])
    assert_type(runtime.doctor(), list[str])
    print(runtime.features()["ociVersionMin"], runtime.info())


def untrusted(image: Path) -> None:
    with pyrunc.Sandbox(image, memory="64m", cpus=0.5, pids=10, program=["sh"], pool=2) as box:
        result = box.run(["sh"], files={"a": b"b"}, env={"A": "b"}, input=b"", timeout=5)
        assert_type(result, pyrunc.Result)
        assert_type((result.peak_memory, result.cpu_seconds), tuple[int, float])
        assert_type((result.oom_killed, result.refused), tuple[bool, tuple[str, ...]])


def errors(spec: Spec) -> str:
    try:
        pyrunc.Runtime().run(spec).check()
    except pyrunc.TimeoutExpired as error:
        return str(error.seconds)
    except pyrunc.ConfigErrors as error:
        return error.problems[0].line()
    except (pyrunc.StateError, pyrunc.HostError, pyrunc.InitError, pyrunc.UsageError) as error:
        return f"{error.pointer} {error.value} {error.hint} {error.errno} {error.detail}"
    except TimeoutError:
        return "an exception of Python's, too"
    except pyrunc.Failure as error:
        return str(error)
    return ""


async def waiting(spec: Spec) -> None:
    runtime = aio.Runtime(root="/run/x", policies=[floor])
    first, second = await asyncio.gather(runtime.run(spec), runtime.run(spec, timeout=1))
    assert_type((first, second), tuple[pyrunc.Completed, pyrunc.Completed])
    async with await runtime.create(spec, stdin=PIPE, stdout=PIPE) as container:
        assert_type(container.stdin, aio.Writer)
        assert_type(await container.stdin.write(b"x"), int)
        container.stdin.close()
        async for line in container.stdout:
            assert_type(line, bytes)
        assert_type(await container.stdout.readline(), bytes)
        assert_type((container.returncode, container.poll()), tuple[int | None, int | None])
        assert_type(await container.spec(), Spec)
        assert_type(runtime.bundle_path(container.id), str)
        async with await container.spawn(["cat"], user=5, env={"A": "b"}, stdout=PIPE) as process:
            assert_type(process, aio.Process)
            assert_type(process.kill("TERM"), bool)
        container.end()
        container.close()
        assert_type(await container.start(), aio.Container)
        assert_type(await container.exec(["id"], timeout=1), pyrunc.Completed)
        assert_type(await container.wait(timeout=1), int)
        assert_type(await container.stats(), pyrunc.Stats)
        async for event in container.events(interval=1):
            assert_type(event, pyrunc.Event)
    async with aio.Sandbox("/image", memory="64m") as box:
        assert_type(await box.run(["sh"], timeout=1), pyrunc.Result)
        assert_type((box.spec, box.runtime), tuple[Spec, aio.Runtime])
