# SPDX-License-Identifier: Apache-2.0
"""Policies: functions that change or refuse a configuration before it is planned. PURE.

``def policy(spec, host)`` returns a `Spec`, the same or another, or a `Refusal`. `host` has the
facts of `pyrunc.host.facts`. What each policy changed is told line by line.
"""

from __future__ import annotations

from pyrunc.errors import Failure
from pyrunc.library.arguments import quoted
from pyrunc.library.parameters import checked
from pyrunc.library.spec import Spec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from pyrunc.host.facts import Host

    Policy = Callable[[Spec, Host], "Spec | Refusal"]


class Refusal:
    """A policy's "no": the reason, and the JSON pointer of the property that it is about."""

    __slots__ = ("hint", "pointer", "reason")

    @checked
    def __init__(self, reason: str, *, pointer: str = "", hint: str = "") -> None:
        self.reason = reason
        self.pointer = pointer
        self.hint = hint


class Change:
    """What one policy made of one property: text of the values before and after, "" for absent."""

    __slots__ = ("after", "before", "pointer", "policy")

    def __init__(self, policy: str, pointer: str, before: str, after: str) -> None:
        self.policy = policy
        self.pointer = pointer
        self.before = before
        self.after = after

    def line(self) -> str:
        return (
            f"{self.policy}: {self.pointer}: {self.before or 'absent'} -> {self.after or 'absent'}"
        )


def apply(policies: Sequence[Policy], spec: Spec, host: Host) -> tuple[Spec, list[Change]]:
    """Return the configuration after all policies, in their order.

    Failure for a refusal, or for a policy that raises or returns something else.
    """
    changes: list[Change] = []
    for policy in policies:
        name = name_of(policy)
        try:
            answer = policy(spec, host)
        except (Exception, SystemExit) as error:  # a sys.exit() is no answer, and not ours to obey
            raise Failure(
                f"the policy {name} failed: {type(error).__name__}: {error}",
                hint="a policy that fails refuses: nothing starts without its answer",
            ) from error
        if isinstance(answer, Refusal):
            message = f"refused by the policy {name}: {answer.reason}"
            value = spec.get(answer.pointer)
            raise Failure(
                message,
                pointer=answer.pointer,
                value="" if value is None else quoted(value),
                hint=answer.hint,
            )
        if not isinstance(answer, Spec):
            raise Failure(f"the policy {name} returned no Spec and no Refusal: {type(answer)}")
        changes += [Change(name, *row) for row in differences(spec.to_dict(), answer.to_dict(), "")]
        spec = answer
    return spec, changes


def name_of(policy: Policy) -> str:
    return str(getattr(policy, "__name__", type(policy).__name__))


def differences(before: Any, after: Any, pointer: str) -> Iterator[tuple[str, str, str]]:
    """(pointer, text before, text after) of what differs; objects are looked into, arrays too."""
    from pyrunc.spec.problems import join, show

    if isinstance(before, list) and isinstance(after, list):
        before, after = dict(enumerate(before)), dict(enumerate(after))
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted({*before, *after}, key=lambda key: (str(type(key)), key)):
            yield from differences(before.get(key), after.get(key), join(pointer, str(key)))
    elif before != after:
        yield (
            pointer or "/",
            "" if before is None else show(before),
            "" if after is None else show(after),
        )
