# SPDX-License-Identifier: Apache-2.0
"""Strict JSON: limits, what is refused, and that every scanner reads the same."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyrunc.errors import ConfigErrors
from pyrunc.spec import limits, locate, strict
from tests.unit.spec.engine import encode, engine_config

SCANNERS = ("_json", "simplejson._speedups", "the slow reader")

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
integers = st.integers(-(2**63), 2**64 - 1)
numbers = integers | st.floats(-1e9, 1e9).map(lambda number: round(number, 3))
scalars = st.none() | st.booleans() | numbers | texts
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)


@pytest.fixture(params=SCANNERS)
def scanner(request: pytest.FixtureRequest) -> Iterator[str]:
    """Read with one of the scanners, then with the chosen one again."""
    name: str = request.param
    if name.startswith("simplejson"):
        pytest.importorskip("simplejson._speedups", reason="simplejson's C part is missing")
    before = strict._scanner
    strict._scanner = strict.choose_scanner((name,))
    yield name
    strict._scanner = before


def problem_of(data: bytes) -> str:
    with pytest.raises(ConfigErrors) as caught:
        strict.decode(data)
    return str(caught.value)


@pytest.mark.generated
@given(value=values)
def test_every_scanner_reads_what_json_dumps_writes(value: Any) -> None:
    data = json.dumps(value).encode()
    before = strict._scanner
    try:
        for name in SCANNERS:
            strict._scanner = strict.choose_scanner((name,))
            assert strict.decode(data) == value
            assert strict.decode(b" \n" + json.dumps(value, indent=1).encode() + b"\t\r\n") == value
    finally:
        strict._scanner = before


@pytest.mark.generated
@given(data=st.binary(max_size=40) | st.text('{}[]",:\\u01a -.eE\n', max_size=30).map(str.encode))
def test_every_scanner_accepts_and_refuses_the_same(data: bytes) -> None:
    before = strict._scanner
    results = []
    try:
        for name in SCANNERS:
            strict._scanner = strict.choose_scanner((name,))
            try:
                results.append(repr(strict.decode(data)))
            except ConfigErrors as errors:
                results.append(str(errors))
    finally:
        strict._scanner = before
    assert results[0] == results[1] == results[2]


@pytest.mark.parametrize(
    "make",
    [
        lambda n: b"[" * n + b"]" * n,
        lambda n: b'{"a":' * n + b"1" + b"}" * n,
        lambda n: b'{"[[{":[' * (n // 2) + b'"\\"]"' + b"]}" * (n // 2),
    ],
)
def test_depth_64_is_read_and_65_is_not(make: Callable[[int], bytes], scanner: str) -> None:
    """IN-1, IN-3: the depth is known before anything recurses."""
    assert strict.depth(make(64)) == 64
    strict.decode(make(64))
    assert "nested deeper than 64" in problem_of(make(66))


def test_a_nest_of_millions_is_refused_without_recursion(scanner: str) -> None:
    """IN-3: no RecursionError, no crash; brackets that never close are refused as well."""
    assert strict.depth(b"[" * 50_000) > limits.MAX_DEPTH
    assert "nested deeper than 64" in problem_of(b"[" * 50_000)
    assert "too many values" in problem_of(b"[" * 3_000_000)


@pytest.mark.generated
@given(value=values)
def test_the_depth_is_exact(value: Any) -> None:
    def deep(inner: Any) -> int:
        children = inner.values() if isinstance(inner, dict) else inner
        if isinstance(inner, dict | list):
            return 1 + max((deep(child) for child in children), default=0)
        return 0

    assert strict.depth(json.dumps(value).encode()) == deep(value)
    assert strict.depth(json.dumps(value, ensure_ascii=False, indent=2).encode()) == deep(value)


def test_100000_values_are_read_and_one_more_is_not() -> None:
    """IN-1"""
    assert len(strict.decode(b"[" + b"1," * 99_998 + b"1]")) == 99_999
    assert "too many values" in problem_of(b"[" + b"1," * 99_999 + b"1]")


def test_commas_and_brackets_in_strings_are_no_values() -> None:
    text = ',[{"' * 50_000
    assert strict.decode(json.dumps([text]).encode()) == [text]


def test_16_mib_are_read_and_one_byte_more_is_not() -> None:
    """IN-1"""
    config = engine_config()
    config["annotations"]["large"] = ""
    config["annotations"]["large"] = "x" * (limits.MAX_BYTES - len(encode(config)))
    data = encode(config)
    assert len(data) == limits.MAX_BYTES
    assert strict.decode(data) == config
    assert "bytes are too many" in problem_of(data + b" ")


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999"])
def test_numbers_that_are_not_finite_are_refused(text: str, scanner: str) -> None:
    """IN-1"""
    assert "number" in problem_of(b'{"a": %s}' % text.encode())


def test_numbers_are_measured_before_they_are_converted(scanner: str) -> None:
    """IN-1: int() of a million digits takes minutes."""
    assert strict.decode(b"[18446744073709551615, -9223372036854775808]") == [
        2**64 - 1,
        -(2**63),
    ]
    assert "too many digits" in problem_of(b"[100000000000000000000]")
    assert "too many digits" in problem_of(b"[" + b"9" * 1_000_000 + b"]")
    assert "too many digits" in problem_of(b"[0." + b"9" * 1_000_000 + b"]")


@pytest.mark.parametrize(
    ("text", "value"),
    [("1e+5", 1e5), ("-0.5E-3", -0.0005), ("1E5", 1e5), ("-0", 0), ("0.0", 0.0), ("10", 10)],
)
def test_every_form_of_a_number_is_read(text: str, value: float, scanner: str) -> None:
    assert strict.decode(f'{{"a": {text}}}'.encode()) == {"a": value}
    assert locate.check(text) == value


@pytest.mark.parametrize(
    "text", ["1.", ".5", "1e", "1e+", "-", "01", "-01", "+1", "1_0", "0x1", "1.e5"]
)
def test_nothing_else_is_a_number(text: str, scanner: str) -> None:
    """PY-6"""
    assert "line 1, column" in problem_of(text.encode())


@pytest.mark.parametrize(
    "template", ["{%s}", "[1, {%s}]", '{"a": [{"b": {%s}}]}', '{"x": {%s}, "y": 1}']
)
@pytest.mark.parametrize("pair", ['"k": 1, "k": 1', '"k": 1, "j": 2, "\\u006b": 3'])
def test_a_duplicate_key_is_refused_at_every_level(template: str, pair: str, scanner: str) -> None:
    """IN-2: runc takes the last one, crun the first."""
    assert "duplicate key 'k'" in problem_of((template % pair).encode())


@pytest.mark.parametrize("escape", ["\\u0000", "\\ud800", "\\udfff", "\\uD83D x", "\\ude00\\ud83d"])
@pytest.mark.parametrize("template", ['"%s"', '{"%s": 1}', '{"a": ["b%s"]}'])
def test_nul_and_half_surrogates_are_refused_in_every_string(
    escape: str, template: str, scanner: str
) -> None:
    """IN-1, IN-4"""
    message = problem_of((template % escape).encode())
    assert "NUL in a string" in message or "half of a surrogate pair" in message


def test_an_escaped_backslash_before_u0000_is_no_nul(scanner: str) -> None:
    assert strict.decode(b'"\\\\u0000"') == "\\u0000"
    assert strict.decode(b'"\\\\ud800 \\ud83d\\ude00"') == "\\ud800 \U0001f600"


@pytest.mark.parametrize(
    "data", [b'"\xff"', b'"\xed\xa0\x80"', b'"\xc0\x80"', b'"\xf5\x80\x80\x80"']
)
def test_bytes_that_are_not_utf8_are_refused_with_their_place(data: bytes) -> None:
    """IN-1"""
    assert problem_of(b'{\n "a": ' + data + b"}") == (
        "config.json: /: line 2, column 8: not valid UTF-8"
    )


def test_the_place_of_an_error_has_line_column_and_pointer() -> None:
    data = b'{\n  "mounts": [\n    {"destination": "/a"},\n    {"destination": /b}\n  ]\n}'
    assert problem_of(data).startswith(
        "config.json: /mounts/1/destination: line 4, column 21: '/' where a value is expected"
    )


def test_the_column_of_a_control_character_is_its_own() -> None:
    assert "line 1, column 5: control character '\\t'" in problem_of(b'"a b\tc"')


def fresh(program: str) -> str:
    """The output of a program in an interpreter that has loaded nothing yet."""
    path = str(Path(strict.__file__).parents[2])
    run = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path[:0] = [{path!r}]\n{program}"],
        capture_output=True,
        text=True,
        check=True,
    )
    return run.stdout


def test_reading_imports_no_json_package() -> None:
    """The packages cost 11 ms: only the C scanner is loaded."""
    names = ("json", "simplejson", "re", "pyrunc.spec.locate", "pyrunc.spec.model")
    program = "from pyrunc.spec import strict; strict.decode(b'[1]')\n"
    assert fresh(f"{program}print([name for name in {names} if name in sys.modules])") == "[]\n"


BAD = ('{"a": "b', '{"a": "\\x"}', '{"a" 1}', "[1,]", "[1 2]", "", "nul")


@pytest.fixture(scope="module")
def worded() -> dict[str, str]:
    """What an interpreter without the package says of each bad text."""
    program = f"""
from pyrunc.errors import ConfigErrors
from pyrunc.spec import strict
found = {{}}
for text in {BAD!r}:
    try:
        strict.decode(text.encode())
    except ConfigErrors as errors:
        found[text] = str(errors)
print(repr(found), "json" in sys.modules)
"""
    found, loaded = fresh(program).rsplit(maxsplit=1)
    assert loaded == "False" or sys.version_info >= (3, 13)  # whose scanner imports it to refuse
    said: dict[str, str] = ast.literal_eval(found)
    return said


@pytest.mark.parametrize("text", BAD)
def test_errors_are_worded_without_the_package_of_the_scanner(
    text: str, worded: dict[str, str]
) -> None:
    """The C scanner cannot raise json.JSONDecodeError where nobody has imported json."""
    assert worded[text].startswith("config.json: /")
    assert "line 1, column" in worded[text]


def test_the_slow_reader_alone_knows_the_whole_grammar() -> None:
    value = engine_config()
    assert locate.check(json.dumps(value, indent=3)) == value
