# SPDX-License-Identifier: Apache-2.0
"""exec: run one more process in a container."""

from __future__ import annotations

from pyrunc.commands.common import SIGNALLED, explain_end, not_detached, tell_refusals
from pyrunc.errors import UsageError
from pyrunc.host import syscalls
from pyrunc.lifecycle import exec, handover
from pyrunc.lifecycle.container import Container
from pyrunc.lifecycle.exec import Execution
from pyrunc.lifecycle.options import ExecOptions
from pyrunc.log import log
from pyrunc.spec.config import parse_process
from pyrunc.spec.constants import CAPABILITIES, CAPABILITY_SETS
from pyrunc.spec.load import read_named

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrunc.cli.flags import Args
    from pyrunc.errors import Problem
    from pyrunc.init.launch import Child
    from pyrunc.spec.model import Capabilities, Config, Process

MAX_ID = 2**32 - 2
# What a process file leaves out comes from the container (not env, user, cwd and args).
INHERITED = (
    "capabilities",
    "no_new_privileges",
    "apparmor_profile",
    "selinux_label",
    "io_priority",
    "scheduler",
    "exec_cpu_affinity",
)


def run(args: Args) -> int:
    options = exec_options(args)
    not_detached(args, "learn", "explain-seccomp")
    container = Container.load(options.root, args.positionals[0])
    exec.check_status(container, ignore_paused=options.ignore_paused)
    config = exec.saved_config(container, whole=False)
    warnings: list[Problem] = []
    wanted = wanted_process(args, config, warnings=warnings)
    execution = Execution(container, config, wanted, options=options)
    if options.detached:
        _start(args, execution, warnings)
        return 0
    if args.given("learn"):
        return _learn(args, execution, warnings)
    try:
        return _stay(args, execution, warnings)
    finally:
        if execution.explanation is not None:
            tell_refusals(execution.explanation)


def _learn(args: Args, execution: Execution, warnings: list[Problem]) -> int:
    """Run the program and write down what it uses."""
    from pyrunc.commands import learn
    from pyrunc.lifecycle.filter import compile_filter

    config = exec.saved_config(execution.container)
    watched = learn.begin(args.text("learn"), compile_filter(config, cache=None))
    execution.options.watch = watched.start
    try:
        return _stay(args, execution, warnings)
    finally:
        learn.finish(watched, _raw(config, execution.wanted), args.text("learn"))


def _raw(config: Config, wanted: Process) -> dict[str, Any]:
    """Return the container's configuration with the capabilities of the process."""
    process = dict(config.raw.get("process") or {})
    sets = wanted.capabilities
    if sets is not None:
        process["capabilities"] = {
            kind: list(getattr(sets, kind))
            for kind in CAPABILITY_SETS
            if getattr(sets, kind) is not None
        }
    return {**config.raw, "process": process}


def exec_options(args: Args) -> ExecOptions:
    return ExecOptions(
        root=args.text("root"),
        cgroup_paths=args.many("cgroup"),
        preserve_fds=args.number("preserve-fds"),
        detached=args.flag("detach"),
        explain_seccomp=args.flag("explain-seccomp"),
        ignore_paused=args.flag("ignore-paused"),
        console_socket=args.text("console-socket"),
        pidfd_socket=args.text("pidfd-socket"),
    )


def _stay(args: Args, execution: Execution, warnings: list[Problem]) -> int:
    from pyrunc.lifecycle.foreground import Foreground

    foreground = Foreground()
    if not args.flag("no-subreaper"):
        syscalls.set_subreaper()
    child = _start(args, execution, warnings)
    status = foreground.wait(child.pid, child.pidfd, terminal=execution.terminal)
    if status > SIGNALLED:
        explain_end(execution.container, status)
    return status


def _start(args: Args, execution: Execution, warnings: list[Problem]) -> Child:
    child = execution.perform()
    log.misspelt(warnings)
    if args.given("additional-gids") or args.given("process"):  # `create` warned of its own
        for problem in execution.warnings:
            log.warning(problem.line())
    if args.text("pid-file"):
        handover.write_pid_file(args.text("pid-file"), child.pid)
    return child


