# SPDX-License-Identifier: Apache-2.0
"""The tables of the model: names, attributes and defaults fit together."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pyrunc.spec import model, model_linux, model_resources
from pyrunc.spec.problems import Problems
from pyrunc.spec.readers import Node, read_node
from pyrunc.spec.schema import schema

RENAMED = {"class": "class_"}


def classes() -> list[type[Node]]:
    found = {
        value
        for module in (model, model_linux, model_resources)
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Node) and value is not Node
    }
    return sorted(found, key=lambda cls: cls.__name__)


def snake_case(name: str) -> str:
    """execCPUAffinity -> exec_cpu_affinity"""
    text = ""
    for index, char in enumerate(name):
        before = name[index - 1 : index]
        after = name[index + 1 : index + 2]
        if char.isupper() and (before.islower() or before.isdigit() or after.islower()):
            text += "_"
        text += char.lower()
    return RENAMED.get(text, text)


@pytest.mark.parametrize("cls", classes())
def test_attributes_are_the_properties_in_snake_case_in_the_same_order(cls: type[Node]) -> None:
    names = [name.removesuffix("!") for name in cls.PROPERTIES]
    extra = ("raw", "warnings") if cls is model.Config else ()
    assert tuple(cls.__slots__) == (*map(snake_case, names), *extra)
    annotations = [name for name in cls.__annotations__ if name != "pointer"]
    assert annotations == list(cls.__slots__)


@pytest.mark.parametrize("cls", classes())
def test_absent_properties_have_the_default_that_their_annotation_says(cls: type[Node]) -> None:
    node = read_node(cls, {}, "/x", Problems())
    assert node.pointer == "/x"
    for attribute in cls.FIELDS.values():
        value = getattr(node, attribute[0])
        annotation = str(cls.__annotations__[attribute[0]])
        if annotation.startswith("tuple") and not annotation.endswith("None"):
            assert value == ()
        elif annotation.startswith("dict"):
            assert value == {}
        elif annotation.endswith("None") or attribute[2]:
            assert value is None
        else:
            assert value in (None, 0)


def test_maps_of_two_nodes_are_not_the_same_object() -> None:
    first = read_node(model_linux.Linux, {}, "", Problems())
    second = read_node(model_linux.Linux, {}, "", Problems())
    assert first.sysctl is not second.sysctl


def properties_of(node: object) -> Iterator[dict[str, object]]:
    if isinstance(node, dict):
        if isinstance(node.get("properties"), dict):
            yield node["properties"]
        for value in node.values():
            yield from properties_of(value)
    elif isinstance(node, list):
        for value in node:
            yield from properties_of(value)


def test_the_schema_and_the_tables_know_the_same_properties() -> None:
    in_schema = {name for properties in properties_of(schema()) for name in properties}
    in_tables = {name for cls in classes() for name in (*cls.FIELDS, *cls.ELSEWHERE)}
    other_platforms = {"solaris", "windows", "vm", "zos", "freebsd"}
    removed = {"enableCMT", "enableMBM"}  # of runtime-spec 1.3
    assert in_tables - in_schema == other_platforms | removed
    assert in_schema - in_tables == set()
