# SPDX-License-Identifier: Apache-2.0
"""From a command line to a verb; the single place that prints an error and picks an exit code."""

from __future__ import annotations

import os
from errno import ENOSYS, EPERM

from pyrunc.cli import flags
from pyrunc.cli.output import emit
from pyrunc.errors import (
    ConfigErrors,
    Failure,
    InitError,
    UsageError,
    errno_name,
    strerror,
)
from pyrunc.host.trace import trace
from pyrunc.log import LEVELS, log, printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from pyrunc.cli.flags import Args
    from pyrunc.log import Sink

PROGRAM = "pyrunc"
TRACE_VARIABLE = "PYRUNC_TRACE"
# Commands whose first argument is no container.
WITHOUT_ID = ("check", "completion", "explain", "features", "info", "spec", "list", "doctor")
FAILED = 1
EXEC_FAILED = 255
INTERRUPTED = 130


def main(argv: Sequence[str]) -> int:
    """Run one command line (without the program's name); return the exit status.

    No exception but SystemExit escapes.
    """
    log.reset()
    trace.reset()
    args = flags.Args()
    try:
        flags.parse(argv, args)
        return _dispatch(args)
    except UsageError as failure:
        return _report_usage(failure, argv, args)
    except Failure as failure:
        _report(failure, args)
    except KeyboardInterrupt:
        log.error(_prefix(args) + "interrupted")
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output has gone
        return FAILED
    except Exception as error:
        _report_bug(error, args)
    return EXEC_FAILED if args.verb == "exec" else FAILED


def _dispatch(args: Args) -> int:
    if args.flag("version"):
        from pyrunc.cli import version

        emit(version.document() if args.flag("json") else version.text())
        return 0
    if args.flag("json"):
        raise UsageError("--json goes with --version only")
    if args.flag("help") or not args.verb:
        from pyrunc.cli import help

        emit(help.verb(args.verb) if args.verb else help.program())
        return 0
    path, sink = _log_target(args)
    log.configure(
        path=path,
        json=args.text("log-format") == "json",
        level=args.text("log-level"),
        debugging=args.flag("debug"),
        common={"command": args.verb, "id": _container(args)},
        sink=sink,
    )
    file = args.text("trace") or os.environ.get(TRACE_VARIABLE, "")
    timings = args.verb == "run" and args.flag("timings")
    if file or timings:
        trace.configure(path=file, table=timings, command=args.verb)
        trace.note("container", args.positionals[0] if args.positionals else "")
    module = __import__(f"{PROGRAM}.commands.{args.verb}", fromlist=("run",))
    if not trace.on:
        status: int = module.run(args)
        return status
    return _traced(module, args)


def _log_target(args: Args) -> tuple[str, Sink | None]:
    """Return the log file, or what takes records in its place."""
    path = args.text("log")
    if ":" not in path:
        return path, None
    from pyrunc.cli import log_sockets

    kind, rest = log_sockets.split(path)
    if kind == "file":
        return rest, None
    return "", log_sockets.open_sink(kind, rest or _container(args) or PROGRAM)


def _container(args: Args) -> str:
    """Return the id of the container that a command line is about."""
    if args.verb in WITHOUT_ID:
        return ""
    place = 1 if args.verb in ("mounts", "devices") else 0
    return args.positionals[place] if len(args.positionals) > place else ""


def _traced(module: Any, args: Args) -> int:
    """Run a verb with its spans; a file that cannot be written is a warning, not a failure."""
    status = FAILED
    trace.phase(args.verb)
    try:
        status = int(module.run(args))
        return status
    finally:
        try:
            log.tell(trace.finish(status))
        except OSError as error:
            log.warning(f"cannot write the trace: {error.filename}: {strerror(error.errno or 0)}")


def _prefix(args: Args) -> str:
    """``pyrunc: create web1: ``: whose error it is."""
    if not args.verb:
        return f"{PROGRAM}: "
    name = f" {args.positionals[0]}" if args.positionals else ""
    return f"{PROGRAM}: {args.verb}{name}: "


def _report(failure: Failure, args: Args) -> None:
    _explain_refusal(failure)
    log.error(
        _prefix(args) + str(failure),
        more=_more(failure),
        pointer=failure.pointer,
        op=failure.op,
        errno=errno_name(failure.errno) if failure.errno else "",
        hint=failure.hint,
    )
    if log.least == LEVELS["debug"] and failure.__cause__ is not None:
        log.debug(f"caused by {failure.__cause__!r}")


def _explain_refusal(failure: Failure) -> None:
    """Say that a filter around us refuses a call, if that may be the reason."""
    if failure.errno not in (EPERM, ENOSYS) or isinstance(failure, InitError):
        return
    from pyrunc.host import refusals

    names = refusals.refused_calls(failure.errno)
    if names:
        failure.message = f"{failure.message}: {refusals.sentence(names)}"
        failure.hint = refusals.ADVICE


def _report_usage(failure: UsageError, argv: Sequence[str], args: Args) -> int:
    """Report a wrong command line in one line, and where the help is.

    It is logged as every other failure is: engines show the last record of the log, whatever it
    is about.
    """
    from pyrunc.cli import usage

    parsed = log.configured
    if not parsed:
        failure.detail = usage.configure_log(argv)
    if failure.usage or not (parsed or failure.hint):
        failure.hint = usage.with_help(failure)
    # As Go's packages print it: no verb before `"create" requires ...`.
    named = str(failure).startswith(f'"{args.verb}"')
    prefix = f"{PROGRAM}: " if named else _prefix(args)
    log.error(prefix + str(failure), more=_more(failure))
    return EXEC_FAILED if parsed and args.verb == "exec" else FAILED


def _more(failure: Failure) -> str:
    """Return the lines after the first one."""
    lines = []
    place = failure.place()
    if isinstance(failure, ConfigErrors):
        lines += [f"  config  {problem.line()}" for problem in failure.problems[1:]]
    elif place:
        lines.append(f"  {place}")
    for number, line in enumerate(failure.detail.splitlines()):
        lines.append(("  detail  " if number == 0 else "          ") + line)
    if failure.hint and not isinstance(failure, ConfigErrors):  # whose problems end with theirs
        lines.append(f"  hint    {failure.hint}")
    return "".join(printable(line) + "\n" for line in lines)


def _report_bug(error: Exception, args: Args) -> None:
    """Report an unforeseen exception in one line; the traceback is only for --debug."""
    more = ""
    if isinstance(error, OSError) and error.errno in (EPERM, ENOSYS) and not log.debugging:
        subject = os.fsdecode(error.filename) if error.filename is not None else "system call"
        failure = Failure(subject, errno=error.errno)
        _explain_refusal(failure)
        if failure.hint:
            log.error(_prefix(args) + str(failure), more=_more(failure))
            return
    if log.debugging:
        import traceback

        more = "".join(traceback.format_exception(error))
    elif not isinstance(error, OSError):
        more = "  hint    this is a bug in pyrunc; --debug shows where\n"
    log.error(_prefix(args) + _wording(error), more=more)


def _wording(error: Exception) -> str:
    if not isinstance(error, OSError) or not error.errno:
        return f"internal error: {type(error).__name__}: {error}"
    subject = os.fsdecode(error.filename) if error.filename is not None else "system call"
    return f"{subject}: {strerror(error.errno)}"
