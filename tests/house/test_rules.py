# SPDX-License-Identifier: Apache-2.0
"""Codes of rules and rows of advisories that code and tests cite, and words of the glossary."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

TREE = Path(__file__).resolve().parents[2]
PLACES = ("pyrunc", "csrc", "tests", "tools", "bench", "conformance", "docs")
OWN = ("docs/rules.md", "tests/house/test_rules.py")
KINDS = {".py", ".c", ".h", ".md", ".json"}
FAMILIES = "AR CG CK CN CR DV EX FD HK IN JN KF LG MT PD PL PR PS PY RG RS SC ST UN"
RULE = re.compile(rf"\b(?:{FAMILIES.replace(' ', '|')})-[0-9]+\b")
ROW = re.compile(r"\bR[0-9]{3}\b")
DEFINED = re.compile(r"^\| ([A-Z]{2}-[0-9]+) \| (.+) \| (.+) \|$", re.MULTILINE)


def texts() -> Iterator[tuple[str, str]]:
    for place in PLACES:
        for path in sorted((TREE / place).rglob("*")):
            name = str(path.relative_to(TREE))
            if path.suffix in KINDS and name not in OWN and "results" not in path.parts:
                yield name, path.read_text(errors="replace")


def rules() -> dict[str, tuple[str, str]]:
    rows = DEFINED.findall((TREE / "docs/rules.md").read_text())
    assert len(rows) == len({code for code, _, _ in rows}), "a rule is defined twice"
    return {code: (sentence, source) for code, sentence, source in rows}


def test_every_cited_rule_is_defined_and_every_defined_rule_is_cited() -> None:
    cited: dict[str, str] = {}
    for name, text in texts():
        for code in RULE.findall(text):
            cited.setdefault(code, name)
    undefined = {code: name for code, name in cited.items() if code not in rules()}
    assert not undefined, f"define in docs/rules.md: {undefined}"
    assert not set(rules()) - set(cited), "nothing cites these: remove them"


def test_a_rule_is_one_sentence_with_a_source() -> None:
    for code, (sentence, source) in rules().items():
        assert sentence[0].isupper() or sentence[0] in "`/", code
        assert sentence.endswith("."), code
        assert not re.search(r"\. [A-Z]", sentence), f"{code}: one sentence"
        assert source.strip(), code


def test_every_cited_row_is_an_advisory() -> None:
    rows = {row["row"] for row in json.loads((TREE / "tests/security/advisories.json").read_text())}
    for name, text in texts():
        if name.startswith("tests/") and name.endswith(".py"):
            assert set(ROW.findall(text)) <= rows, name


def test_a_rule_that_nobody_defines_is_seen() -> None:
    assert RULE.findall("as AR-99 says, and ISO-8859") == ["AR-99"]
    assert DEFINED.findall("| AR-1 | A sentence. | CVE-1 |") == [("AR-1", "A sentence.", "CVE-1")]


def glossary() -> dict[str, str]:
    text = (TREE / "docs/glossary.md").read_text()
    return dict(re.findall(r"^\| \*\*(.+?)\*\* \| (.+) \|$", text, re.MULTILINE))


def test_the_glossary_is_short_and_each_word_has_one_sentence_and_a_use() -> None:
    words = glossary()
    assert 10 <= len(words) <= 40
    used = "\n".join(text for name, text in texts() if name.startswith(("pyrunc", "csrc"))).lower()
    for word, sentence in words.items():
        assert sentence.endswith("."), word
        assert not re.search(r"\. [A-Z]", sentence), f"{word}: one sentence"
        assert re.search(rf"\b{re.escape(word)}", used), f"{word} is used nowhere in the code"
