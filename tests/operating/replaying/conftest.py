"""A provider over a database of its own, and a folder for snapshots."""

from __future__ import annotations

from pathlib import Path

import pytest

from kirimhook.operating.files import STATE_VARIABLE
from tests.sender.databases import Databases, make_tables


@pytest.fixture
def databases(tmp_path: Path) -> Databases:
    url = f"sqlite:///{tmp_path / 'sender.db'}"
    make_tables(url)
    return Databases(url)


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path / "state"))
    return tmp_path / "state"
