# SPDX-License-Identifier: Apache-2.0
"""Commands at the same time on the same ids: what one has made another never takes for its own."""

from __future__ import annotations

import os
import random
import subprocess
import threading
import time

import pytest

from tests.support.bundle import Config
from tests.support.runtime import Runtime

SECONDS = float(os.environ.get("PYRUNC_CONCURRENCY_S", "6"))
WORKERS = 6
VERBS = ("create", "run", "start", "delete", "delete --force", "kill", "pause", "resume", "state")
# What no interleaving may end in.
NEVER = ("internal error", "Traceback", "not empty", "unable to remove", "may be left")


def mixed(runtime: Runtime, config: Config, ids: list[str]) -> list[str]:
    """Random commands by several workers for a while; what was said that must never be."""
    end = time.monotonic() + SECONDS
    wrong: list[str] = []

    def work(seed: int) -> None:
        chance = random.Random(seed)
        while time.monotonic() < end:
            verb, name = chance.choice(VERBS), chance.choice(ids)
            extra = ["KILL"] if verb == "kill" else []
            flags = ["--bundle", str(config.bundle)] if verb in ("create", "run") else []
            flags += ["--detach"] if verb == "run" and chance.random() < 0.5 else []
            result = runtime(*verb.split(), *flags, name, *extra)
            if any(text in result.stderr for text in NEVER):
                wrong.append(f"{verb}: {result.stderr}")

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(WORKERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
        while thread.is_alive():  # a `run` whose container nobody ends any more
            for name in ids:
                runtime("delete", "--force", name)
            thread.join(1)
    return wrong


@pytest.mark.slow
@pytest.mark.parametrize("shared_pid", [False, True], ids=["own-pid", "shared-pid"])
def test_a_mix_of_commands_on_two_ids_leaves_nothing(
    runtime: Runtime, config: Config, shared_pid: bool
) -> None:
    """G6, G7, ST-5: the harness looks for processes, cgroups, mounts and states."""
    config.process["args"] = ["sleep", "0.2"]
    if shared_pid:
        config.without_namespace("pid")
    config.write()
    ids = [runtime.new_id(), runtime.new_id()]
    assert mixed(runtime, config, ids) == []
    for name in ids:
        result = runtime("delete", "--force", name).ok()
        assert result.stderr == ""
    assert list(runtime.root.iterdir()) == []


def test_one_of_many_creates_of_an_id_wins(runtime: Runtime, config: Config) -> None:
    """ST-5: the others say that it exists, and change nothing of it."""
    config.process["args"] = ["sleep", "600"]
    config.write()
    name = runtime.new_id()
    argv = runtime.argv("create", "--bundle", config.bundle, name)
    null = subprocess.DEVNULL
    children = [
        subprocess.Popen(argv, stdin=null, stdout=null, stderr=null, start_new_session=True)
        for _ in range(24)
    ]
    assert sorted(child.wait(60) for child in children) == [0] + [1] * 23
    runtime("state", name).ok()
    runtime("delete", "--force", name).ok()


def test_a_create_and_a_delete_of_one_id_never_meet(runtime: Runtime, config: Config) -> None:
    """ST-5: create / delete / create, where the first create is held up at each of its calls in
    the state root. What there is in the end is whole.
    """
    config.process["args"] = ["sleep", "600"]
    config.write()
    for call in ("mkdirat", "flock", "renameat2"):
        name = runtime.new_id()
        create = runtime.argv("create", "--bundle", str(config.bundle), name)
        inject = f"inject={call}:delay_exit=400000:when=1"
        null = subprocess.DEVNULL
        slow = subprocess.Popen(
            ["strace", "-o", "/dev/null", "-e", "trace=" + call, "-e", inject, *create],
            stdin=null,
            stdout=null,
            stderr=null,
            start_new_session=True,
        )
        time.sleep(0.25)
        runtime("delete", "--force", name).ok()
        second = subprocess.run(create, stdin=null, stdout=null, stderr=null, check=False)
        first = slow.wait(60)
        assert 0 in (first, second.returncode), call
        assert '"created"' in runtime("state", name).ok().stdout, call
        runtime("start", name).ok()
        runtime("delete", "--force", name).ok()
        assert list(runtime.root.iterdir()) == [], call
