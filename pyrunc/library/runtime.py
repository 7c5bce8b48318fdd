# SPDX-License-Identifier: Apache-2.0
"""A state root and what can be done in it: check, explain, create, run, list, clean up.

Everything happens in the calling thread. Objects may be used from many threads; two operations on
one container wait for each other through the lock of its state directory, as commands do.
"""

from __future__ import annotations

import builtins
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pyrunc.cgroups.base import Owner
from pyrunc.errors import ConfigErrors, Failure, Problem
from pyrunc.host import process
from pyrunc.host.facts import Host
from pyrunc.library import creation, orphans, records
from pyrunc.library.bundle import Bundle
from pyrunc.library.container import Container
from pyrunc.library.creation import Configuration
from pyrunc.library.parameters import checked
from pyrunc.library.policies import Refusal
from pyrunc.library.processes import Completed
from pyrunc.library.records import heard
from pyrunc.library.results import Entry, Explained, Operation, Report
from pyrunc.library.spec import Spec
from pyrunc.library.streams import PIPE, Stream
from pyrunc.lifecycle import container as lifecycle_container
from pyrunc.lifecycle import create as lifecycle_create
from pyrunc.lifecycle import delete as lifecycle_delete
from pyrunc.lifecycle.state_root import check_id, default_root
from pyrunc.log import log

# What changes or refuses a configuration before anything is planned.
Policy = Callable[[Spec, Host], Spec | Refusal]
Owner.tidy = True


