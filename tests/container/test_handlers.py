# SPDX-License-Identifier: Apache-2.0
"""Handlers: a program of the host runs in the container in place of the bundle's."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import wasm
from tests.support.bundle import Config
from tests.support.machine import TOKEN
from tests.support.runtime import Runtime
from tests.support.types import Create, Shell
from tests.support.wait import until
from tests.vm import wasm as wasm_cache

NAME = "run.oci.handler"
DIRECTORY = Path("/etc/pyrunc/handlers.d")
BUSYBOX = "/bin/busybox"  # static
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="handlers are described by root")
Describe = Callable[..., str]


@pytest.fixture
def describe() -> Iterator[Describe]:
    """Write a description; it is gone after the test, with the directories that it needed."""
    made = [one for one in (DIRECTORY.parent, DIRECTORY) if not one.exists()]
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    file = DIRECTORY / f"{TOKEN}.json"

    def write(**value: Any) -> str:
        description = {"name": f"{TOKEN}-handler", "program": BUSYBOX, **value}
        file.write_text(json.dumps(description))
        return str(description["name"])

    yield write
    file.unlink(missing_ok=True)
    for one in reversed(made):
        one.rmdir()


def test_the_handler_of_the_annotation_gets_the_arguments_of_the_bundle(
    pyrunc: Runtime, create: Create, config: Config, describe: Describe
) -> None:
    """crun#1108: the image has nothing that the host's program needs."""
    config["annotations"] = {NAME: describe(args=["echo", "handled"])}
    container = create(config, "/module.wasm", "one").start().wait()
    assert container.output == "handled /module.wasm one\n"


@pytest.mark.parametrize(
    "way", [{"suffix": ".wasm"}, {"annotations": {"module.wasm.image/variant": ["compat"]}}]
)
def test_a_bundle_is_recognised(
    pyrunc: Runtime, create: Create, config: Config, describe: Describe, way: dict[str, Any]
) -> None:
    """WasmEdge#2238, WasmEdge#1675: exec format error where nobody knows the bundle."""
    describe(args=["echo", "handled"], **way)
    config["annotations"] = {"module.wasm.image/variant": "compat"}
    container = create(config, "/module.wasm").start().wait()
    assert container.output == "handled /module.wasm\n"


def test_a_handler_is_confined_as_the_bundle_s_program_would_be(
    pyrunc: Runtime, create: Create, config: Config, describe: Describe
) -> None:
    script = """
    id -u; grep -E 'NoNewPrivs|CapEff' /proc/self/status; ls /proc/self/fd | wc -l
    { echo x >/proc/1/exe; } 2>&1 | grep -o 'Read-only file system'
    """
    config["annotations"] = {NAME: describe(args=["sh", "-c", script])}
    config.process["capabilities"] = {}
    container = create(config, "sh").start().wait()
    words = container.output.split()
    assert words[0] == "0"
    assert words[1:5] == ["CapEff:", "0" * 16, "NoNewPrivs:", "1"]
    assert words[5] == "4"  # 0 to 2 and that of ls
    assert words[6:] == ["Read-only", "file", "system"]


def test_what_a_handler_needs_is_visible_and_cannot_be_written(
    pyrunc: Runtime, create: Create, config: Config, describe: Describe, tmp_path: Path
) -> None:
    (tmp_path / "library").write_text("needed\n")
    script = f"cat {tmp_path}/library; echo x 2>/dev/null >{tmp_path}/library || echo refused"
    name = describe(args=["sh", "-c", script], visible=[str(tmp_path)])
    config["annotations"] = {NAME: name}
    container = create(config, "sh").start().wait()
    assert container.output.split() == ["needed", "refused"]


def test_exec_runs_programs_of_the_image(
    pyrunc: Runtime, create: Create, config: Config, describe: Describe
) -> None:
    config["annotations"] = {NAME: describe(args=["sleep", "100"])}
    container = create(config, "1").start()
    assert container.command("exec", "echo", "image").ok().stdout == "image\n"


@pytest.fixture
def webassembly(describe: Describe) -> str:
    """The name of a handler that runs WebAssembly with the host's wasmedge."""
    if os.environ.get("IN_GUEST") and not wasm_cache.ready():
        pytest.skip("guests have no network to fetch wasmedge")
    program = wasm_cache.program()
    libraries = [str(wasm_cache.libraries())]
    return describe(program=str(program), suffix=".wasm", visible=libraries)


