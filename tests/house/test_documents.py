# SPDX-License-Identifier: Apache-2.0
"""What the documents say about the tree is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.house.layers import LAYERS

TREE = Path(__file__).resolve().parents[2]
PATH = re.compile(r"(?<![\w/])(?:pyrunc|csrc|tests|tools|docs)/[\w./-]*\w")


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "docs/architecture.md"])
def test_every_path_of_a_document_is_there(name: str) -> None:
    for path in PATH.findall((TREE / name).read_text()):
        assert (TREE / path).exists() or list(TREE.glob(f"{path}*")), path


def test_the_readme_tells_of_every_directory_of_tests() -> None:
    text = (TREE / "README.md").read_text()
    directories = {path.name for path in (TREE / "tests").iterdir() if path.is_dir()}
    absent = {
        name for name in directories - {"support", "__pycache__"} if f"tests/{name}" not in text
    }
    assert not absent


def test_the_table_of_rooms_has_every_room() -> None:
    text = (TREE / "docs/architecture.md").read_text()
    table = text[text.index("| room | owns |") :]
    rooms = {room for row in LAYERS for room in row}
    assert not {room for room in rooms if f"`{room}`" not in table and f"`{room}/`" not in table}


def test_the_site_leads_to_every_page_of_the_documentation() -> None:
    pages = set(re.findall(r": ([\w/-]+\.md)$", (TREE / "mkdocs.yml").read_text(), re.MULTILINE))
    documents = {path.name for path in (TREE / "docs").glob("*.md")}
    assert documents <= pages, f"no way there: {documents - pages}"


def test_no_page_of_the_site_replaces_another() -> None:
    """Pages from outside docs get names that no document has."""
    text = (TREE / "packaging/site.py").read_text()
    outside = set(re.findall(r'"[A-Z]+\.md": "(\w+\.md)"', text))
    assert len(outside) == 4
    assert not outside & {path.name for path in (TREE / "docs").glob("*.md")}
