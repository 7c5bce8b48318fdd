# SPDX-License-Identifier: Apache-2.0
"""How the library makes a container: its bundle, its streams, the lifecycle's create or restore."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from errno import EACCES, EPERM, EROFS
from typing import TYPE_CHECKING, Any, Protocol

from pyrunc.errors import ConfigErrors, Failure, InitError, StateError, UsageError
from pyrunc.host import facts
from pyrunc.library import forks, orphans, policies, records
from pyrunc.library.arguments import quoted
from pyrunc.library.bundle import OWNER, Bundle, is_ephemeral, of_caller
from pyrunc.library.container import Container
from pyrunc.library.policies import Change
from pyrunc.library.spec import Spec
from pyrunc.library.streams import Stream, Streams
from pyrunc.lifecycle.options import CreateOptions
from pyrunc.lifecycle.prepare import PreparedCreate
from pyrunc.lifecycle.state_root import check_id

if TYPE_CHECKING:
    from pyrunc.library.runtime import Runtime
    from pyrunc.lifecycle.create import Create

# What a container is made of: a configuration, or the path of a bundle.
Configuration = Spec | Mapping[str, Any] | str | os.PathLike[str]


@dataclass(frozen=True)
class Request:
    """What a new container shall be; see `Runtime.create`."""

    spec: Configuration
    id: str | None = None
    stdio: tuple[Stream, Stream, Stream] = (None, None, None)
    files: Mapping[str, bytes] = field(default_factory=dict)
    detach: bool = False
    explain_seccomp: bool = False


@contextmanager
def looked(runtime: Runtime, spec: Configuration) -> Iterator[tuple[PreparedCreate, list[Change]]]:
    """Decide everything about a container and make nothing; also what the policies changed.

    The bundle of the trial is there inside the block.
    """
    bundle = Bundle(runtime.root, f"check-{secrets.token_hex(8)}")
    if isinstance(spec, str | os.PathLike):
        changes: list[Change] = []
        bundle.use(_bundle_path(spec), _transform(runtime, "", changes))
        yield PreparedCreate(_options(runtime, bundle)), changes
        return
    governed, changes = _governed(runtime, spec)
    bundle.make(governed, mark=orphans.own_mark())
    try:
        yield PreparedCreate(_options(runtime, bundle)), changes
    except Failure as failure:
        _quote(failure, governed)
        raise
    finally:
        bundle.give_up()


def make(runtime: Runtime, asked: Request, prepare: Callable[[CreateOptions], Create]) -> Container:
    """Make a container; whatever goes wrong leaves nothing."""
    bundle = _make_bundle(runtime, asked)
    streams = None
    said: list[str] = []
    try:
        streams = Streams(*asked.stdio)
        options = _options(
            runtime, bundle, stdio=streams.theirs, explain_seccomp=asked.explain_seccomp
        )
        with records.to(records.also(runtime.sink, said)):
            creation = prepare(options)
            _perform(creation)
        return _container(runtime, creation, bundle, streams, said=said, detach=asked.detach)
    except BaseException as error:
        if isinstance(error, Failure):
            _advise(error, asked)
            _quote(error, asked.spec)
        if streams is not None:
            streams.close_theirs()
            streams.close()
        bundle.give_up()
        raise
    finally:
        if streams is not None:
            streams.close_theirs()


class Placed(Protocol):
    """What says which place of the configuration it is about."""

    pointer: str


def relocate(placed: Iterable[Placed], spec: Configuration) -> None:
    """Name the places as the caller's configuration has them."""
    if not isinstance(spec, str | os.PathLike):
        for row in placed:
            row.pointer = of_caller(row.pointer, Spec(spec))


def _quote(failure: Failure, spec: Configuration) -> None:
    """Say what the configuration has at the place of a failure."""
    if isinstance(spec, str | os.PathLike):
        return
    with contextlib.suppress(UsageError):  # the pointer is into something else
        spec = Spec(spec)
        failure.pointer = of_caller(failure.pointer, spec)
        relocate(failure.problems if isinstance(failure, ConfigErrors) else (), spec)
        value = spec.get(failure.pointer) if failure.pointer else None
        if value is not None and not failure.value:
            failure.value = quoted(value)


