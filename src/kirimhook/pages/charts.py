"""Charts: drawn by pygal, of whose SVG only shapes and words are kept. The stylesheet colours them, in both themes.

Every chart has its figures as rows too: whoever cannot see it reads those.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple
from xml.etree import ElementTree as ET

import pygal
from markupsafe import Markup

from kirimhook.pages import moments

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# pygal leaves a finder for its maps, of a kind that Python 3.11 warns of at every import from then on
sys.meta_path[:] = [finder for finder in sys.meta_path if type(finder) is not pygal.PluginImportFixer]

_SIZE = (720, 190)
_MARKS = 6
"""Labels below a chart: more would run into each other on a small screen."""
_KEPT = {
    "g": {"transform"},
    "rect": {"x", "y", "width", "height"},
    "path": {"d"},
    "circle": {"cx", "cy", "r"},
    "text": {"x", "y"},
}
_CLASSES = {"plot", "axis", "x", "y", "guide", "line", "major", "bar", "background"}
_NAME = "abcdefghijklmnopqrstuvwxyz0123456789-"


class Chart(NamedTuple):
    """A drawing and its figures: `names` of the series, and `rows` of a label and one figure each (None: none)."""

    svg: Markup
    title: str
    unit: str
    names: tuple[str, ...]
    rows: tuple[tuple[str, tuple[float | None, ...]], ...]


def bars(title: str, labels: Sequence[str], series: Mapping[str, Sequence[float | None]], *, unit: str) -> Chart:
    """Stacked bars: one per label, a part per series. Series are as long as `labels`; raises ValueError if not."""
    return _chart("bars", title, labels, series, unit)


def lines(title: str, labels: Sequence[str], series: Mapping[str, Sequence[float | None]], *, unit: str) -> Chart:
    """One line per series, broken where it has no figure. Otherwise like `bars`."""
    return _chart("lines", title, labels, series, unit)


def series_class(name: str) -> str:
    """`chart-succeeded`: the class of a series, of plain letters whatever its name is."""
    return "chart-" + "".join(letter if letter in _NAME else "-" for letter in name.lower())


def _chart(
    kind: str, title: str, labels: Sequence[str], series: Mapping[str, Sequence[float | None]], unit: str
) -> Chart:
    for name, values in series.items():
        if len(values) != len(labels):
            raise ValueError(f"{name}: {len(values)} figures for {len(labels)} labels")
    figures = tuple((name, tuple(values)) for name, values in series.items())
    svg = _drawn(kind, title, tuple(labels), figures, unit)
    columns = tuple(values for _, values in figures)
    rows = tuple((label, tuple(column[at] for column in columns)) for at, label in enumerate(labels))
    return Chart(svg, title, unit, tuple(series), rows)


@lru_cache(maxsize=64)
def _drawn(
    kind: str,
    title: str,
    labels: tuple[str, ...],
    series: tuple[tuple[str, tuple[float | None, ...]], ...],
    unit: str,
) -> Markup:
    """Kept for a while: live pages ask for the same drawing every second."""
    drawing = _pygal(kind, labels, series)
    root = ET.Element("svg", {"viewBox": f"0 0 {_SIZE[0]} {_SIZE[1]}", "class": f"chart {kind}", "role": "img"})
    root.set("aria-label", f"{title}, {unit}")
    names = {f"serie-{at}": name for at, (name, _) in enumerate(series)}
    _copy(drawing.render_tree(), root, names, "")
    return Markup(ET.tostring(root, encoding="unicode"))  # noqa: S704  # of _KEPT only, escaped by ElementTree


def _pygal(kind: str, labels: tuple[str, ...], series: tuple[tuple[str, tuple[float | None, ...]], ...]) -> Any:
    step = max(1, -(-len(labels) // _MARKS))
    shown = [label if at % step == 0 else "" for at, label in enumerate(labels)]
    highest = max((value for _, values in series for value in values if value is not None), default=0)
    options: dict[str, Any] = {
        "width": _SIZE[0], "height": _SIZE[1], "js": (), "css": (), "show_legend": False, "include_x_axis": True,
        "margin": 4, "margin_left": 44, "margin_bottom": 22, "margin_top": 8, "spacing": 0, "max_scale": 4,
        "min_scale": 2, "show_dots": False, "value_formatter": figure, "truncate_label": -1,
    }  # fmt: skip
    if highest == 0:
        options["range"] = (0, 1)
    drawing = pygal.StackedBar(**options) if kind == "bars" else pygal.Line(allow_interruptions=True, **options)
    drawing.x_labels = shown
    for name, values in series:
        drawing.add(name, list(values))
    return drawing


def figure(value: float | None) -> str:
    """A figure of a chart: whole where it is, else to three digits. None: `–`."""
    if value is None:
        return "–"
    return moments.count(value) if float(value).is_integer() else f"{value:.3g}"


def _copy(source: Any, target: ET.Element, names: Mapping[str, str], series: str) -> None:
    """Into `target`, what of `source`'s children is kept; `series` is the one that they belong to."""
    for child in source:
        tag = str(child.tag).rpartition("}")[2]
        if tag not in _KEPT or _is_nothing(child):
            continue
        words = child.get("class", "").split()
        mine = next((names[word] for word in words if word in names), series)
        kept = ET.SubElement(target, tag, {name: _rounded(child.get(name)) for name in _KEPT[tag] if child.get(name)})
        classes = [word for word in words if word in _CLASSES]
        if mine and not series:
            classes.append(series_class(mine))
        if classes:
            kept.set("class", " ".join(classes))
        if tag == "text":
            kept.text = child.text
        if "bar" in classes:
            _name(kept, child, mine)
        _copy(child, kept, names, mine)


def _is_nothing(element: Any) -> bool:
    """Of no height, or a drawing's layer for what its own script would show."""
    words = element.get("class", "").split()
    return element.get("height") in {"0", "0.0"} or any(word.endswith("overlay") for word in words)


def _name(kept: ET.Element, bar: Any, series: str) -> None:
    """What a pointer that rests on a bar is told: `12:01: succeeded 4`."""
    told = {desc.get("class", ""): desc.text or "" for desc in bar if str(desc.tag).endswith("desc")}
    label = f"{told['x_label']}: " if told.get("x_label") else ""
    ET.SubElement(kept, "title").text = f"{label}{series} {told.get('value', '')}"


def _rounded(value: str) -> str:
    try:
        return f"{float(value):.1f}".removesuffix(".0")
    except ValueError:  # a path or a transformation
        return " ".join(f"{float(part):.1f}" if _is_number(part) else part for part in value.split(" "))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
