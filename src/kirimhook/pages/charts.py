"""Charts: drawn by pygal, of whose SVG only shapes and words are kept. The stylesheet colours them, in both themes.

Every chart has its figures as rows too: whoever cannot see it reads those.
"""

from __future__ import annotations

import math
import re
import sys
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple
from xml.etree import ElementTree as ET

import pygal  # type: ignore[import-untyped]  # it brings no types
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
_CLASSES = {"axis", "x", "y", "guide", "line", "major", "bar", "dots"}
_NAMED = ("bar", "dots")
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_DIGITS = re.compile(r"-?\d+\.\d+")
_NAME = "abcdefghijklmnopqrstuvwxyz0123456789-"


_Series = tuple[tuple[str, tuple[float | None, ...]], ...]


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
    """One line per series, broken where it has no figure (None, or not finite). Otherwise like `bars`."""
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
    figures = tuple((name, tuple(map(_finite, values))) for name, values in series.items())
    svg = _drawn(kind, title, tuple(labels), figures, unit)
    columns = tuple(values for _, values in figures)
    rows = tuple((label, tuple(column[at] for column in columns)) for at, label in enumerate(labels))
    return Chart(svg, title, unit, tuple(series), rows)


@lru_cache(maxsize=64)
def _drawn(kind: str, title: str, labels: tuple[str, ...], series: _Series, unit: str) -> Markup:
    """Kept for a while: live pages ask for the same drawing every second."""
    drawing = _pygal(kind, labels, series)
    root = ET.Element("svg", {"viewBox": f"0 0 {_SIZE[0]} {_SIZE[1]}", "class": f"chart {kind}", "role": "img"})
    root.set("aria-label", _xml(f"{title}, {unit}"))
    names = {f"serie-{at}": name for at, (name, _) in enumerate(series)}
    _copy(drawing.render_tree(), root, names, "")
    return Markup(ET.tostring(root, encoding="unicode"))  # noqa: S704  # of _KEPT only, escaped by ElementTree


def _pygal(kind: str, labels: tuple[str, ...], series: _Series) -> Any:
    options: dict[str, Any] = {
        "width": _SIZE[0], "height": _SIZE[1], "js": (), "css": (), "show_legend": False, "dots_size": 2,
        "margin": 6, "margin_left": 28, "margin_bottom": 8, "spacing": 10, "value_formatter": figure,
        "truncate_label": -1, "x_labels_major_every": max(1, -(-len(labels) // _MARKS)), "show_minor_x_labels": False,
        "y_labels": steps(kind == "bars", series),
    }  # fmt: skip
    drawing = pygal.StackedBar(**options) if kind == "bars" else pygal.Line(allow_interruptions=True, **options)
    drawing.x_labels = [_xml(label) for label in labels]
    for name, values in series or (("", (None,)),):  # pygal draws no axes without any
        drawing.add(_xml(name), list(values))
    return drawing


def steps(stacked: bool, series: _Series) -> list[float]:  # one of two kinds
    """The figures beside the guides: 0 and up to four more, of a width of 1, 2 or 5 times a power of ten.

    The last one is at or above the highest figure (of a stack, their sum). Whole where all figures are.
    """
    columns = zip(*(values for _, values in series), strict=True)
    tops = [[value for value in column if value is not None] for column in columns]
    highest = max((sum(top) if stacked else max(top) for top in tops if top), default=0)
    if highest <= 0:
        return [0, 1]
    least = 1.0 if all(value.is_integer() for top in tops for value in map(float, top)) else 0.0
    power = 10.0 ** math.floor(math.log10(highest / 4))
    width = max(least, next(power * of for of in (1, 2, 5, 10, 20) if power * of * 4 >= highest))
    return [round(width * at, 12) for at in range(math.ceil(highest / width) + 1)]


def figure(value: float | None) -> str:
    """A figure of a chart: whole where it is, else to three digits; a dash for None."""
    if value is None:
        return "–"
    return moments.count(value) if float(value).is_integer() else f"{value:.3g}"


def _copy(source: Any, target: ET.Element, names: Mapping[str, str], series: str) -> None:
    """Into `target`, what of `source`'s children is kept; `series` is the one that they belong to."""
    for child in source:
        tag = str(child.tag).rpartition("}")[2]
        words = child.get("class", "").split()
        if tag not in _KEPT or _is_nothing(child, words):
            continue
        mine = next((names[word] for word in words if word in names), series)
        kept = ET.SubElement(target, tag, {name: _rounded(child.get(name)) for name in _KEPT[tag] if child.get(name)})
        classes = [word for word in words if word in _CLASSES]
        if mine and not series:
            classes.append(series_class(mine))
        if classes:
            kept.set("class", " ".join(classes))
        kept.text = child.text if tag == "text" else None
        if any(word in _NAMED for word in classes):
            ET.SubElement(kept, "title").text = _told(child, mine)
        _copy(child, kept, names, mine)
        if tag == "g" and all(inner.tag == "title" for inner in kept):
            target.remove(kept)


def _is_nothing(element: Any, words: Sequence[str]) -> bool:
    """Of no height, the ground behind a drawing, or what pygal's own script would show."""
    hidden = {"background", "text-overlay", "tooltip-overlay"} & set(words)
    return bool(hidden) or element.get("height") in {"0", "0.0"}


def _told(mark: Any, series: str) -> str:
    """What a pointer that rests on a bar or a dot is told: `12:01: succeeded 4`."""
    about = {desc.get("class", ""): desc.text or "" for desc in mark if str(desc.tag).endswith("desc")}
    label = f"{about['x_label']}: " if about.get("x_label") else ""
    return f"{label}{_xml(series)} {about.get('value', '')}"


def _rounded(numbers: str) -> str:
    """The numbers of an attribute, to a tenth: a drawing has no finer."""
    return _DIGITS.sub(lambda found: f"{float(found[0]):.1f}".removesuffix(".0"), numbers)


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _xml(text: str) -> str:
    """Without the characters that XML has no place for."""
    return _NOT_XML.sub("\ufffd", text)
