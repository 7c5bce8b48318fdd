# SPDX-License-Identifier: Apache-2.0
"""The command line whose verbs go through the library, where it has the verb and the flags.

`pytest --front library` shows that both give the same result. Only the way differs: flags are
parsed and errors are printed by the command line's own code. What the library does not have (a
terminal for a console socket, descriptors beyond 2, a process file) is left to the commands.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable
from typing import Any

import pyrunc
from pyrunc import jsontext
from pyrunc.__main__ import main as command_line
from pyrunc.cli.choices import cgroup_driver, rootless
from pyrunc.cli.flags import Args
from pyrunc.cli.output import emit
from pyrunc.commands import common, create, delete, exec, kill, pause, resume, run, start, state
from pyrunc.commands import update as update_command
from pyrunc.errors import Failure, StateError
from pyrunc.log import log
from pyrunc.spec.signals import parse_signal

Verb = Callable[[Args], int]
GLOBAL = {"root", "log", "log-format", "log-level", "debug", "rootless", "cgroup-manager",
          "systemd-cgroup"}  # fmt: skip
# What each verb may be given so that the library does it.
FLAGS: dict[str, set[str]] = {
    "create": {"bundle"},
    "run": {"bundle", "detach"},
    "start": set(),
    "state": set(),
    "kill": set(),
    "delete": {"force"},
    "exec": {"env", "cwd", "user"},
    "pause": set(),
    "resume": set(),
    "update": set(update_command.FLAGS) | {"dry-run"},
}
SERVICE_MANAGER = ("LISTEN_FDS", "NOTIFY_SOCKET")
FORWARDED = set(signal.Signals) - {
    *(signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD, signal.SIGPIPE, signal.SIGSEGV),
    *(signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGURG),
}
USED = os.environ.get("PYRUNC_LIBRARY_USED", "")  # a file that gets the verbs the library has done


def runtime_of(args: Args) -> pyrunc.Runtime:
    return pyrunc.Runtime(
        args.text("root") or None,
        cgroup_manager=cgroup_driver(args),
        rootless=rootless(args),
        log=log.write,
    )


def is_for_library(args: Args) -> bool:
    if any(os.environ.get(name) for name in SERVICE_MANAGER):
        return False
    return set(args._values) <= GLOBAL | FLAGS[args.verb]


def has_terminal(bundle: str) -> bool:
    """Whether the program gets a terminal, which the command hands to somebody else."""
    try:
        return bool(pyrunc.Spec.load(bundle).get("/process/terminal"))
    except Failure:
        return True


def create_it(args: Args) -> pyrunc.Container:
    return runtime_of(args).create(
        args.text("bundle") or ".",
        id=args.positionals[0],
        stdin=0,
        stdout=1,
        stderr=2,
        detach=True,
    )


def created(args: Args) -> int:
    create_it(args).close()
    return 0


def ran(args: Args) -> int:
    container = create_it(args)
    handle = runtime_of(args).get(container.id)
    if not args.flag("detach"):
        forward(container)
    try:
        container.start()
    except BaseException:
        container.delete(force=True)
        raise
    if args.flag("detach"):
        container.close()
        handle.close()
        return 0
    return wait_for(container, handle)


def forward(process: pyrunc.Process) -> None:
    """Give the signals that this program gets to another."""
    for number in FORWARDED:
        signal.signal(number, lambda number, frame: process.kill(number) and None)


def wait_for(container: pyrunc.Container, handle: pyrunc.Container) -> int:
    """Stay with a container as `run` does: at the end it is deleted."""
    try:
        code = container.wait()
        if code > common.SIGNALLED:
            with handle._loaded() as loaded:
                common.explain_end(loaded, code)
        return code
    finally:
        with contextlib.suppress(StateError):  # somebody has deleted it
            handle.delete(force=True)
        container.close()


def started(args: Args) -> int:
    with runtime_of(args).get(args.positionals[0]) as container:
        container.start()
    return 0


def shown(args: Args) -> int:
    with runtime_of(args).get(args.positionals[0]) as container:
        found = container.state
        if found["status"] == "stopped":
            return ORIGINAL["state"](args)
        emit(jsontext.encode({**found, "owner": ""}, indent=2) + "\n")
    return 0


def killed(args: Args) -> int:
    name = args.positionals[1] if len(args.positionals) > 1 else kill.DEFAULT_SIGNAL
    number = parse_signal(name)
    with runtime_of(args).get(args.positionals[0]) as container:
        if not container.kill(number):
            hint = f"`pyrunc delete {container.id}` removes what is left of it"
            raise StateError(f"container not running: {container.id}", hint=hint)
    return 0


def deleted(args: Args) -> int:
    runtime_of(args).delete(args.positionals[0], force=args.flag("force"))
    return 0


def paused(args: Args) -> int:
    with runtime_of(args).get(args.positionals[0]) as container:
        container.pause()
    return 0


def resumed(args: Args) -> int:
    with runtime_of(args).get(args.positionals[0]) as container:
        container.resume()
    return 0


def executed(args: Args) -> int:
    if not args.positionals[1:] or (args.given("user") and ":" not in args.text("user")):
        return ORIGINAL["exec"](args)
    options: dict[str, Any] = {}
    if args.given("env"):
        words = [exec._variable(text) for text in args.many("env")]
        options["env"] = {name: value for name, _, value in (word.partition("=") for word in words)}
    if args.given("cwd"):
        options["cwd"] = exec._directory(args.text("cwd"))
    if args.given("user"):
        uid, _, gid = args.text("user").partition(":")
        options["user"] = (exec._id(uid, flag="user"), exec._id(gid, flag="user"))
    with runtime_of(args).get(args.positionals[0]) as container:
        process = container.spawn(args.positionals[1:], stdin=0, stdout=1, stderr=2, **options)
        forward(process)
        code = process.wait()
        process.close()
        if code > common.SIGNALLED:
            with container._loaded() as loaded:
                common.explain_end(loaded, code)
        return code


def updated(args: Args) -> int:
    change = update_command.from_flags(args)
    with runtime_of(args).get(args.positionals[0]) as container:
        if container.status == "stopped":
            raise StateError(f"container not running: {container.id}")
        lines = container.update(change, dry_run=args.flag("dry-run"))
        emit("".join(f"{line}\n" for line in lines))
    return 0


MODULES: dict[str, Any] = {
    "create": create, "run": run, "start": start, "state": state, "kill": kill, "delete": delete,
    "exec": exec, "pause": pause, "resume": resume, "update": update_command,
}  # fmt: skip
ORIGINAL: dict[str, Verb] = {name: module.run for name, module in MODULES.items()}
LIBRARY: dict[str, Verb] = {
    "create": created, "run": ran, "start": started, "state": shown, "kill": killed,
    "delete": deleted, "exec": executed, "pause": paused, "resume": resumed, "update": updated,
}  # fmt: skip


def choose(args: Args) -> int:
    """Go through the library where it has what is asked for."""
    alone = args.verb in ("create", "run") and has_terminal(args.text("bundle") or ".")
    if alone or not is_for_library(args):
        return ORIGINAL[args.verb](args)
    if USED:
        with open(USED, "a", encoding="utf-8") as file:
            file.write(f"{args.verb}\n")
    return LIBRARY[args.verb](args)


def main() -> None:
    for module in MODULES.values():
        module.run = choose
    command_line()
