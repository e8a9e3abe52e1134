"""Servers that the tests of the command line share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kirimhook.testing.nats import nats_cluster
from kirimhook.testing.postgres import postgres_server
from tests.cli.inboxes import Places


@pytest.fixture(scope="package")
def places() -> Iterator[Places]:
    with postgres_server() as postgres, nats_cluster(1, sync_always=False) as nats:
        yield Places(postgres, nats)
