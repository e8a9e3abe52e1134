"""The tables and the example in docs/backends.md are true. `python -m tests.architecture.test_backends` writes them."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from kirimhook.receiver import inbox
from kirimhook.receiver.inbox import Capabilities
from kirimhook.testing.conformance import InboxConformance
from kirimhook.testing.conformance.suite import Suite
from tests.architecture.tables import Tables, found_in, write
from tests.architecture.tree import ROOT
from tests.conformance import test_jetstream, test_postgres, test_sqlite

DOCUMENT = ROOT / "docs/backends.md"
BACKENDS: dict[str, type[Suite]] = {
    "SQLite": test_sqlite.TestFile,
    "`:memory:`": test_sqlite.TestMemory,
    "PostgreSQL": test_postgres.TestPostgres,
    "JetStream": test_jetstream.TestThreeNodes,
}
"""Each suite's first test is that the inbox says the same of itself."""
EXAMPLE = re.compile(r"```python\n# test_mine\.py\n(.*?)```", re.DOTALL)


def about(kind: type) -> dict[str, str]:
    """The text under each field of a class of the port."""
    (found,) = [
        node
        for node in ast.parse(inspect.getsource(inbox)).body
        if isinstance(node, ast.ClassDef) and node.name == kind.__name__
    ]
    texts = {}
    for field, text in zip(found.body, found.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(text, ast.Expr):
            texts[field.target.id] = " ".join(str(ast.literal_eval(text.value)).split())
    return texts


def capabilities() -> str:
    texts = about(Capabilities)
    rows = []
    for field in fields(Capabilities):
        cells = ["yes" if getattr(suite.capabilities, field.name) else "no" for suite in BACKENDS.values()]
        rows.append(f"| `{field.name}` | {' | '.join(cells)} | {texts[field.name]} |")
    return "\n".join([f"| | {' | '.join(BACKENDS)} | |", "|---" * (len(BACKENDS) + 2) + "|", *rows])


def parts() -> str:
    """Of the suite, each with what it says of itself."""
    rows = []
    for part in InboxConformance.__bases__:
        module = sys.modules[part.__module__]
        text = " ".join((module.__doc__ or "").split("\n\n")[0].split())
        tests = sum(1 for name in vars(part) if name.startswith("test_"))
        rows.append(f"| `{part.__module__.rpartition('.')[2]}` | {tests} | {text} |")
    return "\n".join(["| Part | Tests | What must hold |", "|---|---|---|", *rows])


TABLES: Tables = {"capabilities": capabilities, "suite": parts}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_what_the_code_says(name: str) -> None:
    assert found_in(DOCUMENT, name) == TABLES[name]()


def test_the_example_runs(tmp_path: Path) -> None:
    """Of the document as it stands: somebody's tests of an inbox, of which one part is run here."""
    example = EXAMPLE.search(DOCUMENT.read_text())
    assert example is not None
    (tmp_path / "test_mine.py").write_text(example[1])
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = -p no:cacheprovider\n")
    command = [sys.executable, "-m", "pytest", "-q", "-k", "adopted or model", str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\n\d+ passed", done.stdout)


if __name__ == "__main__":
    write(DOCUMENT, TABLES)
