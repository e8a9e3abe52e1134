"""One test for both clients: what it asks is asked of the sync one or of the async one, and answered alike."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from kirimhook.client import AsyncKirim, AsyncListing, Kirim, Listing
from kirimhook.testing.endpoint import Answer, Request
from tests.serving.senders import Consumer, consumer

Ask = Callable[[Callable[[Any], Any]], Any]
"""Takes what to do with a client (`lambda kirim: kirim.webhook_subscriptions.get(…)`); its result, lists as lists."""

KEY = "kdv_live_0123456789abcdefghijklmn"
BOTH = pytest.mark.parametrize("kind", ["sync", "async"])


@contextmanager
def asking(kind: str, url: str, key: str = KEY, **options: Any) -> Iterator[Ask]:
    if kind == "sync":
        with Kirim(key, base_url=url, **options) as kirim:
            yield lambda work: _listed(work(kirim))
        return
    with asyncio.Runner() as runner:
        kirim_async = AsyncKirim(key, base_url=url, **options)
        yield lambda work: runner.run(_awaited(work, kirim_async))
        runner.run(kirim_async.aclose())


@contextmanager
def answering(*answers: Answer, **options: Any) -> Iterator[Server]:
    """An HTTPS server that gives these answers in turn, the last one for ever."""
    with consumer(*answers, **options) as endpoint:
        yield Server(endpoint)


class Server:
    """Where it is, whom to trust, and what it was asked."""

    def __init__(self, endpoint: Consumer) -> None:
        self._endpoint = endpoint
        self.url = endpoint.url.removesuffix("/hook")
        self.trust = trusting(Path(endpoint.trusting[1]))

    def requests(self, count: int) -> list[Request]:
        """All of them, once there were so many."""
        return self._endpoint.received(count)


def trusting(ca: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(ca))


def _listed(result: Any) -> Any:
    return list(result) if isinstance(result, (Listing, Iterator)) else result


async def _awaited(work: Callable[[Any], Any], kirim: AsyncKirim) -> Any:
    result = work(kirim)
    if isinstance(result, AsyncListing) or hasattr(result, "__anext__"):
        return [item async for item in result]
    return await result
