# SPDX-License-Identifier: Apache-2.0
"""Prepares the pages of the site from README, docs and the man pages: `site.py TARGET`.

mkdocs.yml names the pages. Links that lead out of the documentation, to source files, become plain
text, since the site does not hold those; everything else is checked by `mkdocs build --strict`.
"""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

TREE = Path(__file__).resolve().parents[1]
DOCS = TREE / "docs"
# Pages from outside docs, by their names in the site.
OUTSIDE = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "reporting.md",
}
LINK = re.compile(r"\[([^\]\[]*(?:\[[^\]]*\])?[^\]\[]*)\]\(([^)\s]+)\)")
FONTS = {"B": "**", "I": "*"}


def target_of(link: str, page: Path) -> str:
    """Say where a link of a page leads in the site; empty: it leads out."""
    path, sharp, anchor = link.partition("#")
    if re.match(r"[a-z]+:", link) or not path:
        return link
    file = (page.parent / path).resolve()
    if not file.is_relative_to(TREE):
        return ""
    name = str(file.relative_to(TREE))
    if name in OUTSIDE:
        inside = DOCS / OUTSIDE[name]
    elif file.is_dir() and file.is_relative_to(DOCS):
        inside = file / "index.md"
    elif file.is_relative_to(DOCS) and file.suffix in (".md", ".svg") and file.exists():
        inside = file
    elif file.is_relative_to(DOCS / "man"):
        inside = file.with_suffix(".md")
    else:
        return ""
    home = DOCS / OUTSIDE[page.name] if page.parent == TREE else page
    steps = len(home.parent.relative_to(DOCS).parts)
    return "../" * steps + str(inside.relative_to(DOCS)) + sharp + anchor


def linked(text: str, page: Path) -> str:
    def replace(found: re.Match[str]) -> str:
        target = target_of(found[2], page)
        return f"[{found[1]}]({target})" if target else found[1]

    return LINK.sub(replace, text)


# -- man pages ------------------------------------------------------------------------------------


def inline(text: str) -> str:
    """Turn the escapes that tools/manual.py writes into Markdown."""
    text = text.replace("\\&", "").replace("\\-", "-").replace("*", "\\*").replace("<", "&lt;")
    text = re.sub(r"\\f([BI])(.*?)\\fR", lambda m: FONTS[m[1]] + m[2] + FONTS[m[1]], text)
    text = re.sub(r"\*\*(pyrunc[a-z-]*)\*\*\((\d)\)", r"[\1(\2)](\1.md)", text)
    return text.replace("\\e", "\\")


def manual(roff: str) -> str:
    """Turn a man page into Markdown; it knows the macros that tools/manual.py writes."""
    found: list[str] = []
    lines = iter(roff.splitlines())
    for line in lines:
        macro, _, rest = line.partition(" ")
        if macro == ".TH":
            title = rest.split('"')[1].lower()
            found.append(f"# {title}\n")
        elif macro == ".SH":
            found.append(f"\n## {rest.capitalize()}\n")
        elif macro == ".PP":
            found.append("")
        elif macro == ".TP":
            found += ["", inline(next(lines)), f":   {inline(next(lines))}"]
        elif macro == ".nf":
            found.append("\n```sh")
        elif macro == ".fi":
            found.append("```\n")
        elif not macro.startswith('.\\"') and macro not in (".RS", ".RE"):
            found.append(plain(line) if _in_block(found) else inline(line))
    return "\n".join(found) + "\n"


def _in_block(found: list[str]) -> bool:
    return sum(line.strip().startswith("```") for line in found) % 2 == 1


def plain(text: str) -> str:
    return text.replace("\\&", "").replace("\\-", "-").replace("\\e", "\\")


# -- all pages ------------------------------------------------------------------------------------


def decisions(target: Path) -> None:
    """Write the list of the decisions."""
    lines = [
        "# Decisions",
        "",
        "Why things are as they are, in the order in which they came up.",
        "",
    ]
    for path in sorted((DOCS / "decisions").glob("*.md")):
        title = path.read_text().partition("\n")[0].lstrip("# ")
        lines.append(f"* {path.name[:3]} [{title}]({path.name})")
    (target / "decisions/index.md").write_text("\n".join(lines) + "\n")


def manuals(target: Path) -> None:
    shutil.rmtree(target / "man", ignore_errors=True)
    (target / "man").mkdir()
    names = []
    for path in sorted((DOCS / "man").glob("*.8"), key=lambda path: path.stem):
        (target / "man" / f"{path.stem}.md").write_text(manual(path.read_text()))
        names.append(path.stem)
    lines = ["# Manual pages", "", *(f"* [{name}(8)]({name}.md)" for name in names), ""]
    (target / "man/index.md").write_text("\n".join(lines))


def main() -> None:
    target = Path(sys.argv[1])
    shutil.rmtree(target, ignore_errors=True)
    ignored = shutil.ignore_patterns("examples", "man", "*.py")
    shutil.copytree(DOCS, target, ignore=ignored)
    for path in sorted(DOCS.rglob("*.md")):
        (target / path.relative_to(DOCS)).write_text(linked(path.read_text(), path))
    for name, inside in OUTSIDE.items():
        if (TREE / name).exists():
            (target / inside).write_text(linked((TREE / name).read_text(), TREE / name))
    decisions(target)
    manuals(target)


if __name__ == "__main__":
    main()
