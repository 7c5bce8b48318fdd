# SPDX-License-Identifier: Apache-2.0
"""devices: give a running container a device of the host, or take it back.

The rule of the control group comes before the node and goes after it. A command that is killed in
between leaves a rule without a node, and the same command again ends what it has begun.
"""

from __future__ import annotations

import os
import stat

from pyrunc import jsontext
from pyrunc.cli.output import emit
from pyrunc.commands.update import apply_change
from pyrunc.errors import Failure, StateError, UsageError
from pyrunc.host import syscalls
from pyrunc.lifecycle.container import STOPPED, Container
from pyrunc.lifecycle.running_mounts import Change, read_mounts
from pyrunc.log import log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrunc.cli.flags import Args

ACTIONS = ("add", "remove")
KEY = "devices"  # of the state: what was added
LETTERS = "rwm"
IN_ROOT = 0x10 | 0x02  # RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS


def run(args: Args) -> int:
    action, name, path = args.positionals
    if action not in ACTIONS:
        raise UsageError(f'"devices" does not know {action[:32]!r}: it is add or remove')
    if not path.startswith("/") or os.path.normpath(path) != path:
        raise UsageError(f"{path[:64]!r}: a device is named by an absolute path without . and ..")
    container = Container.load(args.text("root"), name, lock=True)
    if container.status() == STOPPED:
        raise StateError("cannot change the devices of a stopped container")
    if action == "add":
        rule = device_rule(path, access=args.text("access"))
        lines = add(container, path, rule, dry_run=args.flag("dry-run"))
    else:
        lines = remove(container, path, dry_run=args.flag("dry-run"))
    emit("".join(f"{line}\n" for line in lines))
    return 0


def device_rule(path: str, *, access: str) -> dict[str, Any]:
    """Return the rule that allows a device of the host."""
    if not access or set(access) - set(LETTERS) or len(set(access)) != len(access):
        raise UsageError(
            f"--access {access[:16]!r}: it is some of the letters {LETTERS}, each once"
        )
    try:
        status = os.stat(path)
    except OSError as error:
        raise Failure(
            f"cannot find the device {path} on the host", errno=error.errno or 0
        ) from None
    kinds = {stat.S_IFCHR: "c", stat.S_IFBLK: "b"}
    kind = kinds.get(stat.S_IFMT(status.st_mode))
    if kind is None:
        raise Failure(f"{path} is no device of the host", hint="it must be a node: c or b in ls -l")
    major, minor = os.major(status.st_rdev), os.minor(status.st_rdev)
    return {"allow": True, "type": kind, "major": major, "minor": minor, "access": access}


def add(
    container: Container, path: str, rule: dict[str, Any], *, dry_run: bool = False
) -> list[str]:
    """Allow the device, then bind the host's node at the same path; both, or neither."""
    records = _records(container)
    if any(record["path"] == path for record in records):
        raise StateError(f"the device {path} was added already", hint="remove it first")
    before = _rules(container)
    change = _change(container, path)
    if dry_run:
        return [*_apply(container, [*before, rule], dry_run=True), f"{path}: bind the host's node"]
    made = not _is_there(container, path)
    _apply(container, [*before, rule])
    try:
        change.add()
        _save(container, [*records, {"path": path, "rule": rule, "made": made}])
    except BaseException:
        _restore(container, before)
        if made:
            _remove_placeholder(container, path)
        raise
    return []


def remove(container: Container, path: str, *, dry_run: bool = False) -> list[str]:
    """Take the node away, then its rule; a rule that cannot be withdrawn brings the node back."""
    records = _records(container)
    record = next((record for record in records if record["path"] == path), None)
    if record is None:
        raise StateError(
            f"no device was added at {path}",
            hint="only what `pyrunc devices add` has added is removed",
        )
    left = [other for other in records if other is not record]
    rules = _rules(container)
    if record["rule"] in rules:
        rules.remove(record["rule"])
    change = _change(container, path)
    if dry_run:
        return [f"{path}: unmount the host's node", *_apply(container, rules, dry_run=True)]
    change.remove()
    try:
        _apply(container, rules)
    except BaseException:
        _change(container, path).add()
        raise
    _save(container, left)
    if record["made"]:
        _remove_placeholder(container, path)
    return []


def _directory(container: Container, path: str) -> int:
    """Open the directory of a path as the container's init sees it, no link leading outside."""
    root = os.open(f"/proc/{container.pid}/root", os.O_PATH | os.O_CLOEXEC)
    try:
        flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
        return syscalls.openat2(root, os.path.dirname(path), flags, resolve=IN_ROOT)
    finally:
        os.close(root)


def _is_there(container: Container, path: str) -> bool:
    try:
        directory = _directory(container, path)
    except FileNotFoundError:
        return False
    try:
        os.stat(os.path.basename(path), dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return False
    finally:
        os.close(directory)
    return True


def _remove_placeholder(container: Container, path: str) -> None:
    """Remove the empty file that was made for the node to be bound on."""
    name = os.path.basename(path)
    try:
        directory = _directory(container, path)
        try:
            status = os.stat(name, dir_fd=directory, follow_symlinks=False)
            if stat.S_ISREG(status.st_mode) and not status.st_size:
                os.unlink(name, dir_fd=directory)
        finally:
            os.close(directory)
    except OSError as error:  # the container has done something with it meanwhile
        log.debug(f"{path} in the container: {error}")


def _change(container: Container, path: str) -> Change:
    mount = {"destination": path, "source": os.path.realpath(path), "options": ["bind"]}
    data = jsontext.encode([mount]).encode("utf-8", "surrogateescape")
    return Change(container, read_mounts(container, data, source=path), source=path)


def _records(container: Container) -> list[dict[str, Any]]:
    return list(container.state.get(KEY) or ())


def _rules(container: Container) -> list[dict[str, Any]]:
    return list((container.state.get("resources") or {}).get("devices") or ())


def _apply(
    container: Container, rules: list[dict[str, Any]], *, dry_run: bool = False
) -> list[str]:
    return apply_change(container, {"devices": rules}, dry_run=dry_run)


def _restore(container: Container, rules: list[dict[str, Any]]) -> None:
    try:
        _apply(container, rules)
    except Failure as failure:  # the first failure is the one to tell
        log.warning(f"the device's rule stays: {failure}")


def _save(container: Container, records: list[dict[str, Any]]) -> None:
    container.state = {**container.state, KEY: records}
    container.directory.save(container.state)
