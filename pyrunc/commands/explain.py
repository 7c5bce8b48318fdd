# SPDX-License-Identifier: Apache-2.0
"""explain: the plan, the cgroup writes and the hooks of a bundle, as text. Nothing is done."""

from __future__ import annotations

from pyrunc.blueprint import Blueprint
from pyrunc.output import emit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyrunc.flags import Args


def run(args: Args) -> int:
    bundle = args.positionals[0] if args.positionals else "."
    blueprint = Blueprint(args, container_id=args.text("id"), bundle=bundle)
    emit("\n".join([*_sections(blueprint), ""]))
    return 0


def _sections(blueprint: Blueprint) -> Iterator[str]:
    resources = blueprint.config.linux.resources
    yield f"cgroups ({blueprint.cgroup.driver})"
    for member in blueprint.cgroup.members:
        yield f"    make   {member.path}"
    for path, value in blueprint.cgroup.planned(resources):
        yield f"    write  {path}  {value}"
    hooks = blueprint.config.hooks
    if hooks is not None:
        yield "hooks of the runtime"
        for kind in ("prestart", "create_runtime", "poststart", "poststop"):
            for hook in getattr(hooks, kind):
                yield f"    {hook.path}  -> {hook.pointer}"
    for problem in (*blueprint.config.warnings, *blueprint.warnings):  # the plan has its own
        yield f"warning: {problem.line()}"
    yield f"plan ({len(blueprint.plan.encode())} bytes)"
    yield blueprint.plan.explain().rstrip("\n")
