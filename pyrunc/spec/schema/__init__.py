# SPDX-License-Identifier: Apache-2.0
"""The JSON schema behind `pyrunc check`, and the oracle that the tests compare `parse_config` with.

Not on the hot path: jsonschema is imported when it is used (97 ms).
"""

from __future__ import annotations

from pyrunc.errors import Problem
from pyrunc.spec import strict
from pyrunc.spec.load import read_bounded
from pyrunc.spec.problems import join, show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# The part of the schema that describes what each kind of file holds.
KINDS = {"config": "", "process": "process", "resources": "resources"}


def schema(kind: str = "config") -> dict[str, Any]:
    """Return the schema of a configuration, a process or resources."""
    path = __file__.rpartition("/")[0] + "/config.json"
    whole: dict[str, Any] = strict.decode(read_bounded(path), source="config.json (schema)")
    name = KINDS[kind]
    if not name:
        return whole
    return {
        "$schema": whole["$schema"],
        "$ref": f"#/definitions/{name}",
        "definitions": whole["definitions"],
    }


def problems(raw: object, *, kind: str = "config") -> tuple[Problem, ...]:
    """Return what a parsed file violates of the published schema, in the order of its pointers."""
    import jsonschema

    validator = jsonschema.Draft7Validator(schema(kind))
    value = without_nulls(raw)
    errors = sorted(validator.iter_errors(value), key=lambda error: [str(p) for p in error.path])
    return tuple(
        Problem(pointer_of(error.absolute_path), _shorten(error), value=show(error.instance))
        for error in errors
    )


def without_nulls(value: Any) -> Any:
    """null is an absent property to every runtime; the schema has no word on it."""
    if isinstance(value, dict):
        return {key: without_nulls(child) for key, child in value.items() if child is not None}
    return [without_nulls(child) for child in value] if isinstance(value, list) else value


def pointer_of(path: Any) -> str:
    pointer = ""
    for part in path:
        pointer = join(pointer, str(part))
    return pointer


def _shorten(error: Any) -> str:
    message = str(error.message)
    return message if len(message) <= 300 else f"violates '{error.validator}' of the schema"
