# SPDX-License-Identifier: Apache-2.0
"""Handlers: programs of the host that run in a container in place of the bundle's.

A description is a JSON file of root in DIRECTORY:

    name         what the annotation `run.oci.handler` selects
    program      absolute path of the program on the host
    args         its arguments before those of the bundle (process.args, all of them)
    annotations  recognised without that annotation: a name, and the values that count
    suffix       recognised by the end of process.args[0], such as ".wasm"
    visible      absolute paths of the host that are shown at the same place, read-only

The program is cloned as a read-only mount of its own and executed by descriptor: nothing of it need
be in the container, and nobody there can write to it (/proc/self/exe).
"""

from __future__ import annotations

import os
import stat
from errno import ENOENT

from pyrunc import jsontext
from pyrunc.errors import ConfigErrors, Failure
from pyrunc.log import log
from pyrunc.spec import strict
from pyrunc.spec.load import read_bounded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrunc.spec.model import Config

ANNOTATION = "run.oci.handler"
POINTER = f"/annotations/{ANNOTATION}"
DIRECTORY = "/etc/pyrunc/handlers.d"
SUFFIX = ".json"
PROPERTIES = ("name", "program", "args", "annotations", "suffix", "visible")


class Handler:
    """One description, checked."""

    __slots__ = ("annotations", "args", "name", "program", "suffix", "visible")

    def __init__(self, value: dict[str, Any]) -> None:
        self.name = str(value["name"])
        self.program = str(value["program"])
        self.args: list[str] = value.get("args", [])
        self.annotations: dict[str, list[str]] = value.get("annotations", {})
        self.suffix: str = value.get("suffix", "")
        self.visible: list[str] = value.get("visible", [])

    def recognises(self, config: Config) -> bool:
        if any(config.annotations.get(name) in values for name, values in self.annotations.items()):
            return True
        return bool(self.suffix) and config.process.args[0].endswith(self.suffix)

    def amend(self, data: bytes) -> bytes:
        """Return the configuration with the handler's arguments, and with what it has to see."""
        config: dict[str, Any] = jsontext.decode(data.decode())
        process = config["process"]
        process["args"] = [os.path.basename(self.program), *self.args, *process["args"]]
        shown = [
            {
                "destination": path,
                "type": "bind",
                "source": path,
                "options": ["rbind", "ro", "nosuid", "nodev"],
            }
            for path in self.visible
        ]
        config["mounts"] = [*(config.get("mounts") or ()), *shown]
        return jsontext.encode(config).encode()


def choose(config: Config) -> Handler | None:
    """Return the handler of a container: the one that it names, else the first that knows it.

    Raises Failure when the named one is not there, or is not valid.
    """
    wanted = config.annotations.get(ANNOTATION, "")
    names = listed()
    if not names and not wanted:
        return None
    for handler in _load_all(names, strictly=bool(wanted)):
        if handler.name == wanted or (not wanted and handler.recognises(config)):
            log.step("the handler %s runs %s", handler.name, handler.program)
            return handler
    if wanted:
        raise Failure(
            f"no handler {wanted[:100]!r} is described in {DIRECTORY}",
            pointer=POINTER,
            hint="a description is a JSON file of root with a name and a program",
        )
    return None


def listed() -> list[str]:
    """Return the names of the files with descriptions, in order."""
    try:
        return sorted(name for name in os.listdir(DIRECTORY) if name.endswith(SUFFIX))
    except OSError as error:
        if error.errno == ENOENT:
            return []
        raise Failure(f"cannot read {DIRECTORY}", errno=error.errno or 0) from error


def known() -> list[str]:
    """Return the names of all handlers whose descriptions are valid."""
    return [handler.name for handler in _load_all(listed(), strictly=False)]


def _load_all(names: list[str], *, strictly: bool) -> list[Handler]:
    loaded = []
    for name in names:
        try:
            loaded.append(load(name))
        except Failure as failure:
            if strictly:
                raise
            log.warning(f"a handler is left out: {failure}")
    return loaded


def load(name: str) -> Handler:
    """Read one description; Failure says what is wrong with it."""
    path = f"{DIRECTORY}/{name}"
    check_owner(DIRECTORY)
    check_owner(path)
    try:
        value = strict.decode(read_bounded(path, name=path), source=path)
    except ConfigErrors as errors:
        raise Failure(f"{path}: {errors.problems[0].message}") from errors
    wrong = _wrong(value)
    if wrong:
        raise Failure(f"{path}: {wrong}")
    handler = Handler(value)
    check_owner(handler.program)
    return handler


def check_owner(path: str) -> None:
    """Check that nobody but root (or the caller) could put something else there."""
    try:
        facts = os.stat(path)
    except OSError as error:
        raise Failure(f"cannot find {path}", errno=error.errno or 0, pointer=POINTER) from error
    if facts.st_uid not in (0, os.geteuid()) or facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise Failure(
            f"{path} is not safe to use: others can change it",
            pointer=POINTER,
            hint=f"chown root {path} and chmod go-w {path}",
        )


def _wrong(value: Any) -> str:
    """Say what is wrong with a description; empty when it is right."""
    if not isinstance(value, dict):
        return "must be an object"
    unknown = sorted(value.keys() - set(PROPERTIES))
    if unknown:
        return f"{unknown[0][:100]!r} is not known (allowed: {', '.join(PROPERTIES)})"
    if not isinstance(value.get("name"), str) or not value["name"]:
        return "name must be a text"
    program = value.get("program")
    if not isinstance(program, str) or not program.startswith("/"):
        return "program must be an absolute path"
    if not isinstance(value.get("suffix", ""), str):
        return "suffix must be a text"
    for key in ("args", "visible"):
        if not _texts(value.get(key, [])):
            return f"{key} must be an array of texts"
    if not all(path.startswith("/") for path in value.get("visible", [])):
        return "visible must be absolute paths"
    chosen = value.get("annotations", {})
    if not isinstance(chosen, dict) or not all(map(_texts, chosen.values())):
        return "annotations must be an object with arrays of texts"
    return ""


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)
