# SPDX-License-Identifier: Apache-2.0
"""S12: what a program sees in the same bundle on this runtime and on its peers.

Every difference has a reason in DIFFERENCES, or it is a fault of somebody: look at it.
"""

from __future__ import annotations

import os
import random
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.security.programme import posture
from tests.security.programme.place import FOUND, REFUSED, SURVIVED, Place, Verdict
from tests.support import machine
from tests.support.bundle import Config
from tests.support.runtime import Runtime

CASES = 500
PEERS = ("runc", "crun")
# Lines that differ, and why that is no fault. All that they match is allowed for any peer.
DIFFERENCES: dict[str, str] = {
    r"limits: .*": "rlimits that the config does not name are the caller's",
    r"environment: . (SHLVL|PWD|HOME|OLDPWD|_)=.*": "HOME is / where passwd is hidden",
    r"cgroup: .*": "the path of a container without cgroupsPath is the runtime's choice",
    r"attributes: . keyring .*": "the keyring of the session is named by the runtime",
    r"attributes: . (session|group) .*": "crun starts the program in the session of its parent",
    r"dev: . \./(core|kcore) .*": "a link that only some runtimes make",
    r"dev: . \./ptmx .*": "a link of this name has the length of its target",
    r"dev: . \./(fd|std\w+) .*": "links whose owner and mode say nothing",
    r"dev: . \. .*": "the owner of the tmpfs of /dev",
    r"dev: . \./console .*": "made only where there is a terminal",
    r"status: . Sig(Q|Cgt|Ign|Blk):.*": "what the caller ignores is inherited by some",
    r"status: . Seccomp_filters:.*": "one filter, or one for each of its parts",
    r"status: . CapInh:.*": "runc 1.1 and crun differ in what an absent set means",
    r"mountinfo: . /(proc|sys)\S* .*": "masks: how what is hidden is covered",
    r"mountinfo: . /dev\S* .*": "options of tmpfs that the kernel adds",
    r"mountinfo: . / .*": "the root is a bind mount with the options of its file system",
    r"mountinfo: another order": "the order in which hidden paths are covered",
    r"hidden: .*": "an empty directory, or a file that reads as nothing",
    r"root: . \S+ \S+ \S+ (dev|proc|sys|\.\S*)": "mount points have the mode of what is mounted",
    r"descriptors: . [012] (pipe|file)": "runc hands a pipe on, we what the caller has",
    r"descriptors: another order": "the order of a listing",
    r"writes: .*(Read-only file system|Permission denied|nonexistent).*": "two barriers",
}  # fmt: skip


def _user(config: Config, chance: random.Random) -> None:
    config.process["user"] = {"uid": 1000, "gid": 1000}
    if chance.random() < 0.5:
        config.process["user"]["additionalGids"] = [5, 7]


def _capabilities(config: Config, chance: random.Random) -> None:
    config.capabilities(*chance.sample(["CAP_CHOWN", "CAP_KILL", "CAP_NET_RAW", "CAP_SETUID"], 2))


def _privileges(config: Config, chance: random.Random) -> None:
    config.process["noNewPrivileges"] = False


def _hidden(config: Config, chance: random.Random) -> None:
    config.linux["maskedPaths"] = ["/proc/kcore", "/sys/firmware", "/proc/timer_list"]


def _readonly_paths(config: Config, chance: random.Random) -> None:
    config.linux["readonlyPaths"] = ["/proc/sys", "/proc/bus"]


def _readonly(config: Config, chance: random.Random) -> None:
    config["root"]["readonly"] = True


def _shared(config: Config, chance: random.Random) -> None:
    config.without_namespace(*chance.sample(["ipc", "network", "cgroup"], 2))


def _limits(config: Config, chance: random.Random) -> None:
    config.process["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 99, "hard": 100}]
    config.process["oomScoreAdj"] = chance.randrange(0, 1000)


def _mapped(config: Config, chance: random.Random) -> None:
    config.user_namespace()


def _filter(config: Config, chance: random.Random) -> None:
    config.linux["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["ptrace", "swapon"], "action": "SCMP_ACT_ERRNO"}],
    }


def _directory(config: Config, chance: random.Random) -> None:
    config.process["cwd"] = chance.choice(["/tmp", "/home", "/etc"])


def _sysctl(config: Config, chance: random.Random) -> None:
    if any(entry["type"] == "ipc" for entry in config.linux["namespaces"]):
        config.linux["sysctl"] = {"kernel.shmmni": str(chance.randrange(1000, 5000))}


CHANGES: tuple[Callable[[Config, random.Random], None], ...] = (
    _user, _capabilities, _privileges, _hidden, _readonly_paths, _readonly, _limits, _mapped,
    _filter, _directory, _shared, _sysctl,
)  # fmt: skip


class Differential:
    """The cases `seed N`."""

    name = "S12"
    title = "postures beside the peers"

    def __init__(self, place: Place) -> None:
        self.place = place
        self.peers: list[Runtime] = []
        for program in filter(None, map(shutil.which, PEERS)):
            root = place.workspace / f"state-{Path(program).name}"
            root.mkdir(exist_ok=True)
            self.peers.append(Runtime(Path(program), root))
        self.own = tuple(
            os.readlink(f"/proc/self/ns/{name}") for name in os.listdir("/proc/self/ns")
        )

    def cases(self) -> Iterator[str]:
        yield from (f"seed {seed}" for seed in range(CASES))

    def judge(self, case: str) -> Verdict:
        chance = random.Random(int(case.split()[1]))
        config = self.place.config()
        for change in CHANGES:
            if chance.random() < 0.35:
                change(config, chance)
        config.process["args"] = ["sh", "-c", posture.SCRIPT]
        config.write()
        try:
            return self._compare(config)
        finally:
            shutil.rmtree(config.bundle, ignore_errors=True)

    def _compare(self, config: Config) -> Verdict:
        name = self.place.runtime.new_id()
        ours = self.place.call("run", "--bundle", config.bundle, name)
        verdict = self.place.left(name)
        if verdict or ours.status:
            return verdict or Verdict(FOUND, ours.error)
        mine, compared = posture.essence(ours.stdout), 0
        for peer in self.peers:
            with machine.tidied_peer():
                result = peer("run", "--bundle", config.bundle, peer.new_id())
            if result.status:  # what it cannot do is not compared
                continue
            compared += 1
            theirs = posture.essence(result.stdout)
            found = posture.differences(theirs, mine, *self.own)
            odd = [line for line in found if not explained(line)]
            if odd:
                return Verdict(FOUND, f"{peer.name}: " + "; ".join(odd)[:300])
        return Verdict(SURVIVED) if compared else Verdict(REFUSED, "by every peer")


def explained(line: str) -> str:
    """Why a difference is none, or nothing."""
    return next((why for text, why in DIFFERENCES.items() if re.fullmatch(text, line)), "")
