"""The tables of measured figures, and of those calculated from them, are those of the results."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.documents import TABLES, load, pattern


@pytest.mark.parametrize(
    ("document", "name"),
    [pytest.param(document, name, id=name) for document, tables in TABLES.items() for name in tables],
)
def test_a_table_is_what_was_measured(document: Path, name: str) -> None:
    found = pattern(name).search(document.read_text("utf-8"))
    assert found is not None
    assert found[0].strip() == TABLES[document][name](load())
