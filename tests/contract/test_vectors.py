"""What the vectors expect of cryptography is what openssl says, not what our own code says."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.contract.table import VECTORS


def check(directory: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(VECTORS / "regenerate.py"), "--check", str(directory)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.needs("openssl")
def test_openssl_computes_the_committed_vectors() -> None:
    done = check(VECTORS)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "5 files computed with openssl; different: none\n"


@pytest.mark.needs("openssl")
@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("signatures.json", '"header": "t=1779530400,v1='),
        ("tolerance.json", '"header": "t=1779530400,v1='),
        ("signing.json", '"header": "t=1779530400,v1='),
        ("identities.json", '"dedupe_key": "'),
        ("readings.json", '"ordering_key": "sha256:'),
    ],
)
def test_one_wrong_digit_is_found(tmp_path: Path, name: str, field: str) -> None:
    shutil.copytree(VECTORS, tmp_path, dirs_exist_ok=True)
    text = (tmp_path / name).read_text("utf-8")
    place = text.index(field) + len(field)
    wrong = "0" if text[place] != "0" else "1"
    (tmp_path / name).write_text(text[:place] + wrong + text[place + 1 :], "utf-8")
    done = check(tmp_path)
    assert (done.returncode, done.stdout) == (1, f"5 files computed with openssl; different: {name}\n")
