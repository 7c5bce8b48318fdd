# SPDX-License-Identifier: Apache-2.0
"""check: would `create` work here, now? Every problem and every doubt about a bundle, in one go."""

from __future__ import annotations

from pyrunc import jsontext
from pyrunc.cli.output import emit
from pyrunc.commands.common import create_options
from pyrunc.commands.security_warnings import security_warnings
from pyrunc.errors import ConfigErrors, Failure, Problem
from pyrunc.lifecycle.predict import as_problem, predict
from pyrunc.lifecycle.prepare import PreparedCreate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyrunc.cli.flags import Args


def run(args: Args) -> int:
    problems: list[Problem] = []
    warnings: list[Problem] = []
    bundle = args.positionals[0] if args.positionals else "."
    try:
        options = create_options(args, container_id=args.text("id"), bundle=bundle)
        prepared = PreparedCreate(options)
    except ConfigErrors as errors:
        problems.extend(errors.problems)
        warnings.extend(errors.warnings)  # a misspelt name is often why another is missing
    except Failure as failure:
        problems.append(as_problem(failure))
    else:
        warnings.extend(prepared.all_warnings())
        ignored = prepared.filter.report.ignored if prepared.filter else ()
        warnings.extend(security_warnings(prepared.config, ignored=ignored))
        if not args.flag("offline"):
            predicted, doubts = predict(prepared, root=args.text("root"))
            problems.extend(predicted)
            warnings.extend(doubts)
        if not args.flag("no-schema"):
            warnings.extend(_schema_problems(prepared))
    if args.text("format") == "json":
        emit(
            jsontext.encode({"errors": _rows(problems), "warnings": _rows(warnings)}, indent=2)
            + "\n"
        )
    else:
        emit("".join(f"error    {one.line()}\n" for one in problems))
        emit("".join(f"warning  {one.line()}\n" for one in warnings))
        emit(f"{len(problems)} error(s), {len(warnings)} warning(s)\n")
    return 1 if problems else 0


def _rows(problems: Iterable[Problem]) -> list[dict[str, str]]:
    return [
        {
            "pointer": one.pointer,
            "message": one.line(),
            "reason": one.message,
            "value": one.value,
            "allowed": one.allowed,
            "hint": one.hint,
        }
        for one in problems
    ]


def _schema_problems(prepared: PreparedCreate) -> list[Problem]:
    """Return what the published JSON schema says beyond our own checks, on every front end."""
    try:
        from pyrunc.spec import schema

        return list(schema.problems(prepared.config.raw))
    except ImportError:  # the launcher cannot carry jsonschema: a part of it is written in Rust
        return _ask_outside(prepared.config.raw)


def _ask_outside(raw: object) -> list[Problem]:
    from pyrunc.helpers import run as outside

    try:
        environment = outside.find("jsonschema", purpose="the published JSON schema")
        answer = outside.ask(environment, "check_schema", raw)
    except Failure as failure:
        message = f"the published JSON schema was not consulted: {failure}"
        return [Problem("", message, hint=failure.hint)]
    return [Problem(pointer, text, value=value) for pointer, text, value in answer["problems"]]
