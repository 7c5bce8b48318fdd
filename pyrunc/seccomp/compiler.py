# SPDX-License-Identifier: Apache-2.0
"""A profile to a filter: names to numbers by libseccomp's tables, numbers and conditions to BPF.

Why libseccomp's own generator is not used: docs/decisions (it needs 20 ms for Docker's default
profile, decides overlapping conditions wrongly, and does not end for some).
"""

from __future__ import annotations

from pyrunc.errors import Failure
from pyrunc.seccomp import arguments, library, multiplexers, names, numbers, tables
from pyrunc.seccomp.filter import Filter, Report
from pyrunc.seccomp.opcodes import INSTRUCTION_SIZE, MAX_INSTRUCTIONS
from pyrunc.seccomp.profile import Profile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrunc.seccomp.arguments import Alternative
    from pyrunc.seccomp.opcodes import Instruction
    from pyrunc.spec.model_linux import Seccomp


def compile_cached(
    node: Seccomp, *, raw: dict[str, Any] | None = None, directory: str | None = None
) -> Filter:
    """Return the filter of a profile, cached where possible; `raw` is the profile's JSON value."""
    if directory is None or raw is None:
        compiled = compile_profile(Profile(node))
    else:
        from pyrunc.seccomp import cache

        key = cache.key(raw, library.VERSION, library.NATIVE)
        cached = cache.load(directory, key)
        compiled = cached or compile_profile(Profile(node))
        if cached is None:
            cache.store(directory, key, compiled)
    _check_kernel(compiled, node.pointer)
    return compiled


def _check_kernel(compiled: Filter, pointer: str) -> None:
    # The other flags are older than the oldest kernel that we run on.
    if compiled.flags & names.WAIT_KILLABLE_RECV and not library.flags_known(compiled.flags):
        raise Failure(
            f"{pointer}/flags: this kernel does not know SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
            pointer=f"{pointer}/flags",
            hint="it came with Linux 5.19",
        )


def compile_profile(profile: Profile) -> Filter:
    """Compile a profile.

    The result depends on nothing but the profile, the tables and the native architecture.
    """
    return _Compilation(profile).run()


