# SPDX-License-Identifier: Apache-2.0
"""Readers: from JSON values to the slotted nodes of the model, driven by one table per class.

A class of the model lists its attributes in `__slots__` and, in the same order, the property names
with their kinds in `PROPERTIES`. A kind is a reader and the value of an absent property; a name
that ends in `!` is required. A reader gets the value, the pointer of the parent and the name, so
that a pointer is only put together for nodes and for problems.

`null` is an absent property, as it is for every other runtime.

PURE.
"""

from __future__ import annotations

from pyrunc.spec.problems import Problems, join, property_suggestion, show, suggestion

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any, ClassVar, TypeVar

    Reader = Callable[[Any, str, str, Problems], Any]
    Kind = tuple[Reader, Any]
    Field = tuple[str, Reader, bool]  # attribute, reader, required
    AnyNode = TypeVar("AnyNode", bound="Node")

UINT16, UINT32, UINT64 = (0, 2**16 - 1), (0, 2**32 - 1), (0, 2**64 - 1)
INT32, INT64 = (-(2**31), 2**31 - 1), (-(2**63), 2**63 - 1)
WIDE = {UINT64: "an unsigned integer of 64 bits", INT64: "an integer of 64 bits"}


class Node:
    """A JSON object of the configuration."""

    __slots__ = ("pointer",)

    PROPERTIES: ClassVar[dict[str, Kind]] = {}
    # Properties of other platforms: known, and without meaning here.
    ELSEWHERE: ClassVar[tuple[str, ...]] = ()
    # Derived from PROPERTIES when the class is made.
    FIELDS: ClassVar[dict[str, Field]] = {}
    DEFAULTS: ClassVar[tuple[tuple[str, Any], ...]] = ()
    MAPS: ClassVar[tuple[str, ...]] = ()
    REQUIRED: ClassVar[tuple[str, ...]] = ()

    pointer: str

    def __init_subclass__(cls) -> None:
        fields: dict[str, Field] = {}
        defaults: list[tuple[str, Any]] = []
        maps: list[str] = []
        attributes: Iterable[str] = cls.__slots__
        # Attributes after the properties are set by whoever reads the node.
        for attribute, (name, (reader, absent)) in zip(
            attributes, cls.PROPERTIES.items(), strict=False
        ):
            fields[name.removesuffix("!")] = (attribute, reader, name.endswith("!"))
            if absent is MAP:
                maps.append(attribute)
            else:
                defaults.append((attribute, absent))
        cls.FIELDS = fields
        cls.DEFAULTS = tuple(defaults)
        cls.MAPS = tuple(maps)
        cls.REQUIRED = tuple(name for name, field in fields.items() if field[2])

    def has(self, *attributes: str) -> bool:
        """Were these required properties right? While checks run, a wrong one is None."""
        return all(getattr(self, attribute) is not None for attribute in attributes)

    def __repr__(self) -> str:
        shown = (f"{name}={getattr(self, name)!r}" for name in self.__slots__)
        return f"{type(self).__name__}({', '.join(shown)})"


MAP: Any = object()  # the absent value of a map: a new empty dict for each node


def read_node(
    cls: type[AnyNode], value: dict[str, Any], pointer: str, problems: Problems
) -> AnyNode:
    """Read a node of a class from a JSON object; what is wrong stays absent."""
    node = cls.__new__(cls)
    node.pointer = pointer
    for attribute, absent in cls.DEFAULTS:
        setattr(node, attribute, absent)
    for attribute in cls.MAPS:
        setattr(node, attribute, {})
    fields = cls.FIELDS
    for name, item in value.items():
        if name not in fields:
            _unknown(cls, name, pointer, problems)
        elif item is not None:
            attribute, reader, _ = fields[name]
            content = reader(item, pointer, name, problems)
            if content is not None:
                setattr(node, attribute, content)
    for name in cls.REQUIRED:
        if value.get(name) is None:
            unknown = [other for other in value if other not in fields]
            hint = suggestion(name, unknown).replace("did you mean", "is it misspelt as")
            problems.add(pointer, f"the property '{name}' is required", hint=hint)
    return node


def _unknown(cls: type[Node], name: str, pointer: str, problems: Problems) -> None:
    if problems.crowded():
        return
    where = join(pointer, name)
    if name in cls.ELSEWHERE:
        problems.warn(where, "this property has no meaning on Linux and is ignored")
    else:
        hint = property_suggestion(name, cls.FIELDS)
        problems.warn(where, f"unknown property {show(name)} is ignored", hint=hint)


# -- scalars ---------------------------------------------------------------------------------------


def _text(value: Any, pointer: str, name: str, problems: Problems) -> str | None:
    if type(value) is str:
        return value
    problems.kind(join(pointer, name), value, "a string")
    return None


def _line(value: Any, pointer: str, name: str, problems: Problems) -> str | None:
    """Read a string that ends up in a file of the kernel; a newline would start another value."""
    text = _text(value, pointer, name, problems)
    if text is not None and has_control(text):
        problems.add(join(pointer, name), "control characters are not allowed", value=show(text))
        return None
    return text


def _path(value: Any, pointer: str, name: str, problems: Problems) -> str | None:
    text = _line(value, pointer, name, problems)
    if text is not None and not text.startswith("/"):
        problems.kind(join(pointer, name), text, "an absolute path")
        return None
    return text


