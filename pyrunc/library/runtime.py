# SPDX-License-Identifier: Apache-2.0
"""A state root and what can be done in it: check, explain, create, run, list, clean up.

Everything happens in the calling thread. Objects may be used from many threads; two operations on
one container wait for each other through the lock of its state directory, as commands do.
"""

from __future__ import annotations

import logging
import os
import re
import secrets
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pyrunc.cgroups.base import Owner
from pyrunc.errors import ConfigErrors, Failure, Problem, StateError
from pyrunc.host import facts, process
from pyrunc.library import policies as policy_module
from pyrunc.library.bundle import DIRECTORY, OWNER, Bundle, annotation, owned
from pyrunc.library.container import Container
from pyrunc.library.processes import Completed
from pyrunc.library.results import Explained, Operation, Report
from pyrunc.library.spec import Spec
from pyrunc.library.streams import PIPE, Stream, Streams
from pyrunc.lifecycle import container as lifecycle_container
from pyrunc.lifecycle import create as lifecycle_create
from pyrunc.lifecycle import delete as lifecycle_delete
from pyrunc.lifecycle.options import CreateOptions
from pyrunc.lifecycle.prepare import PreparedCreate
from pyrunc.lifecycle.state_root import check_id, default_root, list_ids, open_root
from pyrunc.log import LEVELS, log

if TYPE_CHECKING:
    from pyrunc.library.policies import Policy

logger = logging.getLogger("pyrunc")
MARK = re.compile(r"[1-9][0-9]{0,9}:[0-9]{1,20}", re.ASCII)  # pid and start time of an owner
# A fork of this program while an init is being started would inherit the init's start gate, and the
# container would look created for as long as that copy lives.
_starting = threading.RLock()
os.register_at_fork(
    before=_starting.acquire, after_in_parent=_starting.release, after_in_child=_starting.release
)


def _to_logging(level: str, message: str) -> None:
    logger.log(10 * (LEVELS[level] + 1), "%s", message)


Owner.tidy = True


