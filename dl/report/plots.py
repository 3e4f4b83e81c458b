"""Line plots and scatter plots as inline SVG.

Written by hand and not with matplotlib: importing that alone takes 1.2 s, more than the whole page, and its colours can't
follow the reader's light or dark scheme.
"""

from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

import numpy as np

from dl.artifacts import Curves, Scatter
from dl.report import axis
from dl.report.run import Series
from dl.report.style import colour

WIDTH, HEIGHT = 370, 220
LEFT, RIGHT, TOP, BOTTOM = 46, 8, 6, 34  # margins
BINS = 250  # a line of more than twice as many points keeps the extremes of so many bins
SWITCHED = 10.0  # the largest value over the smallest from which on the reader may choose the scale
STRIPS = 50  # places where the pointer is told values, at most
THIN = 5  # replicas are drawn one by one up to so many


class Line(NamedTuple):
    """One line of a plot. `x`, `y` [N]; `spread` [N] is drawn as a band around it, `replicas` [N, R] as thin lines."""

    name: str
    x: np.ndarray
    y: np.ndarray
    colour: str
    spread: np.ndarray | None = None
    replicas: np.ndarray | None = None
    dashed: bool = False
    text: str = ""  # stands in the legend, after the name


def series_line(name: str, series: Series, colour: str, dashed: bool = False) -> Line:
    """A metric: its mean over the replicas, the deviation as a band, a few replicas as thin lines, the last value as text."""
    several = series.values.shape[1] > 1
    replicas = series.values if 1 < series.values.shape[1] <= THIN else None
    text = axis.mean_std(series.last.mean, series.last.std)
    return Line(name, series.steps, series.mean, colour, series.std if several else None, replicas, dashed, text)


def plot(
    lines: Sequence[Line],
    title: str,
    x_title: str = "step",
    y_title: str = "",
    log: bool | None = None,
    marks: Sequence[float] = (),
    subtitle: str = "",
    switch: bool = False,
) -> str:
    """A plot of lines as an HTML figure.

    Args:
        lines: drawn in this order.
        title: in bold above the plot.
        x_title: below the x axis.
        y_title: beside the y axis.
        log: whether y is logarithmic; None decides by the span of the values.
        marks: x positions of dashed vertical lines, such as the beginnings of phases.
        subtitle: after the title, in grey.
        switch: whether the reader may choose the other scale of y, where values differ so much that it shows something else.
    """
    lines = [_thinned(line) for line in lines]
    shown = _extent(lines)
    x_all = np.concatenate([line.x for line in lines]).astype(float) if lines else np.empty(0)
    if not np.isfinite(shown).any():
        return _figure(title, subtitle, _legend(lines), '<p class="soft">no finite values</p>')
    if 0 < x_all.min() < 0.2 * x_all.max():
        x_all = np.append(x_all, 0.0)  # the first line is logged a little after the start
    x_axis = axis.make(x_all, pad=0.0)
    at = _x(x_axis, np.array(marks, float)).tolist()
    ruled = "".join(f'<path class="mark" d="M{x:.1f} 0V{HEIGHT - TOP - BOTTOM}"/>' for x in at)
    pointed = _pointed(lines, x_axis, x_title.partition(" ")[0])

    def drawn(log: bool | None) -> str:
        y_axis = axis.make(shown, log)
        body = "".join(_draw(line, x_axis, y_axis) for line in lines)
        return _svg(title, x_axis, y_axis, ruled + body + pointed, x_title, y_title)

    first, other = drawn(log), drawn(not axis.is_log(shown, log)) if switch and axis.spans(shown, SWITCHED) else ""
    if other:
        name = "linear" if axis.is_log(shown, log) else "logarithmic"
        box = f'<label class="switch"><input type="checkbox"> {name}</label>'
        first = f'{box}<div class="first">{first}</div><div class="other">{other}</div>'
    return _figure(title, subtitle, _legend(lines), first)


def _pointed(lines: Sequence[Line], x_axis: axis.Axis, what: str) -> str:
    """Upright strips over the plot, each of which tells the values of the lines there when the pointer rests on it."""
    places = np.unique(np.concatenate([line.x[np.isfinite(line.y)] for line in lines]).astype(float))
    if len(places) < 2:
        return ""
    far = (places[-1] - places[0]) / STRIPS if len(places) > STRIPS else 0.0  # a line without a value that near says nothing
    places = places[np.unique(np.linspace(0, len(places) - 1, STRIPS).round().astype(int))]
    at, height = _x(x_axis, places), HEIGHT - TOP - BOTTOM
    edges = np.concatenate([at[:1] - 4, (at[1:] + at[:-1]) / 2, at[-1:] + 4])
    out = ""
    for place, middle, left, right in zip(places, at, edges, edges[1:], strict=False):
        values = []
        for line in lines:
            nearest = int(np.abs(line.x - place).argmin()) if len(line.x) else 0
            if len(line.x) and abs(line.x[nearest] - place) <= far and np.isfinite(line.y[nearest]):
                values.append(f"{line.name} {axis.number(float(line.y[nearest]))}")
        told = escape(", ".join([f"{what} {axis.number(float(place))}".strip(), *values]))
        strip = f'<rect x="{left:.1f}" width="{right - left:.1f}" height="{height}"/>'
        out += f'<g class="at">{strip}<path d="M{middle:.1f} 0V{height}"/><title>{told}</title></g>'
    return out


