"""What the tests of sending processes share: `kirimhook sender` started, its API called, and who it delivers to."""

from __future__ import annotations

import asyncio
import hmac
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from prometheus_client.parser import text_string_to_metric_families

from kirimhook.testing.endpoint import Answer, Endpoint, Request
from kirimhook.testing.served import Served
from tests.cli.commands import kirimhook

SOON = 30.0
TYPES = ["contact.created", "contact.updated"]


class Answered(NamedTuple):
    """What the API said."""

    status: int
    document: dict[str, Any]

    @property
    def data(self) -> Any:
        return self.document["data"]


class Sending(Served):
    """`kirimhook sender` on any ports, in a folder; `call` is the API with a key of the organisation acme."""

    def __init__(self, folder: Path, *arguments: str, environment: dict[str, str] | None = None) -> None:
        ports = ("--port", "0", "--admin-port", "0")
        super().__init__(["sender", *ports, *arguments], folder=folder, environment=environment)
        self._key = ""

    @property
    def url(self) -> str:
        return str(self.started()["url"])

    @property
    def database(self) -> str:
        return str(self.started()["database"])

    @property
    def key(self) -> str:
        if not self._key:
            made = kirimhook("sender", "keys", "create", "--org", "acme", "--database", self.database, "--json")
            assert made.code == 0, made.errors
            self._key = made.data["key"]
        return self._key

    def call(self, method: str, path: str, body: Any = None) -> Answered:
        return call(f"{self.url}{path}", self.key, method, body)

    def subscribe(self, url: str, *types: str) -> dict[str, Any]:
        """The subscription, with its initial secret."""
        made = self.call("POST", "/v1/webhook_subscriptions", {"url": url, "events": types or TYPES})
        assert made.status == 201, made
        return dict(made.data)

    def publish(self, *ids: str) -> list[dict[str, Any]]:
        """An event of the type contact.created for each of these ids; the receipts."""
        events = [{"type": "contact.created", "id": one, "data": {"contact": {"id": one}}} for one in ids]
        made = self.call("POST", "/v1/events", {"events": events})
        assert made.status == 202, made
        return list(made.data)

    def ledger(self) -> tuple[int, dict[str, Any]]:
        """Exit code and document."""
        ran = kirimhook("sender", "ledger", "--database", self.database, "--json")
        return ran.code, ran.data

    def admin(self, path: str) -> tuple[int, bytes]:
        try:
            with urllib.request.urlopen(f"{self.started()['admin_url']}{path}", timeout=SOON) as reply:
                return reply.status, reply.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    def status(self) -> dict[str, Any]:
        return dict(json.loads(self.admin("/status")[1]))

    def problems(self) -> list[str]:
        return [problem["code"] for problem in json.loads(self.admin("/readyz")[1])["problems"]]

    def metrics(self) -> dict[str, float]:
        """Totals by name, over all labels."""
        found: dict[str, float] = {}
        for family in text_string_to_metric_families(self.admin("/metrics")[1].decode()):
            for sample in family.samples:
                found[sample.name] = found.get(sample.name, 0) + sample.value
        return found

    @property
    def said(self) -> list[str]:
        """What was written to stderr beside the log."""
        return [line["line"] for line in self.log if line["event"] == "stderr"]


def call(url: str, key: str, method: str = "GET", body: Any = None) -> Answered:
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    sent = None if body is None else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(url, sent, headers, method=method), timeout=SOON) as reply:
            return Answered(reply.status, json.loads(reply.read() or b"{}"))
    except urllib.error.HTTPError as error:
        with error:
            return Answered(error.code, json.loads(error.read()))


class Consumer:
    """An `Endpoint` on a thread of its own, for tests that wait for processes."""

    def __init__(self, endpoint: Endpoint, loop: asyncio.AbstractEventLoop) -> None:
        self._endpoint = endpoint
        self._loop = loop
        self.url = endpoint.url
        self.trusting = ("--ca-bundle", str(endpoint.ca), "--allow-network", "127.0.0.0/8")
        """What a sender needs to be told, to deliver here."""

    def received(self, count: int) -> list[Request]:
        """Wait until so many requests have arrived in all."""
        waiting: Future[list[Request]] = asyncio.run_coroutine_threadsafe(self._endpoint.received(count), self._loop)
        return list(waiting.result(SOON))

    def ids(self, count: int) -> list[str]:
        """Event ids of so many, in the order in which they arrived."""
        return [str(request.header("X-Kirim-Event-Id")) for request in self.received(count)]

    def do(self, change: Callable[[], None]) -> None:
        """On its loop."""
        self._loop.call_soon_threadsafe(change)


@contextmanager
def consumer(*answers: Answer, **options: Any) -> Iterator[Consumer]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def opened() -> Endpoint:
        return await Endpoint(*answers, **options).__aenter__()

    async def closed() -> None:
        await endpoint.__aexit__()
        for transport in list(getattr(loop, "_transports", {}).values()):
            transport.abort()  # closed gently it waits for the other side's farewell, longer than this loop lives
        for _ in range(3):
            await asyncio.sleep(0)

    endpoint = asyncio.run_coroutine_threadsafe(opened(), loop).result(SOON)
    try:
        yield Consumer(endpoint, loop)
    finally:
        asyncio.run_coroutine_threadsafe(closed(), loop).result(SOON)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(SOON)
        loop.close()


def is_signed(request: Request, secret: str) -> bool:
    """By contract section 1 alone: HMAC-SHA256 over timestamp, dot, body, under the whole secret."""
    at, *given = str(request.header("X-Kirim-Signature")).split(",")
    expected = hmac.digest(secret.encode(), at.removeprefix("t=").encode() + b"." + request.body, "sha256").hex()
    return f"v1={expected}" in given
