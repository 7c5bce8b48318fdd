# SPDX-License-Identifier: Apache-2.0
"""S8: every op of a plan is left out, doubled, moved, and each bit of its numbers flipped.

The container fails, or what its program sees differs from what was asked for: both are seen. A
mutant that changes nothing that a program sees is `equal`; for an op that protects there is none.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from tests.security.programme import posture
from tests.security.programme.place import FOUND, LEFT, REFUSED, SURVIVED, Place, Verdict
from tests.support.bundle import CAPABILITY_SETS, Config
from tests.support.runtime import Failed, Result

MUTANT = Path(__file__).with_name("mutant.py")
MOST_BITS = 4  # flipped in each number: those that are set, first
# What may not be left out without a sign. The other ops prepare, name or check.
PROTECTS = frozenset(
    [
        "propagate_root",
        "unshare",
        "join_cgroup",
        "fork",
        "mask",
        "make_readonly",
        "pivot",
        "set_root_attributes",
        "set_groups",
        "set_ids",
        "set_capabilities",
        "limit_bounding_set",
        "set_no_new_privileges",
        "load_seccomp",
        "set_session",
        "new_keyring",
        "set_attributes",
        "set_hostname",
        "enter_root",
        "attach_root",
    ]
)
# A second barrier: left out, the first one still gives what was asked for. Each says why.
SECOND = {
    "set_session": "the new pid namespace alone gives a session that is not the caller's",
    "propagate_root": "a pivot into the new root detaches every host mount",
    "set_attributes": "the same attributes were given when the mount was made",
}


class Mutations:
    """The cases `index kind op`."""

    name = "S8"
    title = "plans that are mutated"

    def __init__(self, place: Place, *, blunt: str = "-") -> None:
        """`blunt`: an op that does nothing of what it should, as a fault of ours would have it."""
        self.place = place
        self.blunt = blunt
        self.listing = place.workspace / "ops"
        self.config = self._config()
        result, name = self._run("0 none")
        self.usual, self.own = posture.essence(result.ok().stdout), self._own()
        self.place.left(name)

    def _config(self) -> Config:
        config = self.place.config()
        config.linux["maskedPaths"] = ["/proc/kcore", "/sys/firmware", "/proc/timer_list"]
        config.linux["readonlyPaths"] = ["/proc/sys"]
        config.linux["sysctl"] = {"kernel.shmmni": "1234"}
        config.linux["resources"] = {"pids": {"limit": 100}}
        config.linux["seccomp"] = {
            "defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{"names": ["ptrace"], "action": "SCMP_ACT_ERRNO"}],
        }
        config["root"]["readonly"] = True
        config.without_namespace("cgroup")  # it would hide where the program is
        config.capabilities(
            bounding=["CAP_KILL", "CAP_CHOWN"],
            **{kind: ["CAP_KILL"] for kind in CAPABILITY_SETS if kind != "bounding"},
        )
        config.process["user"] = {"uid": 1000, "gid": 1000, "additionalGids": [5], "umask": 0o27}
        config.process["rlimits"] = [{"type": "RLIMIT_CORE", "soft": 0, "hard": 0}]
        config.process["args"] = ["sh", "-c", posture.SCRIPT]
        config.write()
        return config

    def _run(self, spec: str) -> tuple[Result, str]:
        name = self.place.runtime.new_id()
        prefix = [sys.executable, "-ISB", "-Xutf8", str(MUTANT)]
        prefix += [f"{spec} {self.blunt}", str(self.listing)]
        return self.place.call("run", "--bundle", self.config.bundle, name, prefix=prefix), name

    def _own(self) -> list[str]:
        """The namespaces that the last run had when it began."""
        return Path(f"{self.listing}.own").read_text().split()

    def cases(self) -> Iterator[str]:
        self.place.left(self._run("0 none")[1])
        for index, line in enumerate(self.listing.read_text().splitlines()):
            op, _pointer, *numbers = line.split(" ")
            for kind in ("drop", "double", "move"):
                yield f"{index} {kind} {op}"
            for number in numbers:
                field, _, value = number.rpartition("=")
                for bit in bits(int(value)):
                    yield f"{index} {field}:{bit} {op}"

    def judge(self, case: str) -> Verdict:
        index, kind, op = case.split()
        try:
            result, name = self._run(f"{index} {kind}")
        except Failed:  # nothing is undone by who was killed: an end without a program
            self.place.tidy()
            return Verdict(REFUSED, "waits until it is killed")
        verdict = self._seen(kind, op, result)
        left = self.place.left(name)
        if left is not None and left.outcome == LEFT and op == "unshare":
            return verdict  # the root of the runtime itself was changed: it cannot undo anything
        return left or verdict

    def _seen(self, kind: str, op: str, result: Result) -> Verdict:
        if result.status:
            return Verdict(REFUSED, result.error)
        found = posture.differences(
            self.usual, posture.essence(result.stdout), *self.own, *self._own()
        )
        if found:
            return Verdict(SURVIVED, "seen: " + found[0][:120])
        if kind == "drop" and op in PROTECTS and op not in SECOND:
            return Verdict(FOUND, f"without {op} nothing is seen")
        return Verdict(SURVIVED, "equal")


def bits(value: int) -> list[int]:
    """The bits of a number to flip: those that are set, and the lowest."""
    top = [bit for bit in range(min(value.bit_length(), 31)) if value >> bit & 1]
    return sorted({0, *top[:MOST_BITS]}) if value < 1 << 31 else [0]
