# SPDX-License-Identifier: Apache-2.0
"""JSON texts of our own are the same values to every reader, whichever C module makes them."""

from __future__ import annotations

import importlib
import json
from typing import Any

import pytest

from pyrunc import jsontext

VALUES: tuple[Any, ...] = (
    {"a": [1, 2.5, None, True, False, -3, 1 << 70], "b": {}, "c": [], "d": {"e": {"f": ""}}},
    'quotes " backslashes \\ lines \n tabs \t nul \0 delete \x7f',
    "é ü 漢字 \U0001f600",
    "a byte that is no UTF-8: \udc80",
    [],
    {},
    None,
)


@pytest.fixture(params=["_json", "simplejson._speedups"])
def module(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the stock interpreter has, and what the launcher has."""
    try:
        monkeypatch.setattr(jsontext, "_module", importlib.import_module(request.param))
    except ImportError:
        pytest.skip(f"{request.param} is not installed")


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("indent", [0, 2, "\t"])
def test_what_is_encoded_is_read_as_the_same_value(
    module: None, value: object, indent: int | str
) -> None:
    text = jsontext.encode(value, indent=indent)
    assert text.isascii()
    assert json.loads(text) == value
    assert jsontext.decode(text) == value


def test_without_indentation_a_text_has_no_spaces_and_one_line(module: None) -> None:
    assert jsontext.encode({"a": [1, (2, "x")], "b": {}}) == '{"a":[1,[2,"x"]],"b":{}}'


@pytest.mark.parametrize("indent", [0, 2])
def test_what_has_no_json_form_is_refused_by_its_type(module: None, indent: int) -> None:
    with pytest.raises(TypeError, match="bytes has no JSON form"):
        jsontext.encode({"a": b"x"}, indent=indent)
