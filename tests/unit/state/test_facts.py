# SPDX-License-Identifier: Apache-2.0
"""Facts that cannot be had are an error, never the answer that happens to be the default."""

from __future__ import annotations

import pytest

from pyrunc.errors import HostError
from pyrunc.host import facts


@pytest.mark.parametrize("fact", ["in_userns", "permitted"])
def test_a_fact_that_cannot_be_read_is_an_error(fact: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """AR-6: one more property than asked for, or one less, would follow from a guess."""
    monkeypatch.setattr(facts, "read", lambda path: "")
    with pytest.raises(HostError, match="cannot read the caller's"):
        facts.PROBES[fact]()
