"""The API in this process, over a real database: called as a server calls it, every answer held to its document."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any, NamedTuple

import jsonschema_rs
from fastapi import FastAPI

from kirimhook.contract.errors import ApiError
from kirimhook.observe import Meter, Observer
from kirimhook.sender.api import create_app
from kirimhook.sender.sealing import Sealer
from kirimhook.sender.service import NewKey, Sender
from kirimhook.serving.limits import Limits
from kirimhook.serving.server import bind, make_config
from kirimhook.settings import SenderSettings
from kirimhook.testing.clock import Clock
from tests.sender.databases import Databases
from tests.serving.running import Announced

MASTER_KEY = Sealer.new_key()
REQUEST_ID = re.compile(r"req_[0-9A-HJKMNP-TV-Z]{26}")
NOW = 1_800_000_000.0
URL = "https://receiver.example.com/hook"
LIMITS = Limits(url=64 * 1024, head=128 * 1024)
"""Wide, so that the application, not its server, judges what is too long."""
TYPES = ["contact.created", "contact.updated"]


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def data(self) -> Any:
        return self.json["data"]

    @property
    def error(self) -> dict[str, Any]:
        return dict(self.json["error"])

    @property
    def code(self) -> str | None:
        return str(self.error["code"]) if self.status >= 400 else None


class Document:
    """The OpenAPI document, read by a validator that is not ours."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self._paths = {re.compile(re.sub(r"\{\w+\}", "[^/]+", path) + "$"): path for path in document["paths"]}
        self._validators: dict[str, Any] = {}

    def operation(self, method: str, path: str) -> dict[str, Any] | None:
        """The operation that a request is; a path without parameters goes first."""
        found = sorted((known for expression, known in self._paths.items() if expression.match(path)), key=len)
        exact = [known for known in found if known == path] or found
        operation = self.document["paths"][exact[0]].get(method.lower()) if exact else None
        return dict(operation) if operation else None

    def check(self, method: str, path: str, answer: Answer) -> None:
        """Fail unless the document has this answer for this call."""
        operation = self.operation(method, path)
        if operation is None:
            assert answer.status in (404, 405), (method, path, answer.status)
            self.check_schema({"$ref": "#/components/schemas/Error"}, answer.json)
            return
        assert str(answer.status) in operation["responses"], (method, path, answer)
        described = operation["responses"][str(answer.status)]
        for name, header in described["headers"].items():
            whole = self.document["components"]["headers"][header["$ref"].rpartition("/")[2]]
            assert name.lower() in answer.headers or not whole.get("required"), (name, answer)
        if "content" not in described:
            assert answer.body == b""
            return
        assert answer.headers["content-type"] == "application/json"
        content = described["content"]["application/json"]
        self.check_schema(content["schema"], answer.json)
        if answer.status >= 400:
            assert answer.code in content["examples"], (method, path, answer.code, "is not documented")

    def check_schema(self, schema: dict[str, Any], value: Any) -> None:
        key = json.dumps(schema)
        if key not in self._validators:
            whole = {**schema, "components": self.document["components"]}
            self._validators[key] = jsonschema_rs.Draft202012Validator(whole, validate_formats=True)
        self._validators[key].validate(value)


