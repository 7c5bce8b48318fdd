# SPDX-License-Identifier: Apache-2.0
"""Bytes to checked nodes: a configuration, a process (`exec --process`), resources (`update`).

PURE.
"""

from __future__ import annotations

from pyrunc.spec import strict
from pyrunc.spec.check import check_config, check_process, check_resources
from pyrunc.spec.model import Config, Process, User
from pyrunc.spec.model_linux import Linux
from pyrunc.spec.model_resources import Resources
from pyrunc.spec.options import asks_for_bind
from pyrunc.spec.problems import Problems
from pyrunc.spec.readers import read_node

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrunc.errors import Problem
    from pyrunc.spec.readers import AnyNode


# What concerns the container as a whole, and not one more process in it.
OF_THE_CONTAINER = ("mounts", "hooks")
OF_THE_CONTAINER_LINUX = (
    "devices",
    "maskedPaths",
    "netDevices",
    "readonlyPaths",
    "resources",
    "sysctl",
)


def parse_config(
    data: bytes, *, source: str = "config.json", whole: bool = True, bundle: str = ""
) -> Config:
    """Parse the configuration of a container; ConfigErrors with everything that is wrong.

    Not `whole`: a configuration that was checked when it was saved, without what `exec` does not
    look at. `bundle` is an absolute path: what relative sources of mounts start from. `raw` keeps
    them as they were written.
    """
    raw, problems = _decode(data, source)
    if not whole:
        _leave_out(raw, OF_THE_CONTAINER)
        _leave_out(raw.get("linux"), OF_THE_CONTAINER_LINUX)
    config = read_node(Config, raw, "", problems)
    if not config.has("linux"):
        config.linux = _empty(Linux, "/linux")
    if config.has("process"):
        _complete(config.process)
    check_config(config, problems)
    problems.finish(source=source)
    if bundle:
        _place_sources(config, bundle)
    config.raw = raw
    config.warnings = tuple(problems.warnings)
    return config


def parse_process(
    data: bytes, *, source: str = "process.json", warnings: list[Problem] | None = None
) -> Process:
    """Parse a process that `exec` adds to a container; pointers start at the process.

    `warnings` is extended with what is no error.
    """
    raw, problems = _decode(data, source)
    process = read_node(Process, raw, "", problems)
    _complete(process)
    check_process(process, problems)
    problems.finish(source=source)
    if warnings is not None:
        warnings += problems.warnings
    return process


def parse_resources(
    data: bytes, *, source: str = "resources.json", warnings: list[Problem] | None = None
) -> Resources:
    """Limits that `update` changes; pointers start at the resources.

    `warnings` is extended with what is no error.
    """
    raw, problems = _decode(data, source)
    resources = read_node(Resources, raw, "", problems)
    check_resources(resources, problems, partial=True)
    problems.finish(source=source)
    if warnings is not None:
        warnings += problems.warnings
    return resources


def _decode(data: bytes, source: str) -> tuple[dict[str, Any], Problems]:
    raw = strict.decode(data, source=source)
    problems = Problems()
    if type(raw) is not dict:
        problems.kind("", raw, "an object")
        problems.finish(source=source)
    return raw, problems


def _place_sources(config: Config, bundle: str) -> None:
    """Make relative sources absolute: those of binds are relative to the bundle (config.md).

    Of the other types many have sources that are no paths; a leading dot says that one is.
    """
    for mount in config.mounts:
        source = mount.source or ""
        if source and source[0] != "/" and (source[0] == "." or asks_for_bind(mount)):
            mount.source = f"{bundle}/{source}"


def _leave_out(node: Any, names: tuple[str, ...]) -> None:
    if type(node) is dict:
        for name in names:
            node.pop(name, None)


def _complete(process: Process) -> None:
    if not process.has("user"):
        process.user = _empty(User, process.pointer + "/user")


def _empty(cls: type[AnyNode], pointer: str) -> AnyNode:
    return read_node(cls, {}, pointer, Problems())
