# SPDX-License-Identifier: Apache-2.0
"""The reports of all suites as one page: a row per test, a column per runtime.

``python -m conformance.page build/conformance`` writes index.html from the JSON files there.
"""

from __future__ import annotations

import html
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# So many characters stand in the table; more are shown when asked for.
SHORT = 100
MARKS = {"pass": "✓", "fail": "✗", "skip": "–"}
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title><style>
:root {{ color-scheme: light; }}
body {{ font: 15px/1.45 system-ui, "DejaVu Sans", sans-serif; color: #1c2430; background: #f5f6f8;
        margin: 0 auto; max-width: 1180px; padding: 2rem 1.5rem 4rem; }}
h1 {{ font-size: 1.7rem; margin: 0 0 .3rem; }}
h2 {{ font-size: 1.2rem; margin: 2.6rem 0 .2rem; }}
p {{ margin: .1rem 0 .8rem; color: #5a6472; }}
table {{ border-collapse: collapse; width: 100%; background: #fff; border: 1px solid #d9dde3; }}
th, td {{ border-bottom: 1px solid #e6e9ed; padding: .32rem .7rem; text-align: left;
          vertical-align: top; font-weight: normal; }}
thead th {{ background: #eceff3; font-weight: 600; position: sticky; top: 0; }}
tfoot th, tfoot td {{ background: #f7f8fa; font-weight: 600; border-bottom: 0; }}
table.suite {{ table-layout: fixed; }}
col.test {{ width: 21rem; }} col.runtime {{ width: 8rem; }}
td.pass, td.fail, td.skip, td.none {{ white-space: nowrap; }}
.pass b {{ color: #14763a; }} .fail {{ background: #fdecea; }} .fail b {{ color: #b3261e; }}
.skip {{ background: #fbf6e0; }} .skip b {{ color: #7d6500; }} .none {{ color: #9aa3ae; }}
small {{ color: #6d7684; font-weight: normal; font-size: .8rem; }}
td.pass small, td.fail small, td.skip small {{ float: right; }}
td.why {{ color: #414b59; font-size: .87rem; }}
summary {{ cursor: pointer; color: #2457a6; }}
pre {{ white-space: pre-wrap; overflow-wrap: anywhere; margin: .3rem 0; padding: .5rem .7rem;
       background: #f5f6f8; font-size: .78rem; max-height: 24rem; overflow: auto; }}
a {{ color: #2457a6; text-decoration: none; }}
</style></head><body>
<h1>{title}</h1>
{body}
</body></html>
"""


def write(directory: Path) -> Path:
    """Write index.html from the JSON files of a directory; returns its path."""
    documents = [json.loads(path.read_text()) for path in sorted(directory.glob("*.json"))]
    path = directory / "index.html"
    body = "\n".join([_summary(documents), *map(_suite, documents)])
    path.write_text(PAGE.format(title="Conformance", body=body))
    return path


def single(document: dict[str, Any]) -> str:
    """Return the page of one suite."""
    return PAGE.format(title="Conformance", body=_suite(document))


def _summary(documents: Sequence[dict[str, Any]]) -> str:
    """How many tests each runtime passes in each suite."""
    # The suite with most runtimes gives the order.
    ordered = sorted(documents, key=lambda one: -len(one["runtimes"]))
    names = list(dict.fromkeys(name for one in ordered for name in one["runtimes"]))
    rows = []
    for one in documents:
        cells = "".join(f"<td>{_share(one, name)}</td>" for name in names)
        suite = html.escape(one["suite"])
        rows.append(f'<tr><th><a href="#{suite}">{suite}</a></th>{cells}</tr>')
    heads = "".join(f"<th>{html.escape(name)}</th>" for name in names)
    head = f"<thead><tr><th>suite</th>{heads}</tr></thead>"
    return f"<p>Tests passed of tests run.</p><table>{head}{''.join(rows)}</table>"


def _share(document: dict[str, Any], name: str) -> str:
    verdicts = [row[name]["status"] for row in document["tests"].values() if name in row]
    skipped = verdicts.count("skip")
    text = f"{verdicts.count('pass')} of {len(verdicts) - skipped}" if verdicts else "-"
    return f"{text} <small>{skipped} skipped</small>" if skipped else text


def _suite(document: dict[str, Any]) -> str:
    names = list(document["runtimes"])
    heads = "".join(
        f"<th>{html.escape(name)}<br><small>{html.escape(document['versions'][name])}</small></th>"
        for name in names
    )
    rows = "\n".join(
        _row(test, row, names, document["reasons"].get(test, ""))
        for test, row in document["tests"].items()
    )
    sums = "".join(f"<td>{_share(document, name)}</td>" for name in names)
    columns = len(names) * '<col class="runtime">'
    suite = html.escape(document["suite"])
    facts = html.escape(f"{document['subject']} · {document['host']} · {document['time']}")
    return (
        f'<h2 id="{suite}">{suite}</h2><p>{facts}</p>\n'
        f'<table class="suite"><col class="test">{columns}<col>'
        f"<thead><tr><th>test</th>{heads}<th>why not</th></tr></thead>\n<tbody>{rows}"
        f"</tbody>\n<tfoot><tr><th>passed</th>{sums}<td></td></tr></tfoot></table>"
    )


def _row(test: str, row: dict[str, Any], names: Sequence[str], reason: str) -> str:
    cells = "".join(_cell(row.get(name)) for name in names)
    why = [html.escape(reason)] if any(one["status"] == "fail" for one in row.values()) else []
    told = {name: row[name]["detail"].strip() for name in names if name in row}
    for text in dict.fromkeys(text for text in told.values() if text):
        who = html.escape(", ".join(name for name in names if told.get(name) == text))
        if len(text) < SHORT:
            why.append(f"<div>{who}: {html.escape(text)}</div>")
        else:
            summary = f"<summary>what {who} did</summary>"
            why.append(f"<details>{summary}<pre>{html.escape(text)}</pre></details>")
    title = html.escape(test.replace("_", " "))
    return f'<tr><th>{title}</th>{cells}<td class="why">{"".join(why)}</td></tr>'


def _cell(verdict: dict[str, Any] | None) -> str:
    if verdict is None:
        return '<td class="none">not run</td>'
    status, seconds = verdict["status"], verdict["seconds"]
    return (
        f'<td class="{status}"><b>{MARKS[status]}</b> {status} <small>{seconds:.1f} s</small></td>'
    )


if __name__ == "__main__":
    print(f"wrote {write(Path(sys.argv[1]))}")
