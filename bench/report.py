# SPDX-License-Identifier: Apache-2.0
"""Medians, spreads and ratios of the samples: as a table, as JSON, as an SVG chart."""

from __future__ import annotations

import statistics
from typing import Any
from xml.sax.saxutils import escape

from bench.measure import Samples

COLOURS = ("#2b6cb0", "#dd6b20", "#718096", "#38a169", "#805ad5")
BAR, GAP, LEFT, WIDTH = 14, 12, 130, 560


def summary(samples: Samples) -> dict[str, dict[str, float]]:
    """Command -> numbers. `spread` is half the range between the quartiles."""
    result = {}
    for command, values in samples.items():
        if not values:  # the runtime cannot do this
            continue
        walls = sorted(sample.wall_ms for sample in values)
        quarter = len(walls) // 4
        result[command] = {
            "median_ms": statistics.median(walls),
            "spread_ms": (walls[-1 - quarter] - walls[quarter]) / 2,
            "least_ms": walls[0],
            "cpu_ms": statistics.median(sample.cpu_ms for sample in values),
            "faults": statistics.median(sample.faults for sample in values),
            "peak_kb": max(sample.peak_kb for sample in values),
            "runs": len(walls),
        }
    return result


def commands(results: dict[str, Any]) -> list[str]:
    """Return the commands that every runtime could do."""
    first, *others = (result["commands"] for result in results.values())
    return [command for command in first if all(command in other for other in others)]


def cell(numbers: dict[str, float], reference: dict[str, float]) -> str:
    ratio = numbers["median_ms"] / reference["median_ms"]
    return f"{numbers['median_ms']:8.2f} ±{numbers['spread_ms']:5.2f} {ratio:5.2f}x"


def table(results: dict[str, Any]) -> str:
    """Make a table of times in ms: median, spread, ratio to the last runtime (the reference)."""
    names = list(results)
    reference = results[names[-1]]["commands"]
    lines = [" " * 16 + "".join(f"{name:>24}" for name in names)]
    for command in commands(results):
        row = [cell(results[n]["commands"][command], reference[command]) for n in names]
        lines.append(f"{command:16}" + "".join(f"{text:>24}" for text in row))
    for key, title in (("faults", "page faults"), ("cpu_ms", "CPU ms"), ("peak_kb", "peak kB")):
        lines.append("")
        for command in commands(results):
            row = [f"{results[n]['commands'][command][key]:.6g}" for n in names]
            label = f"{command}, {title}"
            lines.append(f"{label:28}" + "".join(f"{text:>12}" for text in row))
    lines += ["", *extras(results)]
    return "\n".join(lines)


def extras(results: dict[str, Any]) -> list[str]:
    names = list(results)
    lines = []
    for command in results[names[0]]["system_calls"]:
        row = [str(results[n]["system_calls"].get(command, "-")) for n in names]
        label = f"{command}, system calls"
        lines.append(f"{label:28}" + "".join(f"{text:>12}" for text in row))
    for key, title in (
        ("parallel", "50 creates at once, 1/s"),
        ("container_kb", "container, kB"),
    ):
        row = [f"{results[n][key]:.4g}" for n in names]
        lines.append(f"{title:28}" + "".join(f"{text:>12}" for text in row))
    return lines


def chart(results: dict[str, Any]) -> str:
    """Horizontal bars of the medians, one group a command, each group to its own scale."""
    names = list(results)
    shown = commands(results)
    group = len(names) * BAR + GAP
    height = len(shown) * group + 40
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + 90}" height="{height}" '
        'font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for index, name in enumerate(names):
        x = LEFT + index * 130
        parts.append(f'<rect x="{x}" y="8" width="12" height="12" fill="{COLOURS[index % 5]}"/>')
        parts.append(f'<text x="{x + 18}" y="18">{escape(name)}</text>')
    for row, command in enumerate(shown):
        top = 32 + row * group
        parts.append(f'<text x="8" y="{top + group / 2}">{escape(command)}</text>')
        most = max(results[name]["commands"][command]["median_ms"] for name in names)
        for index, name in enumerate(names):
            value = results[name]["commands"][command]["median_ms"]
            length, y = WIDTH * value / most, top + index * BAR
            parts.append(
                f'<rect x="{LEFT}" y="{y}" width="{length:.1f}" height="{BAR - 2}" '
                f'fill="{COLOURS[index % 5]}"/>'
            )
            parts.append(f'<text x="{LEFT + length + 5:.1f}" y="{y + 11}">{value:.2f} ms</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"
