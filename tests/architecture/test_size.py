"""No file of the package is over 400 lines, and no function over 60."""

from __future__ import annotations

import ast

from tests.architecture.tree import ROOT, sources

FILE_LINES = 400
FUNCTION_LINES = 60


def long_functions(text: str) -> list[str]:
    return [
        node.name
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or node.lineno) - node.lineno + 1 > FUNCTION_LINES
    ]


def test_no_file_is_too_long() -> None:
    lines = {path.relative_to(ROOT): len(path.read_text().splitlines()) for path in sources()}
    assert lines
    assert {path: count for path, count in lines.items() if count > FILE_LINES} == {}


def test_no_function_is_too_long() -> None:
    found = {path.relative_to(ROOT): long_functions(path.read_text()) for path in sources()}
    assert {path: names for path, names in found.items() if names} == {}


def test_a_long_function_would_be_found() -> None:
    body = "    x = 1\n"
    assert long_functions("def f():\n" + body * (FUNCTION_LINES - 1)) == []
    assert long_functions("class C:\n  async def f(self):\n" + body * FUNCTION_LINES) == ["f"]
