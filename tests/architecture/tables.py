"""Tables of a document that are made from the code: between `<!-- name -->` and `<!-- end -->`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

Tables = Mapping[str, Callable[[], str]]


def found_in(document: Path, name: str) -> str:
    """The table as it stands there."""
    found = _pattern(name).search(document.read_text())
    assert found is not None, f"{document.name} has no table {name!r}"
    return found[0].strip()


def write(document: Path, tables: Tables) -> None:
    text = document.read_text()
    for name, table in tables.items():
        text = _pattern(name).sub(partial(_replaced, table()), text, count=1)
    document.write_text(text)


def _pattern(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?<=<!-- {name} -->\n).*?(?=<!-- end -->)", re.DOTALL)


def _replaced(table: str, _: re.Match[str]) -> str:
    return table + "\n"
