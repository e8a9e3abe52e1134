"""What the README shows works as it stands there: the receiver, its test suite, the mounted one, every command."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.tree import ROOT

README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A user's folder: the README's receiver in `receiver.py`, its test suite beside it."""
    receiver, suite, mounted = blocks("python")
    (tmp_path / "receiver.py").write_text(receiver)
    (tmp_path / "test_receiver.py").write_text(suite)
    (tmp_path / "application.py").write_text("from receiver import hooks\n" + mounted)
    return tmp_path


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )


def test_the_receiver_has_ten_lines(folder: Path) -> None:
    lines = [line for line in (folder / "receiver.py").read_text().splitlines() if line.strip()]
    assert len(lines) <= 10


def test_the_suite_sends_every_sample_through_the_plugin_and_passes(folder: Path) -> None:
    done = run(folder, "-m", "pytest", "-q", "-p", "no:cacheprovider")
    assert re.search(r"^21 passed", done.stdout, re.MULTILINE), done.stdout + done.stderr


def test_the_suite_fails_when_a_handler_does(folder: Path) -> None:
    receiver = folder / "receiver.py"
    receiver.write_text(receiver.read_text().replace('message["from"]', 'message["nothing of this name"]'))
    done = run(folder, "-m", "pytest", "-q", "-p", "no:cacheprovider")
    assert done.returncode == 1
    assert "KeyError: 'nothing of this name'" in done.stdout


def test_the_mounted_receiver_is_made(folder: Path) -> None:
    ast.parse((folder / "application.py").read_text())
    done = run(folder, "-c", "import application; print(type(application.receiver).__name__)")
    assert done.stdout.strip() == "Receiver", done.stderr
