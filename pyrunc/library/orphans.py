# SPDX-License-Identifier: Apache-2.0
"""Whose containers are whose, and the removal of those whose program has ended.

A container of the library carries the pid and start time of the program that made it, in an
annotation and in its bundle below the state root. Only both together count: anybody can write the
annotation into a configuration.
"""

from __future__ import annotations

import os
import re

from pyrunc.errors import Failure
from pyrunc.host import process
from pyrunc.library import bundle
from pyrunc.library.bundle import Bundle
from pyrunc.lifecycle import delete
from pyrunc.lifecycle.container import Container
from pyrunc.lifecycle.state_root import list_ids, open_root
from pyrunc.log import log

MARK = re.compile(r"[1-9][0-9]{0,9}:[0-9]{1,20}", re.ASCII)  # pid and start time of an owner


def own_mark() -> str:
    """Return this program by pid and start time, which together name it for ever."""
    loaded = process.read_stat(os.getpid())
    return f"{os.getpid()}:{loaded.start_time if loaded is not None else 0}"


def lives(mark: str) -> bool:
    """Whether the program of a mark runs; what is no mark is taken for one that does."""
    if not MARK.fullmatch(mark):
        return True
    pid, start_time = map(int, mark.split(":"))
    try:
        loaded = process.read_stat(pid)  # pid 1 too: this program may be the init of a container
    except OSError:  # a /proc that hides the processes of others
        return True
    return (
        loaded is not None
        and loaded.start_time == start_time
        and (loaded.state not in process.DEAD or pid == os.getpid())
    )


def ids(root: str) -> list[str]:
    """Return the ids of all containers of a root, half-created ones too."""
    fd = open_root(root)
    if fd < 0:
        return []
    try:
        return list_ids(fd)
    finally:
        os.close(fd)


def remove(root: str) -> list[str]:
    """Delete the containers and bundles of programs that have ended; return their ids."""
    gone = [name for name in ids(root) if _is_orphan(root, name) and _remove(root, name)]
    return gone + _sweep_bundles(root)


def _is_orphan(root: str, name: str) -> bool:
    """Whether the library made it for a program that has ended."""
    try:
        loaded = Container.load(root, name)
    except Failure:
        return False
    try:
        mark = bundle.annotation(loaded.state)
    finally:
        loaded.directory.close()
    return bool(mark) and not lives(mark) and Bundle(root, name).mark() == mark


def _remove(root: str, name: str) -> bool:
    """Delete a container with its bundle; False, with a warning, where that is impossible."""
    try:
        delete.delete(root, name, force=True)
        Bundle(root, name).remove()
    except (Failure, OSError) as error:  # one that resists must not keep the others
        log.warning(f"cannot delete {name}, whose program has ended: {error}")
        return False
    return True


def _sweep_bundles(root: str) -> list[str]:
    """Remove bundles without a container whose program has ended while it made them."""
    try:
        names = os.listdir(f"{root}/{bundle.DIRECTORY}")
    except FileNotFoundError:
        return []
    containers = set(ids(root))
    left = []
    for name in names:
        ours = Bundle(root, name)
        if name in containers or not (ours.abandoned() or not lives(ours.mark())):
            continue
        try:
            ours.remove()
        except OSError as error:
            log.warning(f"cannot remove the bundle of {name}: {error}")
            continue
        left.append(name)
    return left
