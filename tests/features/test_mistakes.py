# SPDX-License-Identifier: Apache-2.0

"""The mistakes that people make most: what is printed names the cause, the property and what to do.

Each is made with runc and crun, too; the three texts go to build/errors.json, from which
tools/features.py writes docs/errors.md.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import machine
from tests.support.bundle import Config
from tests.support.mistake_acts import Mistake, as_mistakes
from tests.support.runtime import TREE, Result, Runtime

TABLE = TREE / "build/errors.json"
PEERS = ("runc", "crun")


def first_line(result: Result) -> str:
    """What a client shows: the last line of the peers, the first of ours."""
    lines = [line for line in result.stderr.splitlines() if line.strip()]
    return lines[-1] if lines else ("" if result.status else "(no error)")


@pytest.mark.parametrize("mistake", as_mistakes(), ids=lambda mistake: mistake.name)
def test_a_mistake_is_explained(
    pyrunc: Runtime, make_config: Callable[[], Config], workspace: Path, mistake: Mistake
) -> None:
    result = mistake.act(pyrunc, make_config())
    if not mistake.phrases and not result.status:
        pytest.skip("this kernel lets it pass")
    assert result.status in (1, 255)
    for phrase in mistake.phrases:
        assert phrase.lower() in result.error.lower()
    assert mistake.place in result.stderr
    assert mistake.step in result.stderr
    assert next_step(result.stderr), "it says what is wrong and not what to do"
    assert len(result.stderr.encode()) < 8191
    texts = {"pyrunc": result.stderr.strip(), "status": result.status}
    for peer in PEERS:
        found = shutil.which(peer)
        if found:
            root = workspace / f"state-{peer}"
            root.mkdir(mode=0o700, exist_ok=True)
            with machine.tidied_peer():
                texts[peer] = peer_text(Runtime(Path(found), root), make_config(), mistake)
    note(mistake.name, texts, workspace)


def next_step(text: str) -> bool:
    """A hint below the error, or in a list of problems what is allowed or can be done."""
    return any(mark in text for mark in ("\n  hint    ", "; ", "(allowed: "))


def peer_text(runtime: Runtime, config: Config, mistake: Mistake) -> str:
    try:
        return first_line(mistake.act(runtime, config))
    except AssertionError as error:
        return str(error).splitlines()[-1]


def note(name: str, texts: dict[str, object], workspace: Path) -> None:
    """Keep the texts for docs/errors.md, without what differs from run to run."""
    table = json.loads(TABLE.read_text()) if TABLE.exists() else {}
    table[name] = {key: tidy(value, workspace) for key, value in texts.items()}
    TABLE.write_text(json.dumps(table, indent=1))


def tidy(value: object, workspace: Path) -> object:
    if not isinstance(value, str):
        return value
    found = re.sub(f"{machine.TOKEN}-\\d+", "web1", value.replace(str(workspace), ""))
    found = re.sub(r"/state-?(runc|crun)?/", "/state/", found)
    return re.sub(r'^time="[^"]*" level=\w+ msg="(.*)"$', r"\1", found).replace('\\"', '"')


def test_there_are_sixty_mistakes() -> None:
    assert len({mistake.name for mistake in as_mistakes()}) >= 60
