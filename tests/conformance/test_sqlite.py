"""The SQLite inbox keeps every promise of the port, in a file and in memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from kirimhook.backends import open_inbox
from kirimhook.receiver.inbox import Capabilities, Inbox
from kirimhook.testing.conformance import InboxConformance, Storage


class OneURL(Storage):
    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url

    def inbox(self) -> Inbox:
        return open_inbox(self._url, clock=self.clock)


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
