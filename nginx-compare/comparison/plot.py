"""Line charts as SVG: small, readable without colour alone, in light and dark.

It knows points and names. What they mean is the caller's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

WIDTH, HEIGHT = 760, 400
LEFT, RIGHT, TOP, BOTTOM = 64, 140, 44, 48
LINE_HEIGHT = 15
# Hues that stand out on white and on black, the subject's first.
COLOURS = ("#d9480f", "#1971c2", "#7a8288", "#2f9e44", "#9c36b5", "#b08900", "#c2255c", "#0c8599", "#a5673f")
STYLE = """
text { font: 12px system-ui, sans-serif; fill: #24292f }
.title { font-weight: 600; font-size: 14px }
.name { font-weight: 600; paint-order: stroke; stroke: #fff; stroke-width: 4px }
.grid { stroke: #8884; stroke-width: 1 }
.curve { fill: none; stroke-width: 2 }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .name { stroke: #0d1117 } }
"""


def chart(title: str, unit: str, categories: Sequence[str], series: Mapping[str, Sequence[float | None]]) -> str:
    """A curve for each of `series` over the categories, on a logarithmic scale. None leaves a gap; one of nothing
    but gaps is not drawn, so that charts of the same series give each the same colour."""
    values = [value for one in series.values() for value in one if value]
    if not values:
        raise ValueError(f"nothing to draw in {title}")
    scale = Scale(min(values), max(values), len(categories))
    parts = [
        f'<text class="title" x="{LEFT}" y="20">{escape(title)}</text>',
        f'<text x="{LEFT}" y="{TOP - 8}">{escape(unit)}, logarithmic</text>',
        *_grid(scale, categories),
    ]
    ends = []
    for number, (name, points) in enumerate(series.items()):
        colour = COLOURS[number % len(COLOURS)]
        places = [(scale.x(at), scale.y(value)) for at, value in enumerate(points) if value]
        if places:
            parts += _curve(places, colour)
            ends.append((places[-1], name, colour))
    return _document(title, [*parts, *_labels(ends)])


class Scale:
    """From a category's number and a value to places in the picture."""

    def __init__(self, lowest: float, highest: float, categories: int) -> None:
        self._low = math.log10(lowest * 0.9)
        self._span = math.log10(highest * 1.1) - self._low
        self._step = (WIDTH - LEFT - RIGHT) / max(categories - 1, 1)
        self.ticks = _ticks(lowest, highest)

    def x(self, at: int) -> float:
        """Of a category, from the left."""
        return LEFT + at * self._step

    def y(self, value: float) -> float:
        """Of a value, from the top."""
        share = (math.log10(value) - self._low) / self._span
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)


def _ticks(lowest: float, highest: float) -> list[float]:
    powers = range(math.floor(math.log10(lowest)), math.ceil(math.log10(highest)) + 1)
    return [step * 10.0**power for power in powers for step in (1, 2, 5) if lowest <= step * 10.0**power <= highest]


def _grid(scale: Scale, categories: Sequence[str]) -> list[str]:
    right = WIDTH - RIGHT
    parts = []
    for value in scale.ticks:
        y = scale.y(value)
        parts.append(f'<line class="grid" x1="{LEFT}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{value:,.6g}</text>')
    for at, name in enumerate(categories):
        place = f'x="{scale.x(at):.1f}" y="{HEIGHT - BOTTOM + 22}"'
        parts.append(f'<text {place} text-anchor="middle">{escape(name)}</text>')
    return parts


def _curve(places: Sequence[tuple[float, float]], colour: str) -> list[str]:
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    dots = (f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places)
    return [f'<polyline class="curve" stroke="{colour}" points="{points}"/>', *dots]


def _labels(ends: Sequence[tuple[tuple[float, float], str, str]]) -> list[str]:
    """Each curve's name at its end, moved down where it would cover another."""
    parts, lowest = [], 0.0
    for (x, y), name, colour in sorted(ends, key=lambda one: one[0][1]):
        lowest = max(y + 4, lowest + LINE_HEIGHT)
        parts.append(
            f'<text class="name" x="{x + 10:.1f}" y="{lowest:.1f}" style="fill: {colour}">{escape(name)}</text>'
        )
    return parts


def _document(title: str, parts: Sequence[str]) -> str:
    body = "\n".join(parts)
    frame = f'xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"'
    return f'<svg {frame} role="img" aria-label="{escape(title)}">\n<style>{STYLE}</style>\n{body}\n</svg>\n'
