# SPDX-License-Identifier: Apache-2.0
"""Keys of config.json that were made to collide: what they cost a dictionary (IN-1).

The launcher hashes with a key that everybody knows, so whoever writes a configuration can choose
strings whose hashes share their low bits, as many as it can afford to search for. What that costs
is counted: the places that the interpreter looks at, with its own rule for the next one.
"""

from __future__ import annotations

import ast
import random
import subprocess

import pytest

from pyrunc.errors import ConfigErrors
from pyrunc.spec.limits import MAX_NODES
from pyrunc.spec.strict import decode
from tests.support.runtime import TREE

KEYS = 100_000
PERTURB_SHIFT = 5  # CPython: Objects/dictobject.c
MOST_PROBES = 16  # for each key; keys that are not chosen need 1.4
INTERPRETER = TREE / "build/cpython/python"


def table_bits(keys: int) -> int:
    """The size of a dictionary, of whose places two thirds are used at most."""
    return (keys * 3 // 2).bit_length()


def probes(hashes: list[int]) -> int:
    """Count the places that are looked at while the hashes go into an empty dictionary."""
    mask = (1 << table_bits(len(hashes))) - 1
    used = bytearray(mask + 1)
    count = 0
    for value in hashes:
        perturb, place = value, value & mask
        count += 1
        while used[place]:
            perturb >>= PERTURB_SHIFT
            place = (place * 5 + perturb + 1) & mask
            count += 1
        used[place] = 1
    return count


def chosen(shared: int, keys: int = KEYS) -> list[int]:
    """Hashes of 64 bits whose lowest ones are the same."""
    dice = random.Random(shared)
    return [dice.getrandbits(64 - shared) << shared | 1 for _ in range(keys)]


@pytest.mark.parametrize("shared", [0, 8, 16, 18, 24, 32, 40])
def test_keys_that_share_low_bits_stay_cheap(shared: int) -> None:
    """2^18 places: 18 bits are the first probe, each one after it takes five bits more."""
    assert probes(chosen(shared)) < MOST_PROBES * KEYS


def test_what_is_counted_would_show_keys_that_collide_in_all_bits() -> None:
    """The count bites: of these every key meets all that came before it."""
    few = 2000
    assert probes([1] * few) > few * MOST_PROBES * 20


def test_the_interpreter_has_hashes_of_64_bits_that_nobody_can_steer() -> None:
    """All bits alike is what would hurt; with SipHash that takes 2^32 tries for each pair."""
    if not INTERPRETER.exists():
        pytest.skip("the launcher's interpreter is not built")
    script = "import sys; h = sys.hash_info; print([h.algorithm, h.width, h.hash_bits])"
    done = subprocess.run(
        [INTERPRETER, "-I", "-S", "-c", script], capture_output=True, text=True, check=True
    )
    algorithm, *bits = ast.literal_eval(done.stdout)
    assert algorithm in ("siphash13", "siphash24")
    assert bits == [64, 64]


def test_there_are_never_more_keys_than_values_are_allowed() -> None:
    """Before anything is put into a dictionary."""
    text = ",".join(f'"k{number}":0' for number in range(MAX_NODES + 1))
    with pytest.raises(ConfigErrors, match="too many values"):
        decode(f"{{{text}}}".encode())