def curves(artifact: Curves, title: str, subtitle: str = "") -> str:
    """The artifact as an HTML figure."""
    lines = [
        Line(str(name), np.asarray(x, float), np.asarray(y, float), colour(i))
        for i, (name, (x, y)) in enumerate(artifact.lines.items())
    ]
    return plot(lines, title, artifact.x_title, artifact.y_title, subtitle=subtitle)


def scatter(artifact: Scatter, title: str, subtitle: str = "") -> str:
    """The artifact as an HTML figure; points that are not finite are left out."""
    points, labels = np.asarray(artifact.points, float), np.asarray(artifact.labels)
    finite = np.isfinite(points).all(axis=1)
    points, labels = points[finite], labels[finite]
    if not len(points):
        return _figure(title, subtitle, "", '<p class="soft">no finite points</p>')
    x_axis, y_axis = axis.make(points[:, 0], pad=0.03), axis.make(points[:, 1], pad=0.03)
    x, y = _x(x_axis, points[:, 0]), _y(y_axis, points[:, 1])
    body, keys = "", []
    for i, label in enumerate(np.unique(labels)):
        name = artifact.names[label] if 0 <= label < len(artifact.names) else str(label)
        body += f'<path class="points" stroke="{colour(i)}" d="{_dots(x[labels == label], y[labels == label])}"/>'
        keys.append(Line(str(name), x, y, colour(i)))
    texts = [text for text, shown in zip(artifact.texts, finite, strict=True) if shown] if len(artifact.texts) else []
    body += "".join(
        f'<text class="word" x="{a + 2:.1f}" y="{b + 1.4:.1f}">{escape(str(text))}</text>'
        for a, b, text in zip(x.tolist(), y.tolist(), texts, strict=False)
    )
    drawn = _svg(title, x_axis, y_axis, body, "", "")
    return _figure(title, subtitle, _legend(keys if len(keys) > 1 else []), drawn, "wide" if texts else "")


def _thinned(line: Line) -> Line:
    """A few points for each of `BINS` bins, their extremes among them, so that no spike is lost."""
    if len(line.x) <= 2 * BINS:
        return line
    kept = {0, len(line.x) - 1}
    for part in np.array_split(np.arange(len(line.x)), BINS):
        finite = np.isfinite(line.y[part])
        kept |= set(part[~finite][:1].tolist())  # keeps the gap
        if finite.any():
            part = part[finite]
            kept |= {int(part[np.argmin(line.y[part])]), int(part[np.argmax(line.y[part])])}
    index = np.array(sorted(kept))
    spread = None if line.spread is None else line.spread[index]
    replicas = None if line.replicas is None else line.replicas[index]
    return line._replace(x=line.x[index], y=line.y[index], spread=spread, replicas=replicas)


def _extent(lines: Sequence[Line]) -> np.ndarray:
    """All that the y axis must show: means, single replicas, and bands unless they reach below zero where nothing else does."""
    values = [line.y.astype(float) for line in lines] + [line.replicas.ravel() for line in lines if line.replicas is not None]
    shown = np.concatenate(values) if values else np.empty(0)
    bands = [line.y + sign * line.spread for line in lines if line.spread is not None for sign in (-1, 1)]
    edges = np.concatenate(bands) if bands else np.empty(0)
    finite = shown[np.isfinite(shown)]
    if finite.size and finite.min() >= 0:
        edges = edges[edges >= finite.min() / 2]
    return np.concatenate([shown, edges])


def _x(x_axis: axis.Axis, values: np.ndarray) -> np.ndarray:
    return x_axis.scale(values) * (WIDTH - LEFT - RIGHT)


def _y(y_axis: axis.Axis, values: np.ndarray) -> np.ndarray:
    return np.clip(1.0 - y_axis.scale(values), -9.0, 9.0) * (HEIGHT - TOP - BOTTOM)  # far outside is clipped anyway


