"""The import rules bite: each kind of import that the table forbids is found by the rule that forbids it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.tree import PACKAGE, ROOT, SRC

FORBIDDEN = [
    ("contract/ids.py", "import time", "contract-is-pure"),
    ("contract/ids.py", "from kirimhook.receiver import model", "layers"),
    ("observe.py", "from kirimhook.receiver import model", "layers"),
    ("observe.py", "from kirimhook import settings", "layers"),
    ("runner.py", "from kirimhook import settings", "runner-is-for-both-halves"),
    ("runner.py", "from kirimhook.receiver import model", "layers"),
    ("receiver/endpoint.py", "from kirimhook import backends", "layers"),
    ("receiver/endpoint.py", "import uvicorn", "base-has-no-dependency"),
    ("backends/__init__.py", "from kirimhook.receiver import endpoint", "backends-know-the-port"),
    ("sender/model.py", "from kirimhook.receiver import model", "layers"),
    ("sender/model.py", "from kirimhook.backends import sqlite", "layers"),
    ("receiver/model.py", "from kirimhook.sender import model", "layers"),
    ("sender/model.py", "import fastapi", "sender-knows-no-http-framework"),
    ("sender/api/__init__.py", "from kirimhook.sender import store", "api-sees-use-cases"),
    ("sender/api/__init__.py", "import sqlalchemy", "api-sees-use-cases"),
    ("serving/__init__.py", "from kirimhook import testing", "layers"),
    ("testing/__init__.py", "from kirimhook import cli", "layers"),
    ("client/calls.py", "from kirimhook.sender import model", "client-knows-the-contract"),
    ("operating/files.py", "from kirimhook.backends import sqlite", "operating-knows-no-backend"),
    ("receiver/model.py", "from kirimhook.receiver import inbox", "no-cycles"),
]


def lint(src: Path, *contracts: str) -> subprocess.CompletedProcess[str]:
    program = (
        "import sys; from importlinter.cli import lint_imports_command as run; sys.argv[0] = 'lint-imports'; run()"
    )
    command = [sys.executable, "-c", program, "--config", str(ROOT / "pyproject.toml"), "--no-cache", "--no-logo"]
    command += [word for contract in contracts for word in ("--contract", contract)]
    environment = os.environ | {"PYTHONPATH": str(src), "NO_COLOR": "1"}
    return subprocess.run(command, cwd=src, env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_the_rules_hold() -> None:
    done = lint(SRC)
    assert done.returncode == 0, done.stdout
    assert " 0 broken" in done.stdout


@pytest.mark.parametrize(("file", "line", "contract"), FORBIDDEN, ids=lambda value: value.rpartition(" ")[2])
def test_a_forbidden_import_is_found(tmp_path: Path, file: str, line: str, contract: str) -> None:
    shutil.copytree(PACKAGE, tmp_path / "kirimhook", ignore=shutil.ignore_patterns("__pycache__"))
    source = tmp_path / "kirimhook" / file
    source.write_text(f"{source.read_text()}\n\ndef _later() -> None:\n    {line}\n")
    done = lint(tmp_path, contract)
    assert done.returncode == 1, done.stdout
    assert "0 kept, 1 broken" in done.stdout
    assert f".{source.parent.name if source.stem == '__init__' else source.stem} -> " in done.stdout
