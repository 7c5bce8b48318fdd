# SPDX-License-Identifier: Apache-2.0
"""The collector of everything that is wrong in one configuration, and its wording. PURE."""

from __future__ import annotations

from pyrunc.errors import DID_YOU_MEAN, ConfigErrors, Problem, shorten

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_PROBLEMS = 100  # a hostile file could have 10^5; nobody reads more than this
MAX_NAME = 100  # characters of a property name in a pointer
SHORTEST = 3  # characters of what may be an abbreviation
# What other tools call a property.
SYNONYMS = {
    "blkio": "blockIO",
    "cmd": "args",
    "command": "args",
    "dst": "destination",
    "entrypoint": "args",
    "hugetlb": "hugepageLimits",
    "labels": "annotations",
    "ns": "namespaces",
    "target": "destination",
    "tty": "terminal",
    "workdir": "cwd",
    "workingdir": "cwd",
}


def join(pointer: str, name: str) -> str:
    """Join a name to a JSON pointer (RFC 6901), fit for one line of a message."""
    if "~" in name or "/" in name:
        name = name.replace("~", "~0").replace("/", "~1")
    if not name.isprintable():
        name = ascii(name)[1:-1]
    return f"{pointer}/{name if len(name) <= MAX_NAME else name[:MAX_NAME] + '…'}"


def show(value: object) -> str:
    """Show a value as a message quotes it: as in JSON where it is short, by its kind otherwise."""
    if value is None or value is True or value is False:
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list | tuple):
        return "an array"
    if isinstance(value, str):
        return f"'{value}'" if value.isidentifier() and len(value) < 100 else shorten(value)
    return shorten(value)


def listing(names: Iterable[str], *, limit: int = 300) -> str:
    """List allowed names, cut at a length that an error line can carry."""
    text = ""
    for name in names:
        if len(text) + len(name) > limit:
            return f"{text}, …"
        text = f"{text}, {name}" if text else name
    return text


def _fold(word: str) -> str:
    """Return a word without what its writers differ in."""
    return word.lower().replace("_", "").replace("-", "")


def property_suggestion(word: str, names: Iterable[str]) -> str:
    """Return a "did you mean" for an unknown property, or nothing.

    Properties are shortened (cap, uidMap, nnp) and lengthened (cpuShares, capabilitySet), too.
    """
    if "." in word:  # an engine's own: com.example.annotations
        return ""
    known = list(names)
    folded = _fold(word[:64])
    synonym = SYNONYMS.get(folded)
    if synonym in known:
        return f"{DID_YOU_MEAN} '{synonym}'?"
    return (
        suggestion(word, known)
        or _abbreviated(folded, known)
        or _abbreviated(folded.removesuffix("s"), known)
    )


def _abbreviated(word: str, known: list[str]) -> str:
    """Return the suggestion of the one name that this shortens, or begins or ends with."""
    if len(word) < SHORTEST:
        return ""
    meant = [name for name in known if _fold(name).startswith(word) or _initials(name) == word]
    meant = meant or [
        name
        for name in known
        if word.startswith(_fold(name)) or (len(name) > SHORTEST and word.endswith(_fold(name)))
    ]
    return f"{DID_YOU_MEAN} '{meant[0]}'?" if len(meant) == 1 else ""


def _initials(name: str) -> str:
    return name[:1].lower() + "".join(char.lower() for char in name[1:] if char.isupper())


def suggestion(word: str, names: Iterable[str]) -> str:
    """Return a "did you mean" for a misspelt word, or nothing."""
    known = list(names)
    folded = {_fold(name): name for name in known}
    same = folded.get(_fold(word))
    if same:
        return f"{DID_YOU_MEAN} '{same}'?"
    import difflib

    close = difflib.get_close_matches(word[:64], known, n=1, cutoff=0.6)
    if not close:
        return ""
    prefix = _common_prefix(known)
    ends = word.removeprefix(prefix)[:64], close[0].removeprefix(prefix)
    if difflib.SequenceMatcher(None, *ends).ratio() < 0.3:
        return ""
    return f"{DID_YOU_MEAN} '{close[0]}'?"


def _common_prefix(names: list[str]) -> str:
    """Return what all of several names begin with (RLIMIT_): it makes none of them likelier."""
    if len(names) < 2:
        return ""
    first, last = min(names), max(names)
    length = next((i for i, char in enumerate(first) if last[i : i + 1] != char), len(first))
    return first[: first.rfind("_", 0, length) + 1]


class Problems:
    """Errors and warnings in the order in which they were found."""

    __slots__ = ("errors", "warnings")

    def __init__(self) -> None:
        self.errors: list[Problem] = []
        self.warnings: list[Problem] = []

    def add(
        self,
        pointer: str,
        message: str,
        *,
        value: str = "",
        allowed: str = "",
        hint: str = "",
    ) -> None:
        if len(self.errors) < MAX_PROBLEMS:
            self.errors.append(Problem(pointer, message, value=value, allowed=allowed, hint=hint))

    def full(self) -> bool:
        """Return whether there are too many errors to look for hints for more."""
        return len(self.errors) >= MAX_PROBLEMS

    def crowded(self) -> bool:
        """Return whether there are as many warnings."""
        return len(self.warnings) >= MAX_PROBLEMS

    def warn(self, pointer: str, message: str, *, value: str = "", hint: str = "") -> None:
        if len(self.warnings) < MAX_PROBLEMS:
            self.warnings.append(Problem(pointer, message, value=value, hint=hint))

    def kind(self, pointer: str, value: object, wanted: str) -> None:
        """Report a value of the wrong JSON type or outside its range."""
        self.add(pointer, f"wrong value {show(value)}", value=show(value), allowed=wanted)

    def choice(self, pointer: str, value: str, names: Iterable[str], *, noun: str) -> None:
        """Report a word outside an enumeration."""
        if self.full():
            return  # a suggestion costs 0.1 ms
        known = list(names)
        self.add(
            pointer,
            f"unknown {noun} {show(value)}",
            allowed=listing(known),
            hint=suggestion(value, known),
        )

    def touches(self, pointer: str) -> bool:
        """Is something wrong at, below or around a pointer? What builds on it is not checked."""
        inside = pointer + "/"
        return any(
            f"{error.pointer}/".startswith(inside) or inside.startswith(f"{error.pointer}/")
            for error in self.errors
            if error.pointer
        )

    def finish(self, *, source: str) -> None:
        if self.errors:
            raise ConfigErrors(self.errors, source=source, warnings=self.warnings)
