# SPDX-License-Identifier: Apache-2.0
"""S10: a resource runs out, at each amount from nothing to enough.

A clear error and nothing left, or success; and `delete --force` works while the resource is still
exhausted.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.security.programme.place import FOUND, REFUSED, SURVIVED, Place, Verdict, unclear
from tests.support import machine
from tests.support.bundle import Config
from tests.support.runtime import Failed, Result

MS_RDONLY = 1
PIDS = Path("/sys/fs/cgroup/pids")
NAMESPACES = ("user", "mnt", "pid", "net", "ipc", "uts", "cgroup")
SWEEPS: dict[str, Sequence[int]] = {
    "nofile": range(3, 49),
    "address-space": range(2, 66, 2),
    "file-size": (0, 1, 64, 512, 1024, 2048, 4096, 8192, 65536),
    "state-pages": range(1, 25),
    "state-inodes": range(1, 17),
    "pids": range(1, 9),
    "namespaces": range(len(NAMESPACES)),
    "keys": (0, 1, 2),
    "stdio": range(1, 8),
    "full-log": (0, 1),
    "environment": (17, 18, 20, 21, 22),
    "read-only": (0,),
}
USER = 4711  # without privileges; nothing of the host belongs to it
CALLER = ("setpriv", "--reuid", str(USER), "--regid", str(USER), "--clear-groups")
FILL_KEYS = """
import ctypes, os, sys
libc = ctypes.CDLL(None)
free, made = int(sys.argv[1]), []
libc.syscall(250, 1, None)
while len(made) < 1000 and (key := libc.syscall(248, b"user", b"k%d" % len(made), b"x", 1, -3)) > 0:
    made.append(key)
for key in made[len(made) - free:]:
    libc.syscall(250, 9, key, -3)
os.execv(sys.argv[2], sys.argv[2:])
"""


class Exhaustion:
    """The cases `resource amount`."""

    name = "S10"
    title = "resources that run out"

    def __init__(self, place: Place) -> None:
        self.place = place
        self.config = place.config()
        self.config.process["args"] = ["true"]

    def cases(self) -> Iterator[str]:
        longest = max(map(len, SWEEPS.values()))
        for step in range(longest):  # a sample of the beginning has something of each
            for resource, amounts in SWEEPS.items():
                if step < len(amounts):
                    yield f"{resource} {amounts[step]}"

    def judge(self, case: str) -> Verdict:
        resource, amount = case.split()
        name = self.place.runtime.new_id()
        nests = {"namespaces": 0, "keys": USER}  # the id of the caller, as he sees it
        config = self.config
        if resource in nests:
            config = nested(self.place.config(), nests[resource])
        config["process"]["env"] = ["PATH=/bin"]
        if resource == "environment":
            config["process"]["env"].append("X=" + "x" * (1 << int(amount)))
        config.write()
        try:
            with self._scarce(resource, int(amount)) as prefix:
                result = self.place.call("run", "--bundle", config.bundle, name, prefix=prefix)
                verdict = self._said(resource, result)
                if verdict.good and (self.place.runtime.root / name).exists():
                    verdict = Verdict(FOUND, f"its state stays: {result.error}")
        except Failed as hung:
            self.place.tidy()
            return Verdict(FOUND, f"hangs: {str(hung)[-60:]}")
        return self.place.left(name) or verdict

    def _said(self, resource: str, result: Result) -> Verdict:
        if result.status == 0:
            return Verdict(SURVIVED)
        mute = resource in ("stdio", "full-log", "file-size") and not result.stderr
        # The kernel ends a program whose image has no room.
        early = resource == "address-space" and result.status in (-9, -11, 127)
        why = "" if mute or early else unclear(result)
        return Verdict(FOUND, why) if why else Verdict(REFUSED, result.error)

    @contextmanager
    def _scarce(self, resource: str, amount: int) -> Iterator[list[str]]:
        """What to put before a command that has only so much."""
        limits = {"nofile": "nofile", "file-size": "fsize", "address-space": "as"}
        if resource in limits:
            value = amount << 20 if resource == "address-space" else amount
            yield ["prlimit", f"--{limits[resource]}={value}"]
        elif resource in ("state-pages", "state-inodes", "read-only"):
            with self._small_root(resource, amount):
                yield []
        elif resource == "pids":
            with self._few_pids(amount) as words:
                yield words
        else:
            if resource in ("keys", "namespaces"):
                os.chown(self.place.runtime.root, USER, USER)
            try:
                yield OTHERS[resource](amount) if resource in OTHERS else []
            finally:
                os.chown(self.place.runtime.root, 0, 0)

    @contextmanager
    def _small_root(self, resource: str, amount: int) -> Iterator[None]:
        root = self.place.runtime.root
        data = {
            "state-pages": f",size={amount * 4}k",
            "state-inodes": f",nr_inodes={amount}",
        }
        flags = MS_RDONLY if resource == "read-only" else 0
        machine.mount("none", root, "tmpfs", flags, "mode=700" + data.get(resource, ""))
        try:
            yield
        finally:
            machine.unmount(root)

    @contextmanager
    def _few_pids(self, amount: int) -> Iterator[list[str]]:
        if not (PIDS / "cgroup.procs").exists():
            yield []
            return
        group = PIDS / f"{machine.TOKEN}-few"
        group.mkdir(exist_ok=True)
        (group / "pids.max").write_text(str(amount))
        try:
            yield ["sh", "-c", f'echo $$ >{group}/cgroup.procs; exec "$@"', "sh"]
        finally:
            with suppress(OSError):
                group.rmdir()


def nested(config: Config, seen: int) -> Config:
    """Fit for a caller who may map nobody but himself."""
    config.namespace("user")
    config.without_namespace("cgroup", "network")
    config.without_mount("/sys")
    config.without_mount("/dev/pts")
    config["mounts"] = [entry for entry in config["mounts"] if entry["type"] != "bind"]
    one = [{"containerID": 0, "hostID": seen, "size": 1}]
    config.linux["uidMappings"] = config.linux["gidMappings"] = one
    for path in (config.bundle, config.rootfs, *config.rootfs.iterdir()):
        os.chown(path, USER, USER, follow_symlinks=False)
    return config


def _namespaces(amount: int) -> list[str]:
    file = f"/proc/sys/user/max_{NAMESPACES[amount]}_namespaces"
    script = f'echo 0 >{file}; exec "$@"'
    return [*CALLER, "unshare", "--user", "--map-root-user", "sh", "-c", script, "sh"]


def _keys(amount: int) -> list[str]:
    return [*CALLER, "/usr/bin/python3", "-ISc", FILL_KEYS, str(amount)]


def _stdio(amount: int) -> list[str]:
    closed = " ".join(f"{fd}>&-" for fd in range(3) if amount >> fd & 1)
    return ["sh", "-c", f'exec {closed}; exec "$@"', "sh"]


def _full(amount: int) -> list[str]:
    where = ("2>/dev/full", ">/dev/full 2>&1")[amount]
    return ["sh", "-c", f'exec "$@" {where}', "sh"]


OTHERS: dict[str, Callable[[int], list[str]]] = {
    "namespaces": _namespaces,
    "keys": _keys,
    "stdio": _stdio,
    "full-log": _full,
}
