# SPDX-License-Identifier: Apache-2.0
"""Each invalid configuration of the corpus is refused with one clear problem at the right place."""

from __future__ import annotations

import functools

import pytest

from pyrunc import spec
from pyrunc.errors import ConfigErrors
from tests.invalid import corpus


@functools.cache
def errors_of(name: str) -> ConfigErrors:
    """What is said of a configuration, once for all tests."""
    with pytest.raises(ConfigErrors) as caught:
        spec.parse_config(corpus.build(corpus.case(name)))
    return caught.value


def test_the_corpus_has_at_least_150_configurations() -> None:
    assert len(corpus.cases()) >= 150


@pytest.mark.parametrize("name", corpus.cases())
def test_a_wrong_property_is_the_only_problem_reported(name: str) -> None:
    """IN-10, IN-11: invalid values are errors, found before anything is made."""
    entry = corpus.case(name)
    (problem,) = errors_of(name).problems
    assert problem.pointer == entry["pointer"]
    assert problem.message == entry["message"]
    assert problem.allowed == entry.get("allowed", "")
    assert problem.hint == entry.get("hint", "")


@pytest.mark.parametrize("name", corpus.cases())
def test_the_error_is_one_line_of_bounded_length_that_names_the_place(name: str) -> None:
    """LG-1: what a configuration holds cannot break the log into more records."""
    entry = corpus.case(name)
    line = str(errors_of(name))
    assert line.isprintable()
    assert len(line) < 1000
    assert line.startswith(f"config.json: {entry['pointer'] or '/'}: ")


def test_the_default_configuration_that_the_corpus_changes_is_valid() -> None:
    assert spec.parse_config(corpus.build({})).warnings == ()
