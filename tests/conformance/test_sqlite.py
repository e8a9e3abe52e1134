"""The SQLite inbox keeps every promise of the port, in a file and in memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from kirimhook.receiver.inbox import Capabilities
from kirimhook.testing.conformance import InboxConformance, Storage
from kirimhook.testing.conformance.machine import check
from tests.conformance.storages import NUMBERS, AtURL, histories


class TestFile(InboxConformance):
    capabilities = Capabilities(transactions=True, durable=True)

    @pytest.fixture
    def storage(self, tmp_path: Path) -> Storage:
        return AtURL(f"sqlite:///{tmp_path}/inbox.db")


class TestMemory(InboxConformance):
    capabilities = Capabilities(transactions=True, durable=False, shared=False)

    @pytest.fixture
    def storage(self) -> Storage:
        return AtURL("sqlite:///:memory:")


def test_in_memory_it_shows_what_the_model_shows() -> None:
    check(lambda: AtURL("sqlite:///:memory:"), histories(80, steps=50))


def test_in_a_file_it_does_through_two_handles(tmp_path: Path) -> None:
    check(lambda: AtURL(f"sqlite:///{tmp_path}/{next(NUMBERS)}.db"), histories(30))