def wanted_process(args: Args, config: Config, *, warnings: list[Problem] | None = None) -> Process:
    """Return the process to run: of a file, or the container's own with the command line.

    `warnings` is extended with those about the file.
    """
    if args.given("process"):
        return _from_file(args, config, warnings=warnings)
    return _from_flags(args, config)


def _from_file(args: Args, config: Config, *, warnings: list[Problem] | None) -> Process:
    data, source = read_named(args.text("process"))
    wanted = parse_process(data, source=source, warnings=warnings)
    base = config.process
    for name in INHERITED:
        if getattr(wanted, name) is None:
            setattr(wanted, name, getattr(base, name))
    if not wanted.rlimits:
        wanted.rlimits = base.rlimits
    return wanted


def _from_flags(args: Args, config: Config) -> Process:
    """Return the container's own process with the changes of the command line."""
    wanted = config.process
    command = args.positionals[1:]
    if not command:
        raise UsageError("exec needs a command to run, or --process", usage="exec")
    wanted.pointer = ""  # it is that of config.json no more
    wanted.args = tuple(command)
    wanted.terminal = args.flag("tty")
    wanted.console_size = None
    wanted.env = (*wanted.env, *map(_variable, args.many("env")))
    if args.given("cwd"):
        wanted.cwd = _directory(args.text("cwd"))
    if args.given("user"):
        _set_user(wanted, args.text("user"))
    more = tuple(_id(text, flag="additional-gids") for text in args.many("additional-gids"))
    wanted.user.additional_gids = (*wanted.user.additional_gids, *more)
    if args.given("process-label"):
        wanted.selinux_label = args.text("process-label")
    if args.given("apparmor"):
        wanted.apparmor_profile = args.text("apparmor")
    if args.given("no-new-privs"):
        wanted.no_new_privileges = args.flag("no-new-privs")
    for name in args.many("cap"):
        _add_capability(wanted, name)
    return wanted


def _variable(text: str) -> str:
    name, equals, _value = text.partition("=")
    if not name or not equals or "\0" in text:
        raise UsageError(f"--env {text[:64]!r}: it must be NAME=VALUE")
    return text


def _directory(text: str) -> str:
    if not text.startswith("/"):
        raise UsageError(f"--cwd {text[:64]!r}: it must be an absolute path")
    return text


def _id(text: str, *, flag: str) -> int:
    """CR-2: decimal digits only; names are never looked up."""
    good = text.isascii() and text.isdigit() and len(text) <= 10 and (text == "0" or text[0] != "0")
    if not good or int(text) > MAX_ID:
        raise UsageError(f"--{flag} {text[:32]!r}: it must be a number from 0 to {MAX_ID}")
    return int(text)


def _set_user(wanted: Process, text: str) -> None:
    uid, colon, gid = text.partition(":")
    wanted.user.uid = _id(uid, flag="user")
    if colon:
        wanted.user.gid = _id(gid, flag="user")


def _add_capability(wanted: Process, text: str) -> None:
    """JN-7: never inheritable; ambient only where it is inheritable already."""
    name = text.upper()
    name = name if name.startswith("CAP_") else f"CAP_{name}"
    if name not in CAPABILITIES:
        raise UsageError(f"--cap {text[:32]!r}: no such capability")
    if wanted.capabilities is None:
        wanted.capabilities = _no_capabilities(wanted)
    sets = wanted.capabilities
    kinds = ["bounding", "effective", "permitted"]
    if name in (sets.inheritable or ()):
        kinds.append("ambient")
    for kind in kinds:
        present = getattr(sets, kind) or ()
        if name not in present:
            setattr(sets, kind, (*present, name))


def _no_capabilities(wanted: Process) -> Capabilities:
    from pyrunc.spec.model import Capabilities
    from pyrunc.spec.problems import Problems
    from pyrunc.spec.readers import read_node

    return read_node(Capabilities, {}, f"{wanted.pointer}/capabilities", Problems())
