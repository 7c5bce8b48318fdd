# SPDX-License-Identifier: Apache-2.0
"""Lists of device rules, for tests that generate them."""

from __future__ import annotations

from hypothesis import strategies as st

from pyrunc.cgroups.devices.rules import ANY, READ, WRITE, Rule

numbers = st.sampled_from([0, 1, 2, 2**31, 2**32 - 1])
wild = st.sampled_from([ANY, 0, 1, 2, 2**31, 2**32 - 1])
access_bits = st.integers(1, 7)
rules = st.lists(
    st.one_of(
        st.builds(Rule, st.sampled_from("bc"), wild, wild, access_bits, allow=st.booleans()),
        st.builds(Rule, st.just("a"), allow=st.booleans()),
    ),
    max_size=8,
)
requests = st.tuples(st.sampled_from("bc"), numbers, numbers, access_bits)
COVERING = [  # a wide exception, and a narrower one that it may make superfluous
    [Rule("c"), Rule("c", 188, 0)],
    [Rule("c"), Rule("b"), Rule("c", 10, 200)],
    [Rule("c", 10), Rule("c", 10, 232)],
    [Rule("c", 10, 232), Rule("c", 10)],
    [Rule("c", ANY, 7), Rule("c", 10, 7), Rule("c", 10, 8)],
    [Rule("b", 8, access=READ), Rule("b", 8, 0, READ | WRITE)],
    [Rule("c", 10, access=WRITE), Rule("c", 10, 5), Rule("c", ANY, 5, READ)],
    [Rule("a"), Rule("c", 10, allow=False), Rule("c", 10, 5, allow=False)],
    [Rule("a"), Rule("c", allow=False), Rule("c", 10, 5, WRITE, allow=False)],
    [Rule("a"), Rule("c", allow=False), Rule("b", allow=False), Rule("b", 8, allow=False)],
]
