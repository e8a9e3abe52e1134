"""The SQLite inbox keeps every promise of the port, in a file and in memory."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

from kirimhook.backends import open_inbox
from kirimhook.receiver.inbox import Capabilities, Inbox
from kirimhook.testing.conformance import InboxConformance, Storage
from kirimhook.testing.conformance.machine import check


class OneURL(Storage):
    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url

    def inbox(self, **bounds: int) -> Inbox:
        return open_inbox(self._url, clock=self.clock, **bounds)


class TestFile(InboxConformance):
    capabilities = Capabilities(transactions=True, durable=True)

    @pytest.fixture
    def storage(self, tmp_path: Path) -> Storage:
        return OneURL(f"sqlite:///{tmp_path}/inbox.db")


class TestMemory(InboxConformance):
    capabilities = Capabilities(transactions=True, durable=False, shared=False)

    @pytest.fixture
    def storage(self) -> Storage:
        return OneURL("sqlite:///:memory:")


def test_in_memory_it_shows_what_the_model_shows() -> None:
    check(lambda: OneURL("sqlite:///:memory:"), settings(max_examples=100, stateful_step_count=50, deadline=None))


def test_in_a_file_too_through_two_handles(tmp_path: Path) -> None:
    files = iter(range(10**9))
    check(
        lambda: OneURL(f"sqlite:///{tmp_path}/{next(files)}.db"),
        settings(max_examples=20, stateful_step_count=50, deadline=None),
    )