def _path_or_nothing(value: Any, pointer: str, name: str, problems: Problems) -> str | None:
    """Read a path of a list that engines put together; an empty string names nothing."""
    if value != "":
        return _path(value, pointer, name, problems)
    problems.warn(join(pointer, name), "an empty path names nothing and is ignored")
    return None


def _boolean(value: Any, pointer: str, name: str, problems: Problems) -> bool | None:
    if value is True or value is False:
        return value is True
    problems.kind(join(pointer, name), value, "true or false")
    return None


def is_decimal(text: str, *, digits: int) -> bool:
    """Return whether a text is a number of at most so many ASCII digits (PY-6)."""
    return text.isascii() and text.isdigit() and len(text) <= digits


def has_control(text: str) -> bool:
    return not text.isprintable() and any(char < " " or char == "\x7f" for char in text)


def integer(limits: tuple[int, int], *, noun: str = "") -> Kind:
    """Read an integer within limits; bool is an int to Python, and 1.0 is no integer."""
    low, high = limits
    wanted = noun or WIDE.get(limits) or f"an integer from {low} to {high}"

    def read(value: Any, pointer: str, name: str, problems: Problems) -> int | None:
        if type(value) is int and low <= value <= high:
            return value
        problems.kind(join(pointer, name), value, wanted)
        return None

    return read, None


def choice(names: Iterable[str], *, noun: str) -> Kind:
    """Read a word of an enumeration, compared as a whole."""
    known = tuple(names)
    fast = frozenset(known)

    def read(value: Any, pointer: str, name: str, problems: Problems) -> str | None:
        if type(value) is str:
            if value in fast:
                return value
            problems.choice(join(pointer, name), value, known, noun=noun)
        else:
            problems.kind(join(pointer, name), value, "a string")
        return None

    return read, None


# -- containers ------------------------------------------------------------------------------------


def _texts(value: Any, pointer: str, name: str, problems: Problems) -> tuple[str, ...] | None:
    if type(value) is not list:
        problems.kind(join(pointer, name), value, "an array of strings")
        return None
    for item in value:
        if type(item) is not str:
            break
    else:
        return tuple(value)
    where = join(pointer, name)
    for index, item in enumerate(value):
        if type(item) is not str:
            problems.kind(f"{where}/{index}", item, "a string")
    return None


def items(kind: Kind) -> Kind:
    """Read an array of scalars of one kind."""
    reader = kind[0]

    def read(value: Any, pointer: str, name: str, problems: Problems) -> tuple[Any, ...] | None:
        where = join(pointer, name)
        if type(value) is not list:
            problems.kind(where, value, "an array")
            return None
        read_items = [reader(item, where, str(index), problems) for index, item in enumerate(value)]
        return tuple(item for item in read_items if item is not None)

    return read, ()


def node(cls: type[Node]) -> Kind:
    def read(value: Any, pointer: str, name: str, problems: Problems) -> Node | None:
        where = join(pointer, name)
        if type(value) is dict:
            return read_node(cls, value, where, problems)
        problems.kind(where, value, "an object")
        return None

    return read, None


def nodes(cls: type[Node]) -> Kind:
    def read(value: Any, pointer: str, name: str, problems: Problems) -> tuple[Node, ...] | None:
        where = join(pointer, name)
        if type(value) is not list:
            problems.kind(where, value, "an array of objects")
            return None
        read_nodes: list[Node] = []
        for index, item in enumerate(value):
            if type(item) is dict:
                read_nodes.append(read_node(cls, item, f"{where}/{index}", problems))
            else:
                problems.kind(f"{where}/{index}", item, "an object")
        return tuple(read_nodes)

    return read, ()


def node_map(cls: type[Node], *, names: Mapping[str, object] | None = None, noun: str = "") -> Kind:
    """Read an object whose property names are data: name -> node."""

    def read(value: Any, pointer: str, name: str, problems: Problems) -> dict[str, Node] | None:
        where = join(pointer, name)
        if type(value) is not dict:
            problems.kind(where, value, "an object")
            return None
        by_key: dict[str, Node] = {}
        for key, item in value.items():
            if names is not None and key not in names:
                problems.choice(join(where, key), key, names, noun=noun)
            elif type(item) is dict:
                by_key[key] = read_node(cls, item, join(where, key), problems)
            elif item is not None:
                problems.kind(join(where, key), item, "an object")
        return by_key

    return read, MAP


def _text_map(value: Any, pointer: str, name: str, problems: Problems) -> dict[str, str] | None:
    where = join(pointer, name)
    if type(value) is not dict:
        problems.kind(where, value, "an object of strings")
        return None
    for key, item in value.items():
        if type(item) is not str and item is not None:
            problems.kind(join(where, key), item, "a string")
    return {key: item for key, item in value.items() if type(item) is str}


TEXT: Kind = (_text, None)
LINE: Kind = (_line, None)
PATH: Kind = (_path, None)
PATH_OR_NOTHING: Kind = (_path_or_nothing, None)
BOOLEAN: Kind = (_boolean, None)
TEXTS: Kind = (_texts, ())
TEXTS_OR_NONE: Kind = (_texts, None)
TEXT_MAP: Kind = (_text_map, MAP)


def or_none(kind: Kind) -> Kind:
    """Return the same reader where an absent array differs from an empty one."""
    return kind[0], None