class Runtime:
    """Containers below one state root.

    root            the state root; None for the default one of the caller
    cgroup_manager  ``cgroupfs``, ``systemd`` or ``disabled``
    systemd         the same as cgroup_manager="systemd"
    rootless        tolerate cgroups that cannot be written; None: when the caller is not root
    policies        functions that change or refuse every configuration
    log             gets level and message of each record of a call; None: the logger ``pyrunc``

    UsageError for a cgroup manager that does not exist, HostError where the caller has no default
    state root.
    """

    @checked
    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        *,
        cgroup_manager: str = "cgroupfs",
        systemd: bool = False,
        rootless: bool | None = None,
        policies: Sequence[Policy] = (),
        log: records.Sink | None = None,
    ) -> None:
        self.root = os.path.abspath(root if root is not None else default_root())
        self.cgroup_manager = "systemd" if systemd else cgroup_manager
        self.rootless = rootless
        self.policies = tuple(policies)
        self.sink = log or records.to_logging
        self._swept = False

    def __repr__(self) -> str:
        return f"Runtime({self.root!r})"

    # -- before anything is made -------------------------------------------------------------------

    @heard
    @checked
    def check(self, spec: Configuration) -> Report:
        """Every problem of a configuration on this host; what is made for a trial is gone again.

        Its warnings say what could not be tried.
        """
        from pyrunc.lifecycle.predict import predict

        try:
            with creation.looked(self, spec) as (prepared, _changes):
                problems, doubts = predict(prepared, root=self.root)
                warnings = (*prepared.all_warnings(), *doubts)
                creation.relocate((*problems, *warnings), spec)
        except ConfigErrors as errors:
            return Report(errors.problems, errors.warnings)
        except Failure as failure:
            problem = Problem(failure.pointer, str(failure), value=failure.value, hint=failure.hint)
            return Report((problem,), ())
        return Report(tuple(problems), warnings)

    @heard
    @checked
    def explain(self, spec: Configuration) -> Explained:
        """Return what `create` would do; Failure where it would fail before anything is made."""
        with creation.looked(self, spec) as (prepared, changes):
            plan = prepared.plan
        lines = plan.explain().splitlines()
        creation.relocate(plan.ops, spec)
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

    # -- containers --------------------------------------------------------------------------------

    @heard
    @checked
    def create(
        self,
        spec: Configuration,
        *,
        id: str | None = None,
        stdin: Stream = None,
        stdout: Stream = None,
        stderr: Stream = None,
        files: Mapping[str, bytes] | None = None,
        explain_seccomp: bool = False,
        detach: bool = False,
    ) -> Container:
        """Make a container that waits for `start`.

        `spec` is a configuration or the path of a bundle. The program's descriptors are those of
        `subprocess`: PIPE, DEVNULL (also None), STDOUT, a file; `stdin` may be bytes. With
        process.terminal it gets a new terminal instead, whose master is `Container.terminal`.

        `files` are written below `bundle_path`, as sources of binds. The container is deleted when
        it is closed, or by the next `Runtime` of this root when this program has ended; with
        `detach` it stays until somebody deletes it. Failure when it cannot be made; nothing is left
        then.
        """
        self._sweep_once()
        asked = creation.Request(
            spec,
            id=id,
            stdio=(stdin, stdout, stderr),
            files=files or {},
            detach=detach,
            explain_seccomp=explain_seccomp,
        )
        return creation.make(
            self, asked, lambda options: lifecycle_create.prepare(options, detached=False)
        )

    @heard
    @checked
    def restore(
        self,
        images: str | os.PathLike[str],
        spec: Configuration,
        *,
        id: str | None = None,
        stdin: Stream = None,
        stdout: Stream = None,
        stderr: Stream = None,
        files: Mapping[str, bytes] | None = None,
        detach: bool = False,
    ) -> Container:
        """Bring a container back that `Container.checkpoint` has saved; it runs at once.

        `spec` is the configuration that it had (`Container.spec`), the other arguments are those of
        `create`. Only root can do so, with CRIU. Failure when it cannot be restored.
        """
        from pyrunc.checkpoint import restore
        from pyrunc.checkpoint.dump import check_caller
        from pyrunc.checkpoint.options import CriuOptions

        check_caller("restore")
        criu = CriuOptions(images=os.fspath(images))
        self._sweep_once()
        asked = creation.Request(
            spec, id=id, stdio=(stdin, stdout, stderr), files=files or {}, detach=detach
        )
        return creation.make(
            self, asked, lambda options: restore.prepare(options, criu, detached=False)
        )

    @checked
    def run(
        self,
        spec: Configuration,
        *,
        input: bytes = b"",
        timeout: float | None = None,
        id: str | None = None,
        files: Mapping[str, bytes] | None = None,
        explain_seccomp: bool = False,
    ) -> Completed:
        """Create, start, wait and delete; both outputs are caught.

        A program that is not done after `timeout` seconds is killed. `id`, `files` and
        `explain_seccomp` are those of `create`.
        """
        with self.create(
            spec,
            id=id,
            stdin=PIPE if input else None,
            stdout=PIPE,
            stderr=PIPE,
            files=files,
            explain_seccomp=explain_seccomp,
        ) as container:
            container.start()
            return container.communicate(input, timeout=timeout)

    @heard
    @checked
    def get(self, id: str) -> Container:
        """Return an existing container, whoever made it; StateError when there is none.

        Closing it does not delete it.
        """
        loaded = lifecycle_container.Container.load(self.root, id)
        try:
            pidfd = process.open_pidfd(loaded.pid, loaded.start_time)
            bundle = Bundle(self.root, id)
            return Container(self, id, bundle=bundle, pid=loaded.pid, pidfd=pidfd)
        finally:
            loaded.directory.close()

    @heard
    @checked
    def delete(self, id: str, *, force: bool = False) -> None:
        """Delete a container by its name, whoever made it and in whatever state it is.

        `force` kills it first, and is content when there is none. StateError when it runs.
        """
        lifecycle_delete.delete(self.root, id, force=force)
        Bundle(self.root, id).remove()

    @heard
    def list(self) -> builtins.list[Entry]:
        """Return what `pyrunc list` shows: every container of the root, whoever made it.

        `get` gives a handle. One that cannot be read is left out, with a warning.
        """
        entries = []
        for name in orphans.ids(self.root):
            try:
                loaded = lifecycle_container.Container.load(self.root, name)
                try:
                    entries.append(Entry.of(loaded.oci_state(loaded.status()), loaded.state))
                finally:
                    loaded.directory.close()
            except (Failure, OSError) as error:
                if os.path.lexists(f"{self.root}/{name}"):  # else somebody has deleted it meanwhile
                    log.warning(f"list: {name}: {error}")
        return entries

    @heard
    def ids(self) -> builtins.list[str]:
        """Return the ids of all containers of the root, half-created ones too."""
        return orphans.ids(self.root)

    @checked
    def bundle_path(self, id: str) -> str:
        """Return the directory that `create` makes for the bundle of a container."""
        return Bundle(self.root, check_id(id)).place

    @heard
    def features(self) -> dict[str, Any]:
        """Return the document of `pyrunc features`."""
        from pyrunc.commands import features_document

        return features_document.document()

    @heard
    def info(self) -> dict[str, Any]:
        """Return the document of `pyrunc info`: what this host offers and lacks."""
        from pyrunc.commands import info_document

        return info_document.document()

    @heard
    def doctor(self) -> builtins.list[str]:
        """Delete the containers and bundles of programs that have ended; returns their ids."""
        return orphans.remove(self.root)

    def _sweep_once(self) -> None:
        if not self._swept:
            self._swept = True
            orphans.remove(self.root)