class _Compilation:
    """The state of one run. Names are known by their indexes in the tables."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        # By index: the action of each name in the profile; the default also for those with
        # conditions, which are in `open`. The last one is for numbers without a name.
        self.actions: list[int | None] = []
        self.open: dict[int, list[Alternative]] = {}
        self.blocks: list[list[Instruction]] = []
        self.known_blocks: dict[object, int] = {}

    def run(self) -> Filter:
        profile, default = self.profile, self.profile.default
        by_rule, ignored = self.find_names()
        self.sort_rules(by_rule)
        by_token, skipped, stub = {}, [], []
        for token in dict.fromkeys((library.NATIVE, *profile.architectures)):
            table = tables.table(token)
            if table is None:
                # Leaving one out is safe: calls through it are killed.
                skipped.append(names.ARCHITECTURE_NAMES[token])
                continue
            newest = self.newest(table)
            if newest < numbers.END:
                stub.append((token, newest))
            by_token[token] = numbers.ranges(
                table, self.verdicts(table), default=default, newest=newest
            )
        program = numbers.link(numbers.machines(by_token, default=default), self.blocks)
        self.check_size(program)
        report = Report(ignored=ignored, skipped_architectures=skipped, stub=stub)
        return Filter(program, flags=profile.flags, listener=profile.listener, report=report)

    def find_names(self) -> tuple[list[list[int]], list[str]]:
        """Return the indexes of each rule's names, and the names that nothing knows."""
        rules = self.profile.rules
        try:
            return [tables.indexes(rule.names) for rule in rules], []
        except KeyError:
            ignored = tables.learn(name for rule in rules for name in rule.names)
        unknown = set(ignored)
        known = ([name for name in rule.names if name not in unknown] for rule in rules)
        return [tables.indexes(names) for names in known], ignored

    def sort_rules(self, numbers: list[list[int]]) -> None:
        """Sort the rules: one without conditions outweighs those with; of several, the first holds.

        So does libseccomp. A rule with the default action says nothing that the default
        does not say, as in runc and crun.
        """
        default = self.profile.default
        actions = self.actions = [None] * (tables.count() + 1)
        conditional: dict[int, list[Alternative]] = {}
        decisive = []
        for rule, indexes in zip(self.profile.rules, numbers, strict=True):
            if rule.action != default and not rule.alternatives:
                decisive.append((rule.action, indexes))
                continue
            alternatives = [(rule.action, conditions) for conditions in rule.alternatives]
            for index in indexes:
                actions[index] = default
                if rule.action != default:
                    conditional.setdefault(index, []).extend(alternatives)
        for action, indexes in reversed(decisive):
            for index in indexes:
                actions[index] = action
        self.open = {
            index: each for index, each in conditional.items() if actions[index] == default
        }

    def verdicts(self, table: tables.Table) -> list[int | None]:
        """Return the verdict of each name on an architecture: an action, or ~index of a block."""
        verdicts = self.actions.copy()
        layout = arguments.Layout(table.token)
        undecided = {**self.open, **self.multiplexer_rules(table)}
        for index, alternatives in undecided.items():
            if table.numbers[index] >= 0:
                verdicts[index] = self.block(layout, alternatives)
        return verdicts

    def newest(self, table: tables.Table) -> int:
        """Return the number above which the answer is ENOSYS; END for none."""
        profile = self.profile
        if profile.stub and profile.default != names.enosys(names.audit_arch(table.token)):
            newest = table.newest(self.actions)
            if newest >= 0:
                return newest
        return numbers.END

    def multiplexer_rules(self, table: tables.Table) -> dict[int, list[Alternative]]:
        """Return what `socketcall` and `ipc` get where rules are about calls behind them."""
        default = self.profile.default
        indexes = [tables.index(name) for name in multiplexers.MEMBERS if table.multiplexers]
        if all(index is None or self.actions[index] is None for index in indexes):
            return {}
        return {
            index: [*self.open.get(index, ()), *self.rules_behind(name)]
            for name in table.multiplexers
            if (index := tables.index(name)) is not None and self.actions[index] in (None, default)
        }

    def rules_behind(self, multiplexer: str) -> list[Alternative]:
        """Return what the rules about the calls behind a multiplexer mean for it."""
        default = self.profile.default
        inner: dict[str, list[int]] = {}
        for name in multiplexers.MULTIPLEXERS[multiplexer][0]:
            index = tables.index(name)
            if index in self.open:
                inner[name] = [
                    action
                    for action, _ in self.open[index]
                    if names.strictness(action) < names.strictness(default)
                ]
            elif index is not None and (action := self.actions[index]) not in (None, default):
                inner[name] = [action]
        return multiplexers.alternatives(multiplexer, inner)

    def block(self, layout: arguments.Layout, alternatives: list[Alternative]) -> int:
        """Return the verdict of a call with conditions, or of a multiplexer that may have none.

        Architectures that show arguments alike share the code.
        """
        if not alternatives:
            return self.profile.default
        key = (layout.key(), tuple(alternatives))
        index = self.known_blocks.get(key)
        if index is None:
            index = self.known_blocks[key] = len(self.blocks)
            self.blocks.append(arguments.block(layout, alternatives, default=self.profile.default))
        return ~index

    def check_size(self, program: bytes) -> None:
        size = len(program) // INSTRUCTION_SIZE
        if size > MAX_INSTRUCTIONS:
            raise Failure(
                f"{self.profile.pointer}: the filter has {size} instructions, more than the "
                f"kernel's {MAX_INSTRUCTIONS}",
                pointer=self.profile.pointer,
                hint="use fewer rules with conditions, or fewer architectures",
            )