def put(config: Config, code: bytes) -> str:
    """Write a module into the root of a bundle; returns its path inside."""
    (config.rootfs / "module.wasm").write_bytes(code)
    return "/module.wasm"


def test_a_webassembly_module_runs(
    pyrunc: Runtime, create: Create, config: Config, webassembly: str
) -> None:
    """The image holds nothing but the module, and the end of its name tells what it is."""
    container = create(config, put(config, wasm.WRITE)).start().wait()
    assert container.output == wasm.MESSAGE.decode()


def test_the_filter_of_system_calls_holds_for_webassembly(
    pyrunc: Runtime, config: Config, webassembly: str
) -> None:
    argv = put(config, wasm.WRITE)
    config.linux["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["writev"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1}],
    }
    result = pyrunc.run(config, argv)
    assert (result.status, result.stdout) == (wasm.NOT_PERMITTED, ""), result.stderr


def test_namespaces_and_privileges_hold_for_webassembly(
    pyrunc: Runtime, create: Create, config: Config, webassembly: str
) -> None:
    config.linux["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW"}
    config.process["capabilities"] = {}
    config.process["user"] = {"uid": 1000, "gid": 1000}
    config.process["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 99, "hard": 99}]
    container = create(config, put(config, wasm.SPIN)).start()
    proc = Path(f"/proc/{container.pid}")
    until(lambda: (proc / "comm").read_text() != "sh\n", "the module runs")
    kinds = [one["type"] for one in config.linux["namespaces"]]
    files = {"mount": "mnt", "network": "net"}
    own = [os.readlink(proc / "ns" / files.get(kind, kind)) for kind in kinds]
    host = [os.readlink(f"/proc/self/ns/{files.get(kind, kind)}") for kind in kinds]
    assert not set(own) & set(host)
    lines = (proc / "status").read_text().splitlines()
    status = {name: value.split() for name, _, value in (line.partition(":") for line in lines)}
    assert status["Uid"] == ["1000"] * 4
    assert status["CapBnd"] == ["0" * 16]
    assert status["Seccomp"] == ["2"]
    assert status["NSpid"][-1] == "1"
    assert "99" in (proc / "limits").read_text().partition("Max open files")[2].split()[0]


def test_a_limit_of_memory_holds_for_webassembly(
    pyrunc: Runtime, config: Config, webassembly: str
) -> None:
    config.linux["resources"] = {"memory": {"limit": 256 << 20, "swap": 256 << 20}}
    result = pyrunc.run(config, put(config, wasm.GREEDY))
    assert result.status == 128 + signal.SIGKILL
    assert "OOM-killed" in result.stderr


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"name": "other"}, "no handler"),
        ({"program": "busybox"}, "program must be an absolute path"),
        ({"program": "/nonexistent"}, "cannot find /nonexistent"),
        ({"argument": []}, "'argument' is not known"),
        ({"args": "run"}, "args must be an array of texts"),
        ({"visible": ["lib"]}, "visible must be absolute paths"),
        ({"annotations": {"a": "b"}}, "annotations must be an object"),
    ],
)
def test_a_handler_that_is_not_there_or_not_valid_is_an_error(
    pyrunc: Runtime, config: Config, describe: Describe, change: dict[str, Any], text: str
) -> None:
    describe(**change)
    config["annotations"] = {NAME: f"{TOKEN}-handler"}
    config.write()
    result = pyrunc("run", "--bundle", config.bundle, pyrunc.new_id())
    assert result.status == 1
    assert text in result.error


def test_a_description_that_others_can_change_is_not_used(
    pyrunc: Runtime, config: Config, describe: Describe
) -> None:
    config["annotations"] = {NAME: describe()}
    (DIRECTORY / f"{TOKEN}.json").chmod(0o666)
    config.write()
    result = pyrunc("run", "--bundle", config.bundle, pyrunc.new_id())
    assert "is not safe to use: others can change it" in result.error


def test_features_lists_the_handlers(pyrunc: Runtime, shell: Shell, describe: Describe) -> None:
    name = describe()
    found = json.loads(pyrunc("features").ok().stdout)["annotations"]
    assert name in found["org.pyrunc.handlers"].split()