def _advise(failure: Failure, asked: Request) -> None:
    """Say what helps a program where the hint for a command line would not."""
    if failure.errno not in (EACCES, EROFS, EPERM):
        return
    if failure.pointer.startswith("/linux/resources") and not failure.hint:
        failure.hint = (
            "no cgroup may be written: ask for no limits (None), or have them delegated by "
            "systemd, with Runtime(systemd=True)"
        )
    ours = isinstance(asked.spec, Spec) and not is_ephemeral(asked.spec)
    if ours and isinstance(failure, InitError) and failure.pointer.startswith("/mounts/"):
        failure.hint = (
            "the image has no such mount point, or it is not for the container's root: name one "
            "that it has, or use Spec.ephemeral(), which leaves the image as it is"
        )


def _governed(runtime: Runtime, spec: Spec | Mapping[str, Any]) -> tuple[Spec, list[Change]]:
    spec = spec if isinstance(spec, Spec) else Spec(spec)
    if not runtime.policies:
        return spec, []
    return policies.apply(runtime.policies, spec, facts.probe())


def _transform(runtime: Runtime, mark: str, changes: list[Change]) -> Callable[[bytes], bytes]:
    """Return what is done to the config.json of a caller's bundle when it is read."""

    def transform(data: bytes) -> bytes:
        if not mark and not runtime.policies:
            return data
        spec, made = _governed(runtime, Spec.parse(data))
        changes.extend(made)
        spec = spec.annotation(OWNER, mark) if mark else spec
        return spec.json().encode("utf-8", "surrogateescape")

    return transform


def _options(runtime: Runtime, bundle: Bundle, **more: Any) -> CreateOptions:
    return CreateOptions(
        bundle.id,
        bundle=bundle.path,
        root=runtime.root,
        cgroup_driver=runtime.cgroup_manager,
        rootless=runtime.rootless,
        service_manager=False,
        transform=bundle.transform,
        **more,
    )


def _make_bundle(runtime: Runtime, asked: Request) -> Bundle:
    """Make the bundle of a new container, but never over that of an existing one."""
    name = check_id(asked.id) if asked.id is not None else new_id()
    bundle, mark = Bundle(runtime.root, name), orphans.own_mark()
    governed, path = None, ""
    if isinstance(asked.spec, str | os.PathLike):
        path = _bundle_path(asked.spec)
    else:
        governed, _changes = _governed(runtime, asked.spec)
        governed = governed if asked.detach else governed.annotation(OWNER, mark)
    if os.path.lexists(f"{runtime.root}/{name}"):
        raise StateError(f"container with given ID already exists: {name}")
    bundle.make(governed, dict(asked.files), mark=mark)
    if path:
        bundle.use(path, _transform(runtime, "" if asked.detach else mark, []))
    return bundle


def _bundle_path(path: str | os.PathLike[str]) -> str:
    place = os.path.abspath(os.fspath(path))
    if not os.path.isdir(place):
        raise UsageError(
            f"{place} is no directory: a container is made of a Spec or of a bundle",
            hint="Spec.load reads a file; the directory that it lies in is a bundle",
        )
    return place


def _perform(creation: Create) -> None:
    explanation = creation.prepared.explanation
    if explanation is not None:
        explanation.threaded = True
    try:
        with forks.starting:
            creation.perform()
    except BaseException:
        creation.undo()
        raise


def _container(
    runtime: Runtime,
    creation: Create,
    bundle: Bundle,
    streams: Streams,
    *,
    said: list[str],
    detach: bool,
) -> Container:
    """Return the handle of what was made, which takes over its descriptors."""
    child = creation.child
    assert child is not None
    pidfd, child.pidfd = child.pidfd, -1
    terminal, creation.terminal = creation.terminal, -1
    creation.directory.unlock()  # a fork of this program may hold a copy of the descriptor
    creation.close()
    return Container(
        runtime,
        bundle.id,
        bundle=bundle,
        pid=child.pid,
        pidfd=pidfd,
        streams=streams,
        terminal=terminal,
        explanation=creation.prepared.explanation,
        child=True,
        owned=not detach,
        warnings=said,
    )


def new_id() -> str:
    """Return an id that no container has."""
    return f"py-{secrets.token_hex(8)}"
