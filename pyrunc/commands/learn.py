# SPDX-License-Identifier: Apache-2.0
"""run --learn, exec --learn: what a program has used, as files in a directory."""

from __future__ import annotations

import os

from pyrunc import jsontext
from pyrunc.errors import Failure
from pyrunc.lifecycle.learned import learn
from pyrunc.log import log
from pyrunc.seccomp import library, names, watch
from pyrunc.seccomp.refusals import call_name
from pyrunc.spec.constants import CAP_NAMES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from pyrunc.lifecycle.learned import Learned
    from pyrunc.seccomp.filter import Filter
    from pyrunc.seccomp.refusals import Refusal
    from pyrunc.seccomp.watch import Watch

HIGHEST = 1024  # no system call has a number so high
FRAGMENT, CONFIG, USED, REFUSED = "fragment.json", "config.json", "used.json", "refused.txt"
RECORD = "record.json"  # what all runs have seen


def begin(path: str, compiled: Filter | None) -> Watch:
    """Make the directory of --learn before anything runs, and what will look at it."""
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        raise Failure(
            f"cannot make the directory of --learn {path}", errno=error.errno or 0
        ) from None
    return watch.Watch(compiled)


def finish(watched: Watch, raw: dict[str, Any], directory: str) -> None:
    """Wait for the end of the program and write what was learned."""
    record = watched.learned()
    if record is None:
        return
    record = _with_earlier(directory, record)
    _write(directory, RECORD, jsontext.encode(record) + "\n")
    passed, refused = watch.calls(record)
    capabilities = record["capabilities"]
    learned = learn(
        raw,
        calls=_by_architecture(passed),
        known=_let_pass(watched),
        capabilities=None if capabilities is None else [int(key) for key in capabilities],
        unknown=record["unknown"],
        files=record["files"],
    )
    text = _refused(learned, refused)
    _write(directory, FRAGMENT, jsontext.encode(learned.fragment, indent=2) + "\n")
    _write(directory, CONFIG, jsontext.encode(learned.config, indent=2) + "\n")
    _write(directory, USED, jsontext.encode(_used(record, passed, refused), indent=2) + "\n")
    _write(directory, REFUSED, "".join(f"{line}\n" for line in text))
    summary = f"{len(passed)} system calls, {len(record['files'])} files"
    if capabilities is not None:
        summary += f", {len(capabilities)} capabilities"
    log.tell(
        [f"learned: {summary}; {directory}/{CONFIG}", *(f"kept: {line}" for line in learned.kept)]
    )


def _with_earlier(directory: str, record: dict[str, Any]) -> dict[str, Any]:
    """Add what earlier runs with the same directory have seen."""
    path = os.path.join(directory, RECORD)
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return watch.add(record, jsontext.decode(file.read()))
    except FileNotFoundError:
        return record
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Failure(
            f"cannot add to {path}: {error}",
            hint="it is what an earlier run has seen: remove it to begin anew",
        ) from None


def _by_architecture(passed: Sequence[Refusal]) -> dict[str, list[str]]:
    """Return names by architecture; calls without a name are in no profile."""
    record: dict[str, list[str]] = {names.ARCHITECTURE_NAMES[library.NATIVE]: []}
    for row in passed:
        name = call_name(row.token, row.number)
        if name:
            record.setdefault(names.ARCHITECTURE_NAMES[row.token], []).append(name)
    return record


def _let_pass(watched: Watch) -> list[str]:
    """Return the native calls that the original filter lets pass, with arguments of 0."""
    native, record = library.NATIVE, []
    for number in range(HIGHEST):
        name = call_name(native, number)
        if name and watch.passes(watched.verdict(native, number)):
            record.append(name)
    return record


def _used(
    record: dict[str, Any], passed: Sequence[Refusal], refused: Sequence[Refusal]
) -> dict[str, Any]:
    capabilities = record["capabilities"]
    return {
        "systemCalls": {row.name: row.count for row in passed},
        "refused": {row.name: {"count": row.count, "answer": row.answer} for row in refused},
        "denied": record["denied"],
        "capabilities": None
        if capabilities is None
        else {CAP_NAMES[int(key)]: calls for key, calls in capabilities.items()},
        "files": {
            path: {"access": file["access"], "kind": file["kind"] or "absent"}
            for path, file in sorted(record["files"].items())
        },
    }


def _refused(learned: Learned, refused: Sequence[Refusal]) -> list[str]:
    """Return what the learned configuration refuses, and the old one did not."""
    lines = [f"would be refused: {line}" for line in learned.dropped]
    lines += [f"kept: {line}" for line in learned.kept]
    return [*lines, *(f"was refused already: {row.line()}" for row in refused)]


def _write(directory: str, name: str, text: str) -> None:
    path = os.path.join(directory, name)
    try:
        with open(path, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)
    except OSError as error:
        raise Failure(f"cannot write {path}", errno=error.errno or 0) from None
