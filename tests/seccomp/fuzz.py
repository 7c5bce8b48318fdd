# SPDX-License-Identifier: Apache-2.0
"""Profiles from random numbers, right and wrong ones, through the whole way from text to filter.

    python -m tests.seccomp.fuzz [SECONDS [SEED]]

Nothing but a Failure may come out, a filter must pass the kernel's checks, and it must decide as
the profile says. Every hundredth filter is loaded into the kernel. A failure prints the seed and
the profile.
"""

from __future__ import annotations

import json
import random
import sys
import time
from typing import Any

from pyrunc.errors import Failure
from pyrunc.seccomp import bpf, lint
from pyrunc.seccomp.compiler import compile_profile
from pyrunc.seccomp.filter import Filter
from pyrunc.seccomp.names import ACTIONS, ARCHITECTURES, FLAGS, OPERATORS
from pyrunc.seccomp.profile import Profile
from pyrunc.spec.config import parse_config
from tests.seccomp import kernel, support

NAMES = sorted(
    {"read", "write", "open", "openat", "clone", "clone3", "mmap", "ioctl", "socket", "bind"}
    | {"socketcall", "ipc", "shmat", "semtimedop", "personality", "set_tls", "fchmodat2", "mseal"}
    | {"uretprobe", "pwritev2", "execveat", "setup", "no_such_call", "recv", "accept", "accept4"}
)
EDGES = [0, 1, 2, 2**16, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**63, 2**64 - 2**31, 2**64 - 1]
WRONG: list[Any] = [
    None,
    -1,
    2**64,
    1.5,
    True,
    "",
    "x",
    [],
    {},
    "SCMP_ACT_ALLOW",
    10**30,
    "\0",
    "é",
]
LOADED_EACH = 100


class Maker:
    """Profiles of one seed. `wrong` is the chance that a value is replaced by nonsense."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.wrong = self.random.choice([0, 0, 0, 0.01, 0.1])

    def spoil(self, value: Any) -> Any:
        return self.random.choice(WRONG) if self.random.random() < self.wrong else value

    def pick(self, values: Any) -> Any:
        return self.spoil(self.random.choice(sorted(values)))

    def number(self) -> Any:
        pick = self.random
        value = pick.choice(EDGES) if pick.random() < 0.7 else pick.getrandbits(64)
        return self.spoil(max(0, min(2**64 - 1, value + pick.choice([0, 0, -1, 1]))))

    def action(self, key: str, errno_key: str) -> dict[str, Any]:
        action = self.random.choice(sorted(ACTIONS))
        made = {key: self.spoil(action)}
        if action in ("SCMP_ACT_ERRNO", "SCMP_ACT_TRACE") and self.random.random() < 0.5:
            made[errno_key] = self.spoil(self.random.choice([0, 1, 38, 4095]))
        return made

    def arg(self) -> Any:
        made = {"index": self.spoil(self.random.randrange(6)), "op": self.pick(OPERATORS)}
        made["value"] = self.number()
        if self.random.random() < 0.5:
            made["valueTwo"] = self.number()
        return self.spoil(made)

    def rule(self) -> Any:
        names = [self.spoil(self.random.choice(NAMES)) for _ in range(self.random.randint(1, 4))]
        made = {"names": names, **self.action("action", "errnoRet")}
        if self.random.random() < 0.7:
            made["args"] = [self.arg() for _ in range(self.random.randint(0, 4))]
        return self.spoil(made)

    def profile(self) -> Any:
        made = self.action("defaultAction", "defaultErrnoRet")
        made["syscalls"] = [self.rule() for _ in range(self.random.randint(0, 12))]
        some = self.random.sample(sorted(ARCHITECTURES), self.random.randint(0, 5))
        made["architectures"] = [self.spoil(name) for name in some]
        if self.random.random() < 0.3:
            made["flags"] = [self.pick(FLAGS) for _ in range(self.random.randint(0, 3))]
        if self.random.random() < 0.5:
            made["listenerPath"] = self.spoil("/run/agent.sock")
        return made


def config(profile: Any) -> bytes:
    return json.dumps(
        {
            "ociVersion": "1.3.0",
            "process": {"cwd": "/", "args": ["true"], "user": {"uid": 0, "gid": 0}},
            "root": {"path": "rootfs"},
            "linux": {"namespaces": [{"type": "mount"}], "seccomp": profile},
        }
    ).encode()


def attempt(seed: int) -> Filter | None:
    """One profile; None if it was refused."""
    maker = Maker(seed)
    profile = maker.profile()
    try:
        node = parse_config(config(profile)).linux.seccomp
        if node is None:
            return None
        lint.warnings(node)
        compiled = compile_profile(Profile(node))
    except Failure:
        return None
    program = bpf.decode(compiled.program)
    bpf.check(program)
    if {"socketcall", "ipc"}.isdisjoint(str(profile)) and not maker.wrong:
        compare(maker.random, profile, program)
    return compiled


def compare(pick: random.Random, profile: Any, program: list[tuple[int, int, int, int]]) -> None:
    """Some calls, decided by the filter and by the profile's meaning. The carriers have tests of
    their own.
    """
    for name in profile["architectures"]:
        if name not in support.TOKENS:
            continue
        token = support.TOKENS[name]
        machine = support.X86_64 if token == support.X32 else token
        numbers = sorted(support.named_numbers(profile, token)) or [0]
        for _ in range(10):
            number = max(0, pick.choice(numbers) + pick.choice([0, 0, 0, 1, -1]))
            args = [pick.choice(EDGES) for _ in range(6)]
            got = bpf.run(
                program, bpf.data(number, machine, args, high_first=machine in support.BIG)
            )
            if not carried(token, number):
                assert got == support.decide(profile, machine, number, args), (
                    name,
                    number,
                    args,
                    hex(got),
                )


def carried(token: int, number: int) -> bool:
    return number in (support.number_of(token, "socketcall"), support.number_of(token, "ipc"))


def main(seconds: float = 60, seed: int | None = None) -> int:
    first = seed if seed is not None else time.time_ns() % 10**9
    end = time.monotonic() + seconds
    tried = accepted = loaded = 0
    while time.monotonic() < end:
        current = first + tried
        tried += 1
        try:
            compiled = attempt(current)
            accepted += compiled is not None
            if compiled is not None and accepted % LOADED_EACH == 0 and not kernel.missing():
                kernel.ask(compiled, [(64, 39, [])])
                loaded += 1
        except Exception:
            print(f"seed {current}: {json.dumps(Maker(current).profile())}", file=sys.stderr)
            raise
    print(f"{tried} profiles from seed {first}: {accepted} compiled, {loaded} loaded")
    return tried


if __name__ == "__main__":
    main(*(float(arg) if place == 0 else int(arg) for place, arg in enumerate(sys.argv[1:])))  # type: ignore[arg-type]  # positional
