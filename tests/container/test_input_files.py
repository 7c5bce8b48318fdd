# SPDX-License-Identifier: Apache-2.0
"""Files that a command line names: links, pipes, standard input."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from pathlib import Path

import pytest

from tests.support.bundle import PATH, Config
from tests.support.runtime import Container, Result, Runtime

PROCESS = {"args": ["echo", "hello"], "cwd": "/", "env": [PATH], "user": {"uid": 0, "gid": 0}}


def piped(path: Path, text: str) -> threading.Thread:
    """Somebody who writes into a new FIFO when it is opened."""
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_text, args=(text,))
    writer.start()
    return writer


def substituted(runtime: Runtime, command: str, text: str) -> Result:
    """A command line of bash in which FILE is a process substitution."""
    line = command.replace("FILE", '<(printf %s "$TEXT")')
    argv = [runtime.program, "--root", runtime.root, *runtime.globals]
    done = subprocess.run(
        ["bash", "-c", f'"$@" {line}', "bash", *map(str, argv)],
        env={**os.environ, "TEXT": text},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return Result((line,), done.returncode, done.stdout, done.stderr)


def test_a_configuration_behind_a_link(runtime: Runtime, config: Config, workspace: Path) -> None:
    config.process["args"] = ["echo", "hello"]
    config.write()
    (config.bundle / "config.json").rename(workspace / "shared.json")
    (config.bundle / "config.json").symlink_to("../shared.json")
    done = runtime("run", "--bundle", config.bundle, runtime.new_id())
    assert done.ok().stdout == "hello\n"


def test_a_configuration_in_a_pipe(runtime: Runtime, config: Config) -> None:
    config.process["args"] = ["echo", "hello"]
    config.write()
    path = config.bundle / "config.json"
    text = path.read_text()
    path.unlink()
    writer = piped(path, text)
    assert runtime("run", "--bundle", config.bundle, runtime.new_id()).ok().stdout == "hello\n"
    writer.join()


def test_a_process_behind_a_link(running: Container, workspace: Path) -> None:
    (workspace / "real.json").write_text(json.dumps(PROCESS))
    (workspace / "process.json").symlink_to("real.json")
    done = running.runtime("exec", "--process", workspace / "process.json", running.id)
    assert done.ok().stdout == "hello\n"


def test_a_process_in_a_pipe(running: Container, workspace: Path) -> None:
    writer = piped(workspace / "process.json", json.dumps(PROCESS))
    done = running.runtime("exec", "--process", workspace / "process.json", running.id)
    assert done.ok().stdout == "hello\n"
    writer.join()


@pytest.mark.parametrize("name", ["/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"])
def test_a_process_on_standard_input(pyrunc: Runtime, running: Container, name: str) -> None:
    text = json.dumps({**PROCESS, "args": ["echo", "hello"]})
    assert pyrunc("exec", "--process", name, running.id, stdin=text).ok().stdout == "hello\n"


def test_a_process_of_a_substitution(runtime: Runtime, running: Container) -> None:
    done = substituted(runtime, f"exec --process FILE {running.id}", json.dumps(PROCESS))
    assert done.ok().stdout == "hello\n"


@pytest.mark.parametrize("name", ["-", "/dev/stdin"])
def test_resources_on_standard_input(runtime: Runtime, running: Container, name: str) -> None:
    text = json.dumps({"pids": {"limit": 77}})
    runtime("update", "--resources", name, running.id, stdin=text).ok()
    assert running.command("exec", "true").status == 0


def test_resources_of_a_substitution(runtime: Runtime, running: Container) -> None:
    text = json.dumps({"pids": {"limit": 77}})
    substituted(runtime, f"update --resources FILE {running.id}", text).ok()


def test_mounts_of_a_substitution(pyrunc: Runtime, running: Container) -> None:
    text = json.dumps([{"destination": "/mnt", "type": "tmpfs", "source": "named"}])
    substituted(pyrunc, f"mounts add {running.id} FILE", text).ok()
    assert "named /mnt" in running.command("exec", "cat", "/proc/mounts").ok().stdout


@pytest.mark.parametrize("verb", ["exec", "update", "mounts"])
def test_a_directory_is_no_file(pyrunc: Runtime, running: Container, verb: str) -> None:
    argv = {
        "exec": ("exec", "--process", "/tmp", running.id),
        "update": ("update", "--resources", "/tmp", running.id),
        "mounts": ("mounts", "add", running.id, "/tmp"),
    }[verb]
    result = pyrunc(*argv)
    assert result.status == 1 or (verb == "exec" and result.status == 255)
    assert "/tmp is not a regular file" in result.error


def test_an_absent_descriptor_is_named(pyrunc: Runtime, running: Container) -> None:
    result = pyrunc("mounts", "add", running.id, "/dev/fd/77")
    assert result.status == 1
    assert "cannot open /dev/fd/77: bad file descriptor" in result.error