class Api:
    """Calls `app` with the key of one organisation, unless told otherwise."""

    def __init__(self, app: FastAPI, sender: Sender, document: Document, key: str) -> None:
        self.app = app
        self.sender = sender
        self.document = document
        self.key = key

    def with_key(self, key: str) -> Api:
        return Api(self.app, self.sender, self.document, key)

    async def call(  # what a request is made of
        self,
        method: str,
        path: str,
        value: Any = None,
        *,
        body: bytes | Iterable[bytes] | None = None,
        headers: Mapping[str, str | None] | None = None,
        query: str = "",
    ) -> Answer:
        """One request to `/v1` and `path`, with `value` as JSON or `body` as it is. A header of None is left out."""
        sent = json.dumps(value).encode() if value is not None else body
        parts = [sent] if isinstance(sent, bytes) else list(sent or ())
        given: dict[str, str | None] = {"authorization": f"Bearer {self.key}"}
        if parts:
            given["content-type"] = "application/json"
        if isinstance(sent, bytes):
            given["content-length"] = str(len(sent))
        given.update(headers or {})
        pairs = [(name.lower().encode(), text.encode("latin-1")) for name, text in given.items() if text is not None]
        answer = await self.send(method, "/v1" + path, pairs, parts, query)
        self.document.check(method, "/v1" + path, answer)
        return answer

    async def send(
        self, method: str, path: str, headers: list[tuple[bytes, bytes]], parts: list[bytes], query: str = ""
    ) -> Answer:
        """As an ASGI server would. Every answer has an id, in header and body."""
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": headers,
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        }
        messages: list[Any] = [
            {"type": "http.request", "body": part, "more_body": number < len(parts)}
            for number, part in enumerate(parts, 1)
        ] or [{"type": "http.request", "body": b"", "more_body": False}]
        sent: list[Any] = []

        async def receive() -> Any:
            return messages.pop(0) if messages else {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        answer = _answer(sent)
        _check_request_id(answer)
        return answer


def _answer(sent: list[Any]) -> Answer:
    start, *rest = sent
    headers = [(name.decode(), value.decode()) for name, value in start["headers"]]
    names = [name for name, _ in headers]
    assert len(set(names)) == len(names), names
    assert all(name == name.lower() for name in names)
    body = b"".join(message.get("body", b"") for message in rest)
    if start["status"] != 204:
        assert dict(headers)["content-length"] == str(len(body))
    return Answer(start["status"], dict(headers), body)


def _check_request_id(answer: Answer) -> None:
    shown = answer.headers["x-request-id"]
    assert REQUEST_ID.fullmatch(shown)
    if answer.status >= 400:
        assert answer.error["request_id"] == shown
    elif answer.body and "idempotent-replayed" not in answer.headers and b'"openapi":' not in answer.body[:64]:
        assert answer.json["request_id"] == shown


class World(NamedTuple):
    """The API, the clock it runs by, and what it is seen by."""

    api: Api
    clock: Clock
    sender: Sender
    meter: Meter
    key: NewKey
    name: str = "acme"

    async def another(self, name: str) -> World:
        """The same API, as another organisation sees it."""
        key = await self.sender.create_organisation_key(name)
        return self._replace(api=self.api.with_key(key.key.reveal()), key=key, name=name)


@contextlib.asynccontextmanager
async def world(databases: Databases, **settings: Any) -> AsyncIterator[World]:
    """An API over an empty database, with one organisation, `acme`. Any https URL is good."""
    chosen = SenderSettings(**settings)
    clock, meter = Clock(NOW), Meter()
    async with databases.opened() as database:
        sender = Sender(database, chosen, Sealer([MASTER_KEY]), clock=clock, check_url=https_only)
        app = create_app(sender, chosen, meter=meter, observer=Observer(), clock=clock)
        key = await sender.create_organisation_key("acme")
        api = Api(app, sender, Document(app.openapi()), key.key.reveal())
        yield World(api, clock, sender, meter, key)


@contextlib.asynccontextmanager
async def listening(app: FastAPI) -> AsyncIterator[str]:
    """The URL of the server that we ship, on loopback, in this event loop."""
    server = Announced(make_config(app, limits=LIMITS))
    serving = asyncio.create_task(server.serve([bind("127.0.0.1", 0)]))
    try:
        await asyncio.to_thread(server.settled.wait)
        host, port = server.addresses[0]
        yield f"http://{host}:{port}"
    finally:
        server.should_exit = True
        await serving


async def https_only(url: str) -> None:
    """What creation asks of a URL here: nothing that would need a resolver."""
    if not url.startswith("https://") or len(url) > 2048 or not url.isprintable():
        raise ApiError("invalid_webhook_url", "the URL must be https", param="url")


async def subscribe(api: Api, *types: str, url: str = URL) -> dict[str, Any]:
    """A subscription, as it was answered when it was created."""
    answer = await api.call("POST", "/webhook_subscriptions", {"url": url, "events": list(types or TYPES)})
    assert answer.status == 201, answer
    return dict(answer.data)


async def publish(api: Api, number: int = 1, event_type: str = "contact.created") -> list[dict[str, Any]]:
    """So many events, and their receipts."""
    events = [{"type": event_type, "data": {"contact": {"id": f"con_{place}"}}} for place in range(number)]
    answer = await api.call("POST", "/events", {"events": events})
    assert answer.status == 202, answer
    return list(answer.data)


async def deliveries(api: Api, query: str = "limit=100") -> list[dict[str, Any]]:
    answer = await api.call("GET", "/webhook_deliveries", query=query)
    assert answer.status == 200, answer
    return list(answer.data)
