"""Pure: figures -> small inline SVG pictures. Colours come from the page's style sheet, in a light and a dark theme.

All text is escaped: names come from policies and files.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from benchmarks.evaluation.estimates import Estimate

Point = tuple[float, float]
_LEFT, _RIGHT, _TOP, _BOTTOM = 40.0, 10.0, 22.0, 30.0


@dataclass(frozen=True, slots=True)
class Axes:
    """Ranges and labels of a chart's axes, and its size.

    Attributes:
        x: (lowest, highest) value of the horizontal axis.
        y: (lowest, highest) value of the vertical axis.
        labels: Labels of both, (x, y).
        width: Width in pixels.
        height: Height in pixels.
    """

    x: Point
    y: Point
    labels: tuple[str, str]
    width: int = 380
    height: int = 230

    def place(self, point: Point) -> Point:
        """Convert values to pixels from the upper left corner; values out of range are placed on the edge."""
        spans = (self.x[1] - self.x[0] or 1.0, self.y[1] - self.y[0] or 1.0)
        across = min(max((point[0] - self.x[0]) / spans[0], 0.0), 1.0)
        up = min(max((point[1] - self.y[0]) / spans[1], 0.0), 1.0)
        inner = (self.width - _LEFT - _RIGHT, self.height - _TOP - _BOTTOM)
        return _LEFT + across * inner[0], _TOP + (1 - up) * inner[1]


def line_chart(series: Mapping[str, Sequence[Point]], axes: Axes, *, diagonal: bool = False) -> Markup:
    """Draw one line per series with a legend below; ``diagonal`` adds the line x = y."""
    parts = [_frame(axes)]
    if diagonal:
        start, end = axes.place((axes.x[0], axes.y[0])), axes.place((axes.x[1], axes.y[1]))
        parts.append(_line(start, end, "guide"))
    for number, points in enumerate(series.values()):
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in map(axes.place, points))
        parts.append(Markup('<polyline class="line s{}" points="{}"/>').format(number % 8, path))
        if len(points) <= 40:
            dot = Markup('<circle class="dot s{}" cx="{:.1f}" cy="{:.1f}" r="2"/>')
            parts += [dot.format(number % 8, x, y) for x, y in map(axes.place, points)]
    legend = [
        Markup('<span><i class="key s{}"></i>{}</span>').format(number % 8, name) for number, name in enumerate(series)
    ]
    label = ", ".join(series)
    return Markup(
        '<figure><svg viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg><div class="legend">{}</div></figure>'
    ).format(axes.width, axes.height, label, Markup().join(parts), Markup().join(legend))


def interval_bar(share: Estimate, start: float, overall: float | None) -> Markup:
    """Draw a share in [0, 1] with its interval on an axis from ``start`` to 1.

    Args:
        share: Value and ends of the interval; below ``overall`` as a whole, it is drawn in another colour.
        start: Left end of the axis.
        overall: A share to compare with, drawn as a thin line; None draws no line.
    """
    width, span = 240.0, 1.0 - start

    def at(value: float) -> float:
        return 4 + min(max((value - start) / span, 0.0), 1.0) * (width - 8)

    parts = [Markup('<line class="rail" x1="4" y1="9" x2="{:.1f}" y2="9"/>').format(width - 4)]
    if overall is not None:
        parts.append(_line((at(overall), 1), (at(overall), 17), "guide"))
    colour = "low" if overall is not None and share.high < overall else "even"
    span_px = max(at(share.high) - at(share.low), 1.5)
    parts.append(
        Markup('<rect class="span {}" x="{:.1f}" y="5" width="{:.1f}" height="8" rx="3"/>').format(
            colour, at(share.low), span_px
        )
    )
    parts.append(Markup('<circle class="value {}" cx="{:.1f}" cy="9" r="4"/>').format(colour, at(share.value)))
    label = f"{share.value:.1%}, {share.low:.1%} to {share.high:.1%}"
    return Markup('<svg class="interval" viewBox="0 0 240 18" role="img" aria-label="{}">{}</svg>').format(
        label, Markup().join(parts)
    )


def axis_start(lows: Iterable[float]) -> float:
    """Left end of an axis of shares that shows the lowest one: a multiple of 0.1, at most 0.9."""
    return min(0.9, math.floor(10 * min(lows, default=0.9)) / 10)


def count_bar(count: int, most: int) -> Markup:
    """Draw a count as a bar; ``most`` has the full width."""
    width = 240 * count / most if most else 0
    return Markup('<svg class="interval" viewBox="0 0 240 18" aria-hidden="true">{}</svg>').format(
        Markup('<rect class="count" x="0" y="4" width="{:.1f}" height="10" rx="3"/>').format(max(width, 1.5))
    )


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """About ``count`` round values between ``low`` and ``high``."""
    if not high > low:
        return [low]
    raw = (high - low) / count
    scale = 10.0 ** math.floor(math.log10(raw))
    step = scale * next(factor for factor in (1, 2, 5, 10) if factor * scale >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(k * step, 10) for k in range(first, math.floor(high / step + 1e-9) + 1)]


def _frame(axes: Axes) -> Markup:
    parts = []
    for value in ticks(*axes.y):
        left, right = axes.place((axes.x[0], value)), axes.place((axes.x[1], value))
        parts.append(_line(left, right, "grid"))
        parts.append(_text((left[0] - 6, left[1] + 3.5), f"{value:g}", "end"))
    for value in ticks(*axes.x, count=6):
        x, _ = axes.place((value, axes.y[0]))
        parts.append(_text((x, axes.height - _BOTTOM + 13), f"{value:g}", "middle"))
    parts.append(_text(((axes.width + _LEFT) / 2, axes.height - 3), axes.labels[0], "middle"))
    parts.append(_text((4, 10), axes.labels[1], "start"))
    return Markup().join(parts)


def _line(start: Point, end: Point, kind: str) -> Markup:
    return Markup('<line class="{}" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>').format(kind, *start, *end)


def _text(at: Point, text: str, anchor: str) -> Markup:
    return Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>').format(*at, anchor, escape(text))
