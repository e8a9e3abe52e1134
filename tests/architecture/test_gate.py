"""The gate's own rules: what is left out is named, and where CI is set nothing may be left out or skipped."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.tree import ROOT

NEEDS = """
import pytest

@pytest.mark.needs("no-such-tool")
def test_with_a_tool(): raise AssertionError("ran without its tool")

def test_without(): pass
"""
SKIPPED = "import pytest\ndef test_it(): pytest.skip('not today')\ndef test_other(): pass\n"
XFAILED = "import pytest\n@pytest.mark.xfail\ndef test_it(): raise AssertionError\ndef test_other(): pass\n"
SKIPPED_MODULE = "import pytest\npytest.importorskip('no_such_module')\ndef test_it(): pass\n"
AWAY = """
import socket

def test_it():
    for go, where in ((socket.create_connection, ("192.0.2.1", 9)), (socket.getaddrinfo, "example.com")):
        try:
            go(where, 1)
        except RuntimeError as error:
            assert "may not leave this machine" in str(error)
        else:
            raise AssertionError("left")
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(("localhost", server.getsockname()[1])).close()
"""


def run(folder: Path, test: str, *, ci: bool) -> subprocess.CompletedProcess[str]:
    """Run one test file under our conftest in a pytest of its own."""
    shutil.copy(ROOT / "tests" / "conftest.py", folder)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers =\n  needs(*tools): programs\n")
    (folder / "test_it.py").write_text(test)
    environment = {name: value for name, value in os.environ.items() if name != "CI"} | ({"CI": "true"} if ci else {})
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder)]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def test_a_missing_tool_is_named_with_the_tests_it_costs(tmp_path: Path) -> None:
    done = run(tmp_path, NEEDS, ci=False)
    assert done.returncode == 0, done.stdout
    assert "left out: no-such-tool is not installed" in done.stdout
    assert "test_it.py::test_with_a_tool" in done.stdout
    assert "1 passed, 1 deselected" in done.stdout


def test_in_ci_a_missing_tool_is_an_error(tmp_path: Path) -> None:
    done = run(tmp_path, NEEDS, ci=True)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "CI must have no-such-tool" in done.stderr


@pytest.mark.parametrize("test", [SKIPPED, XFAILED, SKIPPED + SKIPPED_MODULE], ids=["skip", "xfail", "module"])
def test_in_ci_what_did_not_run_fails_the_run(tmp_path: Path, test: str) -> None:
    done = run(tmp_path, test, ci=True)
    assert done.returncode != 0
    assert "which CI does not accept" in done.stdout


def test_in_ci_a_run_without_such_tests_passes(tmp_path: Path) -> None:
    assert run(tmp_path, "def test_it(): pass\n", ci=True).returncode == 0


def test_no_test_leaves_the_machine(tmp_path: Path) -> None:
    done = run(tmp_path, AWAY, ci=False)
    assert done.returncode == 0, done.stdout


def test_too_little_coverage_fails_the_gate(tmp_path: Path) -> None:
    script = "import kirimhook.contract.signature, kirimhook.receiver.model"
    (tmp_path / "some.py").write_text(script)
    arguments = ["run", "--branch", "--source=kirimhook", "some.py"]
    subprocess.run([sys.executable, "-m", "coverage", *arguments], cwd=tmp_path, timeout=120, check=True)
    gate = [sys.executable, str(ROOT / "tests" / "coverage_gate.py")]
    done = subprocess.run(gate, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert "coverage of contract: " in done.stdout
    assert done.stdout.endswith(" is under 95 %\n")
