# SPDX-License-Identifier: Apache-2.0
"""`run.oci.seccomp.plugins`: system calls of a container that shared objects answer, as with crun.

The plugins are loaded by a program of their own (seccomp_plugins.py), outside this process:
foreign code is never part of the runtime. To the rest it is an agent like that of listenerPath.

Annotations may come from users of an engine, and what is loaded has the rights of the caller. So
only what root has put into one of DIRECTORIES is loaded.
"""

from __future__ import annotations

import os
import stat

from pyrunc.errors import Failure, HostError
from pyrunc.helpers import run
from pyrunc.host import syscalls
from pyrunc.seccomp.names import PLUGINS
from pyrunc.seccomp.notify import Agent

POINTER = f"/annotations/{PLUGINS}"
MAX_ANSWER = 4096
DIRECTORIES = ("/etc/pyrunc/seccomp", "/usr/local/lib/pyrunc/seccomp", "/usr/lib/pyrunc/seccomp")


class PluginAgent(Agent):
    """The program that has loaded the plugins; it ends with the last process under the filter."""

    __slots__ = ()

    def __init__(self, plugins: str, *, root: str, container_id: str, bundle: str) -> None:
        helpers = run.find("", purpose=f"annotation {PLUGINS}")
        self.path = plugins
        paths = ":".join(find(name) for name in plugins.split(":") if name)
        words = [paths, root, container_id, bundle, f"{bundle}/config.json"]
        self._fd, theirs = syscalls.socketpair_seqpacket()
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        try:
            pidfd = run.start(
                helpers, "seccomp_plugins", words, stdin=theirs, output=null, setsid=True
            )
        except OSError as error:
            self.close()
            raise HostError(f"cannot run {helpers.program}", errno=error.errno or 0) from None
        finally:
            os.close(theirs)
            os.close(null)
        os.close(pidfd)
        answer = os.read(self._fd, MAX_ANSWER).decode("utf-8", "replace")
        if answer != "ok":
            self.close()
            raise Failure(
                f"cannot load the plugins of the seccomp filter: {answer or 'the loader ended'}",
                pointer=POINTER,
                hint="a plugin is a shared object in the format of crun",
            )


def find(name: str) -> str:
    """Find a plugin's file by name or path; only root could have put it there."""
    directory, base = os.path.split(name)
    for place in (directory,) if directory else DIRECTORIES:
        path = f"{place}/{base}"
        if (
            place in DIRECTORIES
            and _is_roots(place, stat.S_IFDIR)
            and _is_roots(path, stat.S_IFREG)
        ):
            return path
    raise Failure(
        f"plugin {name}: root has none of this name in {', '.join(DIRECTORIES)}",
        pointer=POINTER,
        hint="root must own the file and its directory, and nobody else may write to them",
    )


def _is_roots(path: str, kind: int) -> bool:
    try:
        facts = os.lstat(path)
    except OSError:
        return False
    return stat.S_IFMT(facts.st_mode) == kind and not facts.st_uid and not facts.st_mode & 0o022
