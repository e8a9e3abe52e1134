"""What the tests of reconciling share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.operating.reconciling.stand import Stand, standing


@pytest.fixture
def stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stand]:
    with standing(tmp_path) as here:
        for name, value in here.environment.items():
            monkeypatch.setenv(name, value)
        yield here
