# SPDX-License-Identifier: Apache-2.0
"""Commands in any order, and some of them killed: a container is always in a state that its history
allows, and `delete --force` ends it.
"""

from __future__ import annotations

import os
import subprocess
import time

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from tests.support.bundle import Config
from tests.support.runtime import Container, Result, Runtime

EXAMPLES = int(os.environ.get("PYRUNC_RANDOM_LIVES", "6"))
STEPS = 14

ABSENT, CREATED, RUNNING, PAUSED, STOPPED = "absent", "created", "running", "paused", "stopped"
ALIVE = (CREATED, RUNNING, PAUSED)

# verb -> the states that it works in, each with the one that it leads to.
WORKS = {
    "create": {ABSENT: CREATED},
    "start": {CREATED: RUNNING},
    "kill": {CREATED: STOPPED, RUNNING: STOPPED, PAUSED: STOPPED},
    "pause": {CREATED: PAUSED, RUNNING: PAUSED},
    "resume": {PAUSED: RUNNING},
    "exec": {CREATED: CREATED, RUNNING: RUNNING},
    "state": {state: state for state in (*ALIVE, STOPPED)},
    "ps": {state: state for state in (*ALIVE, STOPPED)},
    "delete": {CREATED: ABSENT, STOPPED: ABSENT},
    "delete --force": {state: ABSENT for state in (ABSENT, *ALIVE, STOPPED)},
}
VERBS = st.sampled_from(sorted(WORKS))


class Lives(RuleBasedStateMachine):
    """One id, one bundle, and what must be true of them."""

    runtime: Runtime
    config: Config

    def __init__(self) -> None:
        super().__init__()
        self.container = Container(self.runtime, self.runtime.new_id(), self.config)
        self.state = ABSENT
        self.started = False  # a paused container comes back to what it was

    def argv(self, verb: str) -> list[str]:
        name = self.container.id
        extra = {"kill": ["KILL"], "exec": ["true"]}.get(verb, [])
        if verb == "create":
            return ["create", "--bundle", str(self.config.bundle), name]
        return [*verb.split(), name, *extra]

    def seen(self) -> str:
        """What `state` says, once a killed process is dead."""
        result = self.runtime("state", self.container.id)
        if result.status:
            assert "does not exist" in result.stderr, result.stderr
            return ABSENT
        return str(self.container.state()["status"])

    @rule(verb=VERBS)
    def command(self, verb: str) -> None:
        result: Result = self.runtime(*self.argv(verb))
        following = WORKS[verb].get(self.state)
        if following is None:
            assert result.status != 0, f"{verb} worked on a container that is {self.state}"
            assert result.error
            return
        assert result.status == 0, f"{verb} of a container that is {self.state}: {result.stderr}"
        self.enter(following, verb)

    def enter(self, following: str, verb: str) -> None:
        if verb == "resume":
            following = RUNNING if self.started else CREATED
        self.started = following in (RUNNING, PAUSED) and (self.started or verb == "start")
        if verb == "kill":
            self.container.wait(STOPPED)
        self.state = following

    @rule(verb=VERBS, delay_ms=st.floats(0, 60))
    def crash(self, verb: str, delay_ms: float) -> None:
        """A command that is killed has done its work or not, and nothing else."""
        null = subprocess.DEVNULL
        argv = self.runtime.argv(*self.argv(verb))
        with subprocess.Popen(argv, stdin=null, stdout=null, stderr=null) as child:
            time.sleep(delay_ms / 1000)
            child.kill()
        before, after = self.state, WORKS[verb].get(self.state, self.state)
        found = self.seen()
        if verb in ("kill", "delete --force") and before in ALIVE and found in ALIVE:
            # The signal may be on its way still, or have never been sent: send it.
            self.runtime("kill", self.container.id, "KILL")
            self.container.wait(STOPPED)
            found = STOPPED
        allowed = {before, after}
        if verb == "resume":
            allowed = {before, RUNNING, CREATED}
        if verb.startswith("delete"):
            allowed |= {STOPPED} if after == ABSENT else set()
        if verb == "start":
            allowed |= {STOPPED} if before == CREATED else set()
        assert found in allowed, f"a killed {verb}: {before} became {found}"
        if verb == "start" and found == RUNNING:
            self.started = True
        self.state = found
        if found == ABSENT:  # a create that was killed, or a delete: what is left goes now
            self.runtime("delete", "--force", self.container.id).ok()
        self.started = self.started and found in (RUNNING, PAUSED)

    @invariant()
    def is_what_its_history_says(self) -> None:
        assert self.seen() == self.state

    def teardown(self) -> None:
        self.container.delete().ok()
        assert not (self.runtime.root / self.container.id).exists()


@pytest.mark.slow
def test_any_order_of_commands_and_crashes_keeps_a_container_in_order(
    pyrunc: Runtime, config: Config
) -> None:
    """AR-5, ST-5, G6, G7; the harness looks for what is left."""
    config.process["args"] = ["sleep", "600"]
    config.linux["resources"] = {"pids": {"limit": 50}}
    config.write()
    machine = type("Bound", (Lives,), {"runtime": pyrunc, "config": config})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