def _values(axis_: axis.Axis) -> np.ndarray:
    return np.array([value for value, _ in axis_.ticks], float)


def _draw(line: Line, x_axis: axis.Axis, y_axis: axis.Axis) -> str:
    x, y = _x(x_axis, line.x), _y(y_axis, line.y)
    out = ""
    if line.spread is not None:
        low, high = _y(y_axis, line.y - line.spread), _y(y_axis, line.y + line.spread)
        ok = np.isfinite(low) & np.isfinite(high)
        path = _path(np.concatenate([x[ok], x[ok][::-1]]), np.concatenate([high[ok], low[ok][::-1]]))
        out += f'<path class="band" fill="{line.colour}" d="{path}z"/>' if path else ""
    if line.replicas is not None:
        for values in line.replicas.T:
            out += f'<path class="thin" stroke="{line.colour}" d="{_path(x, _y(y_axis, values))}"/>'
    out += f'<path class="line{" dashed" if line.dashed else ""}" stroke="{line.colour}" d="{_path(x, y)}"/>'
    if len(x) == 1 or (len(x) <= 12 and not line.dashed):
        out += f'<path class="dots" stroke="{line.colour}" d="{_dots(x, y)}"/>'
    return out


def _path(x: np.ndarray, y: np.ndarray) -> str:
    """A polyline with gaps where `y` is not finite."""
    pieces, pen = [], "M"
    for a, b in zip(x.tolist(), y.tolist(), strict=True):
        if np.isfinite(b):
            pieces.append(f"{pen}{a:.1f} {b:.1f}")
            pen = "L"
        else:
            pen = "M"
    return "".join(pieces)


def _dots(x: np.ndarray, y: np.ndarray) -> str:
    """Points as strokes of no length with round caps: a third of the size of as many circles."""
    return "".join(f"M{a:.1f} {b:.1f}h0" for a, b in zip(x.tolist(), y.tolist(), strict=True) if np.isfinite(b))


def _svg(title: str, x_axis: axis.Axis, y_axis: axis.Axis, body: str, x_title: str, y_title: str) -> str:
    width, height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    out = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">'
    for at, (_, text) in zip(TOP + _y(y_axis, _values(y_axis)), y_axis.ticks, strict=True):
        out += f'<path class="grid" d="M{LEFT} {at:.1f}h{width}"/>'
        out += f'<text x="{LEFT - 6}" y="{at + 3.8:.1f}" text-anchor="end">{text}</text>'
    for at, (_, text) in zip(LEFT + _x(x_axis, _values(x_axis)), x_axis.ticks, strict=True):
        anchor = "end" if at > WIDTH - RIGHT - 8 else "middle"
        out += f'<text x="{at:.1f}" y="{TOP + height + 15}" text-anchor="{anchor}">{text}</text>'
    out += f'<path class="axis" d="M{LEFT} {TOP + height}h{width}"/>'
    out += f'<text x="{LEFT + width / 2}" y="{HEIGHT - 3}" text-anchor="middle">{escape(x_title)}</text>' if x_title else ""
    if y_title:
        out += f'<text transform="translate(10 {TOP + height / 2}) rotate(-90)" text-anchor="middle">{escape(y_title)}</text>'
    # A nested svg clips what leaves the plot, without an id that must be unique in the page; dots on its sides stay whole.
    box = f'x="{LEFT - 4}" y="{TOP}" width="{width + 8}" height="{height}" viewBox="-4 0 {width + 8} {height}"'
    out += f'<svg {box} style="overflow:hidden">{body}</svg>'
    return out + "</svg>"


def _legend(lines: Sequence[Line]) -> str:
    keys = (
        f'<span><i{" class=dash" if line.dashed else ""} style="color:{line.colour}"></i>{escape(line.name)}'
        f"{f' <b>{escape(line.text)}</b>' if line.text else ''}</span>"
        for line in lines
    )
    return f'<div class="legend">{"".join(keys)}</div>' if lines else ""


def _figure(title: str, subtitle: str, legend: str, body: str, css: str = "") -> str:
    small = f" <small>{escape(subtitle)}</small>" if subtitle else ""
    return f'<figure class="{" ".join(["card plot", *css.split()])}"><h3>{escape(title)}{small}</h3>{legend}{body}</figure>'


def grouped(series: Mapping[str, Mapping[str, Series]]) -> dict[str, dict[str, Mapping[str, Series]]]:
    """Metrics that share a plot, title -> line -> split -> Series: `loss/real` and `loss/fake` are lines of `loss`."""
    plots: dict[str, dict[str, Mapping[str, Series]]] = {}
    for metric, splits in series.items():
        title, _, line = metric.partition("/")
        plots.setdefault(title, {})[line] = splits
    return plots
