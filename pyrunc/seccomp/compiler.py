# SPDX-License-Identifier: Apache-2.0
"""A profile to a filter: names to numbers by libseccomp's tables, numbers and conditions to BPF.

Why libseccomp's own generator is not used: docs/decisions (it needs 20 ms for Docker's default
profile, decides overlapping conditions wrongly, and does not end for some).
"""

from __future__ import annotations

from pyrunc.errors import Failure
from pyrunc.seccomp import arguments, library, multiplexers, names, newer, numbers
from pyrunc.seccomp.filter import INSTRUCTION, Filter, Report
from pyrunc.seccomp.profile import Profile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrunc.seccomp.arguments import Alternative
    from pyrunc.seccomp.numbers import Instruction
    from pyrunc.spec.model_linux import Seccomp


def compile_cached(
    node: Seccomp, *, raw: dict[str, Any] | None = None, directory: str | None = None
) -> Filter:
    """The filter of a profile, from the cache where possible; `raw` is the profile's JSON value."""
    if directory is None or raw is None:
        compiled = compile_profile(Profile(node))
    else:
        from pyrunc.seccomp import cache

        key = cache.key(raw, library.version(), library.native_architecture())
        found = cache.load(directory, key)
        compiled = found or compile_profile(Profile(node))
        if found is None:
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
    """The filter of a profile. Depends on nothing but the profile, the tables and the native
    architecture.
    """
    return _Compilation(profile).run()


