# SPDX-License-Identifier: Apache-2.0
"""explain: the plan, the cgroup writes and the hooks of a bundle, as text. Nothing is done."""

from __future__ import annotations

from pyrunc.cli.output import emit
from pyrunc.commands.common import create_options
from pyrunc.lifecycle.prepare import PreparedCreate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyrunc.cli.flags import Args


def run(args: Args) -> int:
    bundle = args.positionals[0] if args.positionals else "."
    options = create_options(args, container_id=args.text("id"), bundle=bundle)
    prepared = PreparedCreate(options)
    changes = getattr(options.transform, "changes", ())
    emit("".join(f"policy  {change.line()}\n" for change in changes))
    emit("\n".join([*_sections(prepared), ""]))
    return 0


def _sections(prepared: PreparedCreate) -> Iterator[str]:
    resources = prepared.config.linux.resources
    yield f"cgroups ({prepared.cgroup.driver})"
    for member in prepared.cgroup.members:
        yield f"    make   {member.path}"
    for path, value in prepared.cgroup.planned(resources):
        yield f"    write  {path}  {value}"
    hooks = prepared.config.hooks
    if hooks is not None:
        yield "hooks of the runtime"
        for kind in ("prestart", "create_runtime", "poststart", "poststop"):
            for hook in getattr(hooks, kind):
                yield f"    {hook.path}  -> {hook.pointer}"
    for problem in (*prepared.config.warnings, *prepared.warnings):  # the plan has its own
        yield f"warning: {problem.line()}"
    yield f"plan ({len(prepared.plan.encode())} bytes)"
    yield prepared.plan.explain().rstrip("\n")
