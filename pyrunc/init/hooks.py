# SPDX-License-Identifier: Apache-2.0
"""The hooks that run in the container's namespaces; the others are the parent's. PURE."""

from __future__ import annotations

from pyrunc.init import ops
from pyrunc.init.process import Environment, last_wins

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyrunc.init.ops import Op
    from pyrunc.init.process import FilterLike
    from pyrunc.spec.model import Config, Hook

    # status -> the state as JSON text, split at the place of the pid
    StateJson = Callable[[str], tuple[str, str]]


# Of hooks without `env`. Nothing of the caller's: engines call with any or none.
DEFAULT_ENV = ("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",)


def environment(env: Sequence[str] | None) -> tuple[str, ...]:
    """Return the variables of a hook outside of the container, the last of those of one name."""
    if env is None:
        return DEFAULT_ENV
    return tuple(f"{name}={value}" for name, value in last_wins(env).items())


def runtime_hooks(config: Config) -> bool:
    """Return whether the parent runs hooks before the root changes."""
    hooks = config.hooks
    return hooks is not None and bool(hooks.prestart or hooks.create_runtime)


def await_hooks(config: Config) -> list[Op]:
    if not runtime_hooks(config):
        return []
    action = "wait for the prestart and createRuntime hooks"
    return [ops.Await(name=ops.RENDEZVOUS_HOOKS, slot=0, count=0, pointer="/hooks", action=action)]


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
    config: Config,
    state: StateJson,
    directory: int | str,
    *,
    output: tuple[int, int] = NO_OUTPUT,
) -> list[Op]:
    """Plan hooks in the container's namespaces, with the host's files still around the root.

    They run in the root file system: `directory` is its slot where it is attached already, as the
    container's root need not get to its path, or that path.
    """
    hooks = config.hooks.create_container if config.hooks is not None else ()
    if not hooks:
        return []
    text = state("creating")
    return _run(hooks, "createContainer", text, directory=directory, output=output)


def start_container(
    config: Config,
    state: StateJson,
    *,
    inherited: Environment,
    filter: FilterLike | None,
    output: tuple[int, int] = NO_OUTPUT,
) -> list[Op]:
    """Plan hooks inside the container, after `start`: programs of the image.

    They get the program's environment unless they have their own, and its filter (None: it is
    loaded already, or there is none).
    """
    hooks = config.hooks.start_container if config.hooks is not None else ()
    if not hooks:
        return []
    text = state("created")
    return _run(hooks, "startContainer", text, output=output, inherited=inherited, filter=filter)


def _run(
    hooks: Sequence[Hook],
    kind: str,
    state: tuple[str, str],
    *,
    output: tuple[int, int],
    directory: int | str = 0,
    inherited: Environment | None = None,
    filter: FilterLike | None = None,
) -> list[Op]:
    head, tail = state
    return [
        ops.RunHook(
            path=hook.path,
            argv=hook.args or (hook.path,),
            env=inherited.variables if inherited and hook.env is None else environment(hook.env),
            home=inherited.home if inherited and hook.env is None else ops.NO_INDEX,
            timeout_ms=(hook.timeout or 0) * 1000,
            head=head,
            tail=tail,
            directory=directory if isinstance(directory, int) else 0,
            cwd=directory if isinstance(directory, str) else "",
            out=output[0],
            err=output[1],
            filter_flags=filter.flags if filter else 0,
            filter=filter.program if filter else b"",
            pointer=hook.pointer,
            action=f"{kind} hook #{index}",
        )
        for index, hook in enumerate(hooks)
    ]


def while_mounting(config: Config) -> bool:
    """Return whether hooks run while the mounts are made."""
    found = config.hooks
    kinds = (found.prestart, found.create_runtime, found.create_container) if found else ()
    return any(kinds)


def bare_state(config: Config, container_id: str, bundle: str) -> StateJson:
    """Return the state without annotations, for callers that run nothing."""

    def state(status: str) -> tuple[str, str]:
        version = f'"ociVersion":"{config.oci_version}"'
        head = f'{{{version},"id":"{container_id}","status":"{status}","pid":'
        return head, f',"bundle":"{bundle}"}}'

    return state
