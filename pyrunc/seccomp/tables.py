# SPDX-License-Identifier: Apache-2.0
"""The system calls of each architecture, in the order of their numbers.

What libseccomp answers never changes: each name that it knows is asked for once in a process, and
has a fixed index from then on. Lists by this index are quicker than dictionaries by name. The
launcher's dump knows all names, and has the tables of its architectures: a new process there asks
nothing.
"""

from __future__ import annotations

from pyrunc.seccomp import library, multiplexers, names, newer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

# Ranges that do not grow with new system calls, so that the newest number of a profile is looked
# for outside: ARM's private calls (cacheflush, set_tls), and the x32 twins of old x86_64 calls.
NOWHERE = (0, -1)
PRIVATE_RANGES = {
    names.ARM: (0x0F0000, 0x0FFFFF),
    names.X32: (names.X32_BIT + 512, names.X32_BIT + 547),
}
HOLE = -1  # instead of an index: the number has no name. Also the index of the last item of a list.

_places: dict[str, int] = {}
_tables: dict[int, Table] = {}


def indexes(asked: Collection[str]) -> list[int]:
    """Return the indexes of these names; KeyError for an unknown name, or before `learn`."""
    return list(map(_places.__getitem__, asked))


def index(name: str) -> int | None:
    """Return the index of a name, if it has been asked for."""
    return _places.get(name)


def count() -> int:
    """How many names have a index."""
    return len(_places)


def learn(asked: Iterable[str]) -> list[str]:
    """Give indexes to these names; those that neither libseccomp nor `newer` knows are returned."""
    new = [
        *dict.fromkeys(name for name in (*multiplexers.MULTIPLEXERS, *asked) if name not in _places)
    ]
    numbers = library.resolve(library.NATIVE, new)
    unknown = []
    for name, number in zip(new, numbers, strict=True):
        if number != library.UNKNOWN or name in newer.NAMES:
            _places[name] = len(_places)
        else:
            unknown.append(name)
    for table in _tables.values():
        table.learn()
    return unknown


def table(token: int) -> Table | None:
    """Return the table of an architecture, which `learn` keeps up to date.

    None where libseccomp has none.
    """
    known = _tables.get(token)
    if known is None and library.knows_architecture(token):
        known = _tables[token] = Table(token)
        known.learn()
    return known


class Table:
    """One architecture."""

    __slots__ = ("multiplexers", "numbers", "private", "segments", "token")

    def __init__(self, token: int) -> None:
        self.token = token
        self.private = PRIVATE_RANGES.get(token, NOWHERE)
        self.numbers: list[int] = []  # by index; -1 where the architecture lacks the call
        # First number, and the indexes of the names from there on: each number has one name.
        self.segments: list[tuple[int, list[int]]] = []
        self.multiplexers: list[str] = []  # of multiplexers.MULTIPLEXERS

    def learn(self) -> None:
        """Take in the numbers of the names that have got a index since the last time."""
        if len(self.numbers) == len(_places):
            return
        asked = [*_places][len(self.numbers) :]
        numbers = library.resolve(self.token, asked)
        self.multiplexers += [
            name
            for name, number in zip(asked, numbers, strict=True)
            if name in multiplexers.MULTIPLEXERS and number >= 0
        ]
        direct = self._direct_numbers(asked) if self.multiplexers else {}
        self.numbers += [
            number if number >= 0 else direct.get(name, newer.number(self.token, name))
            for name, number in zip(asked, numbers, strict=True)
        ]
        self._arrange()

    def is_private(self, number: int) -> bool:
        low, high = self.private
        return low <= number <= high

    def newest(self, actions: Sequence[int | None]) -> int:
        """Return the largest number outside the private range whose name has an action, or -1."""
        for start, indexes in reversed(self.segments):
            if not self.is_private(start):
                for distance in range(len(indexes) - 1, -1, -1):
                    if actions[indexes[distance]] is not None:
                        return start + distance
        return -1

    def _direct_numbers(self, asked: Sequence[str]) -> Mapping[str, int]:
        """For these names libseccomp answers with a pseudo number where a carrier exists."""
        if self.token == names.I386:
            return multiplexers.DIRECT_I386
        members = multiplexers.MEMBERS.intersection(asked)
        if not members:
            return {}
        base = newer.BASES.get(self.token, 0)
        numbers = [base + number for number in multiplexers.DIRECT_RANGE]
        return library.numbers_of(self.token, members, numbers)

    def _arrange(self) -> None:
        low, high = self.private
        by_number = {number: index for index, number in enumerate(self.numbers) if number >= 0}
        parts: tuple[list[int], ...] = ([], [], [])  # below the private range, inside, above
        for number in by_number:
            parts[(number >= low) + (number > high)].append(number)
        self.segments = [
            (
                min(part),
                [by_number.get(one, HOLE) for one in range(min(part), max(part) + 1)],
            )
            for part in parts
            if part
        ]