class _Compilation:
    """The state of one run."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self.native = library.native_architecture()
        self.ignored: list[str] = []
        # What each name gets: one action, or alternatives with conditions, or the default.
        self.fixed: dict[str, int] = {}
        self.conditional: dict[str, list[Alternative]] = {}
        self.named: list[str] = []  # those of `fixed` first
        self.encoded = b""
        self.native_numbers: list[int] = []
        self.blocks: list[list[Instruction]] = []
        self.known_blocks: dict[object, int] = {}

    def run(self) -> Filter:
        profile = self.profile
        tokens, skipped = self.choose_architectures()
        self.sort_rules()
        by_token, stub = {}, []
        for token in tokens:
            verdicts, newest = self.verdicts(token)
            beyond = profile.stub and profile.default != names.enosys(names.audit_arch(token))
            if newest >= 0 and beyond:
                stub.append((token, newest))
            by_token[token] = numbers.ranges(
                token, verdicts, default=profile.default, named=newest if beyond else -1
            )
        program = numbers.link(numbers.machines(by_token, default=profile.default), self.blocks)
        self.check_size(program)
        report = Report(
            ignored=self.ignored,
            skipped_architectures=skipped,
            stub=stub,
        )
        return Filter(program, flags=profile.flags, listener=profile.listener, report=report)

    def choose_architectures(self) -> tuple[list[int], list[str]]:
        """The architectures of the filter, the native one always among them; and the names that
        libseccomp lacks.

        Leaving one out is safe: calls through it are killed.
        """
        tokens, skipped = [self.native], []
        for token in self.profile.architectures:
            if token in tokens:
                continue
            if library.knows_architecture(token):
                tokens.append(token)
            else:
                skipped.append(names.ARCHITECTURE_NAMES[token])
        return tokens, skipped

    def sort_rules(self) -> None:
        """A rule without conditions outweighs those with; of several without, the first holds. (As
        in libseccomp.)
        """
        default, fixed, conditional = self.profile.default, self.fixed, self.conditional
        rest: dict[str, None] = {}
        for rule in reversed(self.profile.rules):
            if rule.action != default and not rule.alternatives:
                fixed.update(dict.fromkeys(rule.names, rule.action))
        for rule in self.profile.rules:
            if rule.action == default:
                # As in runc and crun: says nothing that the default does not say.
                rest.update(dict.fromkeys(rule.names))
            elif rule.alternatives:
                rest.update(dict.fromkeys(rule.names))
                alternatives = [(rule.action, conditions) for conditions in rule.alternatives]
                for name in rule.names:
                    conditional.setdefault(name, []).extend(alternatives)
        self.named = [*fixed, *[name for name in rest if name not in fixed]]
        self.encoded = library.encode(self.named)
        self.native_numbers = library.numbers(self.native, self.encoded, len(self.named))
        if library.UNKNOWN in self.native_numbers:
            pairs = zip(self.named, self.native_numbers, strict=True)
            unknown = {name for name, number in pairs if number == library.UNKNOWN} - newer.NAMES
            every = dict.fromkeys(name for rule in self.profile.rules for name in rule.names)
            self.ignored = [name for name in every if name in unknown]

    def numbers(self, token: int, *, beside_carriers: bool) -> list[int]:
        """The numbers of the names on an architecture, -1 where it lacks the call."""
        if token == self.native:
            found = self.native_numbers
        else:
            found = library.numbers(token, self.encoded, len(self.named))
        direct = self.direct_numbers(token) if beside_carriers else {}
        for place, number in enumerate(found):
            if number < 0:
                name = self.named[place]
                found[place] = direct[name] if name in direct else newer.number(token, name)
        return found

    def verdicts(self, token: int) -> tuple[dict[int, int], int]:
        """The verdict of each number that the profile names (an action, or ~index of a block), and
        the newest of these numbers.
        """
        default, conditional = self.profile.default, self.conditional
        layout = arguments.Layout(token)
        carriers = self.carriers(token)
        found = self.numbers(token, beside_carriers=bool(carriers))
        size = len(self.fixed)
        decided = dict(zip(found[:size], self.fixed.values(), strict=True))
        open_: dict[int, list[Alternative]] = {}
        for name, number in zip(self.named[size:], found[size:], strict=True):
            open_.setdefault(number, []).extend(conditional.get(name, ()))
        decided.pop(-1, None)
        open_.pop(-1, None)
        newest = numbers.newest(token, found)
        for carrier, number in carriers:
            open_.setdefault(number, []).extend(
                multiplexers.alternatives(carrier, self.fixed, conditional, default=default)
            )
        for number, alternatives in open_.items():
            if number not in decided:
                decided[number] = self.block(layout, alternatives) if alternatives else default
        return decided, newest

    def carriers(self, token: int) -> list[tuple[str, int]]:
        """The calls of an architecture that carry others, with their numbers, if the profile names
        one of these.
        """
        if multiplexers.MEMBERS.isdisjoint(self.named):
            return []
        names_ = list(multiplexers.CARRIERS)
        found = library.resolve(token, names_)
        return [pair for pair in zip(names_, found, strict=True) if pair[1] >= 0]

    @staticmethod
    def direct_numbers(token: int) -> dict[str, int]:
        if token == names.I386:
            return multiplexers.DIRECT_I386
        base = newer.BASES.get(token, 0)
        numbers_ = [base + number for number in multiplexers.DIRECT_RANGE]
        return library.numbers_of(token, multiplexers.MEMBERS, numbers_)

    def block(self, layout: arguments.Layout, alternatives: list[Alternative]) -> int:
        """The verdict of a call with conditions. Architectures that show arguments alike share the
        code.
        """
        key = (layout.key(), tuple(alternatives))
        index = self.known_blocks.get(key)
        if index is None:
            index = self.known_blocks[key] = len(self.blocks)
            self.blocks.append(arguments.block(layout, alternatives, default=self.profile.default))
        return ~index

    def check_size(self, program: bytes) -> None:
        size = len(program) // INSTRUCTION
        if size > numbers.MAX_INSTRUCTIONS:
            raise Failure(
                f"{self.profile.pointer}: the filter has {size} instructions, more than the "
                f"kernel's {numbers.MAX_INSTRUCTIONS}",
                pointer=self.profile.pointer,
                hint="use fewer rules with conditions, or fewer architectures",
            )
