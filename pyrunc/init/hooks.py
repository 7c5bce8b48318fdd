# SPDX-License-Identifier: Apache-2.0
"""The hooks that run in the container's namespaces; the others are the parent's. PURE."""

from __future__ import annotations

from pyrunc.init import ops

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyrunc.init.ops import Op
    from pyrunc.spec.model import Config, Hook

    # status -> the state as JSON text, split at the place of the pid
    StateJson = Callable[[str], tuple[str, str]]


def runtime_hooks(config: Config) -> bool:
    """Return whether the parent runs hooks before the root changes."""
    hooks = config.hooks
    return hooks is not None and bool(hooks.prestart or hooks.create_runtime)


def await_hooks(config: Config) -> list[Op]:
    if not runtime_hooks(config):
        return []
    what = "wait for the prestart and createRuntime hooks"
    return [ops.Await(name=ops.RENDEZVOUS_HOOKS, slot=0, count=0, pointer="/hooks", what=what)]


# Annotation and the name of the object, the parent's descriptor of a file for a stream of hooks.
OUTPUT = (("run.oci.hooks.stdout", "hook-stdout"), ("run.oci.hooks.stderr", "hook-stderr"))
NO_OUTPUT = (0, 0)


def output_objects(config: Config) -> list[str]:
    """Return the files that hooks in the container append to; the parent opens them."""
    hooks = config.hooks
    if hooks is None or not (hooks.create_container or hooks.start_container):
        return []
    return [name for annotation, name in OUTPUT if config.annotations.get(annotation)]


def output_slots(objects: Sequence[str]) -> tuple[int, int]:
    """Their slots, 0 where there is none."""
    out, err = (objects.index(name) + 1 if name in objects else 0 for _, name in OUTPUT)
    return out, err


def create_container(
    config: Config, state: StateJson, *, cwd: str, output: tuple[int, int] = NO_OUTPUT
) -> list[Op]:
    """Plan hooks in the container's namespaces, with the host's files still around the root.

    Hooks get no environment unless one is given.
    """
    hooks = config.hooks.create_container if config.hooks is not None else ()
    if not hooks:
        return []
    return _run(hooks, "createContainer", state("creating"), env=(), cwd=cwd, output=output)


def start_container(
    config: Config, state: StateJson, *, env: Sequence[str], output: tuple[int, int] = NO_OUTPUT
) -> list[Op]:
    """Inside the container, after `start`; with the program's environment unless it has its own."""
    hooks = config.hooks.start_container if config.hooks is not None else ()
    if not hooks:
        return []
    return _run(hooks, "startContainer", state("created"), env=env, cwd="", output=output)


def _run(
    hooks: Sequence[Hook],
    kind: str,
    state: tuple[str, str],
    *,
    env: Sequence[str],
    cwd: str,
    output: tuple[int, int],
) -> list[Op]:
    head, tail = state
    return [
        ops.RunHook(
            path=hook.path,
            argv=hook.args or (hook.path,),
            env=env if hook.env is None else hook.env,
            timeout_ms=(hook.timeout or 0) * 1000,
            head=head,
            tail=tail,
            cwd=cwd,
            out=output[0],
            err=output[1],
            pointer=hook.pointer,
            what=f"{kind} hook #{index}",
        )
        for index, hook in enumerate(hooks)
    ]