class Runtime:
    """Containers below one state root.

    root            the state root; None for the default one of the caller
    cgroup_manager  ``cgroupfs``, ``systemd`` or ``disabled``
    systemd         the same as cgroup_manager="systemd"
    rootless        tolerate cgroups that cannot be written; None: when the caller is not root
    policies        functions that change or refuse every configuration
    """

    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        *,
        cgroup_manager: str = "cgroupfs",
        systemd: bool = False,
        rootless: bool | None = None,
        policies: Sequence[Policy] = (),
    ) -> None:
        log.divert = _to_logging
        self.root = os.path.abspath(root if root is not None else default_root())
        self.cgroup_manager = "systemd" if systemd else cgroup_manager
        self.rootless = rootless
        self.policies = tuple(policies)
        self._swept = False

    # -- before anything is made -------------------------------------------------------------------

    def check(self, spec: Spec | Mapping[str, Any]) -> Report:
        """Every problem of a configuration on this host; nothing is made or changed."""
        try:
            prepared = self._prepared(spec)
        except ConfigErrors as errors:
            return Report(errors.problems, errors.warnings)
        except Failure as failure:
            problem = Problem(failure.pointer, str(failure), hint=failure.hint)
            return Report((problem,), ())
        return Report((), tuple(prepared.all_warnings()))

    def explain(self, spec: Spec | Mapping[str, Any]) -> Explained:
        """Return what `create` would do; Failure where it would fail before anything is made."""
        spec, changes = self._governed(spec)
        prepared = self._prepared(spec)
        plan = prepared.plan
        lines = plan.explain().splitlines()
        return Explained(
            writes=tuple(prepared.cgroup.planned(prepared.config.linux.resources)),
            operations=tuple(
                Operation(op.NAME, line.strip(), op.pointer)
                for op, line in zip(plan.ops, lines, strict=False)
            ),
            warnings=tuple(prepared.all_warnings()),
            policies=tuple(change.line() for change in changes),
            text="\n".join(lines),
        )

    def _governed(self, spec: Spec | Mapping[str, Any]) -> tuple[Spec, list[policy_module.Change]]:
        spec = spec if isinstance(spec, Spec) else Spec(spec)
        return policy_module.apply(self.policies, spec, facts.probe())

    def _prepared(self, spec: Spec | Mapping[str, Any]) -> PreparedCreate:
        spec, _changes = self._governed(spec)
        bundle = Bundle(self.root, f"check-{secrets.token_hex(8)}")
        bundle.make(spec)
        try:
            return PreparedCreate(self._options(bundle.id, bundle=bundle.path))
        finally:
            bundle.remove()

    def _options(self, container_id: str, *, bundle: str, **more: Any) -> CreateOptions:
        return CreateOptions(
            container_id,
            bundle=bundle,
            root=self.root,
            cgroup_driver=self.cgroup_manager,
            rootless=self.rootless,
            service_manager=False,
            **more,
        )

    # -- containers --------------------------------------------------------------------------------

    def create(
        self,
        spec: Spec | Mapping[str, Any],
        *,
        id: str | None = None,
        stdin: Stream = None,
        stdout: Stream = None,
        stderr: Stream = None,
        files: Mapping[str, bytes] | None = None,
        explain_seccomp: bool = False,
    ) -> Container:
        """Make a container that waits for `start`.

        Its descriptors are those of `subprocess`: PIPE, DEVNULL (also None), STDOUT, a file;
        `stdin` may be bytes. With process.terminal the program gets a new terminal instead, whose
        master is `Container.terminal`.

        `files` are written below the bundle (`bundle_path`), as sources of binds. The container is
        deleted when it is closed, or by the next `Runtime` of this root when this program has
        ended. Failure when it cannot be made; nothing is left then.
        """
        log.divert = _to_logging
        self._sweep_once()
        spec, _changes = self._governed(spec)
        container_id = id if id is not None else new_id()
        bundle = Bundle(self.root, container_id)
        self._check_free(container_id)
        bundle.make(owned(spec, _own_mark()), dict(files or {}))
        streams = None
        try:
            streams = Streams(stdin, stdout, stderr)
            options = self._options(
                container_id,
                bundle=bundle.path,
                stdio=streams.theirs,
                explain_seccomp=explain_seccomp,
            )
            return self._create(options, bundle, streams)
        except BaseException:
            bundle.remove()
            if streams is not None:
                streams.close()
            raise
        finally:
            if streams is not None:
                streams.close_theirs()

    def _check_free(self, container_id: str) -> None:
        """Before the bundle of a container of this name could be overwritten."""
        if os.path.lexists(f"{self.root}/{check_id(container_id)}"):
            raise StateError(f"container with given ID already exists: {container_id}")

    def _create(self, options: CreateOptions, bundle: Bundle, streams: Streams) -> Container:
        creation = lifecycle_create.prepare(options, detached=False)
        explanation = creation.prepared.explanation
        if explanation is not None:
            explanation.threaded = True
        try:
            with _starting:
                creation.perform()
        except BaseException:
            creation.undo()
            raise
        child = creation.child
        assert child is not None
        pidfd, child.pidfd = child.pidfd, -1
        terminal, creation.terminal = creation.terminal, -1
        creation.directory.unlock()  # a fork of this program may hold a copy of the descriptor
        creation.close()
        return Container(
            self,
            options.id,
            bundle=bundle,
            pid=child.pid,
            pidfd=pidfd,
            streams=streams,
            terminal=terminal,
            explanation=explanation,
        )

    def run(
        self,
        spec: Spec | Mapping[str, Any],
        *,
        input: bytes = b"",
        timeout: float | None = None,
        **options: Any,
    ) -> Completed:
        """Create, start, wait and delete; both outputs are caught.

        A program that is not done after `timeout` seconds is killed.
        """
        with self.create(
            spec, stdin=PIPE if input else None, stdout=PIPE, stderr=PIPE, **options
        ) as container:
            container.start()
            return container.communicate(input, timeout=timeout)

    def get(self, id: str) -> Container:
        """Return an existing container, whoever made it; StateError when there is none.

        Closing it does not delete it.
        """
        loaded = lifecycle_container.Container.load(self.root, id)
        try:
            pidfd = process.open_pidfd(loaded.pid, loaded.start_time)
            return Container(self, id, bundle=None, pid=loaded.pid, pidfd=pidfd)
        finally:
            loaded.directory.close()

    def ids(self) -> list[str]:
        """Return the ids of all containers of the root, half-created ones too."""
        fd = open_root(self.root)
        if fd < 0:
            return []
        try:
            return list_ids(fd)
        finally:
            os.close(fd)

    def bundle_path(self, id: str) -> str:
        """Return the directory that `create` makes for the bundle of a container."""
        return Bundle(self.root, id).path

    def features(self) -> dict[str, Any]:
        """Return the document of `pyrunc features`."""
        from pyrunc.commands import features_document

        return features_document.document()

    def info(self) -> dict[str, Any]:
        """Return the document of `pyrunc info`: what this host offers and lacks."""
        from pyrunc.commands import info_document

        return info_document.document()

    # -- what a killed program has left ------------------------------------------------------------

    def doctor(self) -> list[str]:
        """Delete the containers and bundles of programs that have ended; returns their ids."""
        gone = [name for name in self.ids() if self._is_orphan(name) and self._remove(name)]
        return gone + self._sweep_bundles()

    def _remove(self, name: str) -> bool:
        """Delete a container with its bundle; False, with a warning, where that is impossible."""
        try:
            lifecycle_delete.delete(self.root, name, force=True)
            Bundle(self.root, name).remove()
        except (Failure, OSError) as error:  # one that resists must not keep the others
            logger.warning("cannot delete %s, whose program has ended: %s", name, error)
            return False
        return True

    def _sweep_once(self) -> None:
        if not self._swept:
            self._swept = True
            self.doctor()

    def _is_orphan(self, name: str) -> bool:
        """Whether this library made it for a program that has ended.

        Anybody can write the annotation into a configuration: only with the bundle that the library
        makes below the root does it count.
        """
        try:
            loaded = lifecycle_container.Container.load(self.root, name)
        except Failure:
            return False
        try:
            mark = annotation(loaded.state)
            ours = loaded.state.get("bundle") == Bundle(self.root, name).path
            return ours and bool(mark) and not _lives(mark)
        finally:
            loaded.directory.close()

    def _sweep_bundles(self) -> list[str]:
        """Bundles without a container whose program has ended while it made them."""
        try:
            names = os.listdir(f"{self.root}/{DIRECTORY}")
        except FileNotFoundError:
            return []
        containers = set(self.ids())
        left = []
        for name in names:
            if name in containers or _lives(_mark_of(f"{self.root}/{DIRECTORY}/{name}")):
                continue
            try:
                Bundle(self.root, name).remove()
            except OSError as error:
                logger.warning("cannot remove the bundle of %s: %s", name, error)
                continue
            left.append(name)
        return left


def new_id() -> str:
    """Return an id that no container has."""
    return f"py-{secrets.token_hex(8)}"


def _own_mark() -> str:
    """Return this program by pid and start time, which together name it for ever."""
    found = process.read_stat(os.getpid())
    return f"{os.getpid()}:{found.start_time if found is not None else 0}"


def _lives(mark: str) -> bool:
    """Whether the program of a mark runs; what is no mark is taken for one that does."""
    if not MARK.fullmatch(mark):
        return True
    pid, start_time = map(int, mark.split(":"))
    try:
        seen = process.read_stat(pid)  # pid 1 too: this program may be the init of a container
    except OSError:  # a /proc that hides the processes of others
        return True
    return (
        seen is not None
        and seen.start_time == start_time
        and (seen.state not in process.DEAD or pid == os.getpid())
    )


def _mark_of(bundle: str) -> str:
    """Return the owner in a bundle's configuration; "" while that is being written."""
    try:
        with open(f"{bundle}/config.json", "rb") as file:
            return str((Spec.parse(file.read()).get("/annotations") or {}).get(OWNER, ""))
    except (OSError, Failure):
        return ""
