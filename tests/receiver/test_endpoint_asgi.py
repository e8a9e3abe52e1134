"""The ASGI application: any server, any mount. No body is buffered past its limit, nor all of them past theirs;
what did not arrive whole is not stored; what did is answered. One case table is replayed in several framings.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kirimhook.backends import open_inbox
from kirimhook.receiver.endpoint import Receiver
from kirimhook.receiver.inbox import Filter
from kirimhook.receiver.secrets import Keyring
from kirimhook.settings import ReceiverSettings
from tests.receiver.deliveries import NOW, OTHER, SECRET, Delivery, Log, delivery, envelope

SOON = 20.0

Message = MutableMapping[str, Any]
App = Callable[[Any, Any, Any], Awaitable[None]]


class Reply(NamedTuple):
    status: int
    headers: dict[bytes, bytes]
    body: bytes


def make(
    *, path: str | None = None, settings: ReceiverSettings | None = None, log: Log | None = None, clock: int = NOW
) -> Receiver:
    return Receiver(
        open_inbox("sqlite:///:memory:"),
        Keyring.static(SECRET),
        path=path,
        settings=settings,
        clock=lambda: clock,
        observer=(log or Log()).observer,
    )


def scope_of(made: Delivery, path: str = "/hook") -> Message:
    return {"type": "http", "method": made.method, "path": path, "headers": made.headers, "client": ("192.0.2.1", 1)}


def parts(*bodies: bytes) -> list[Message]:
    last = len(bodies) - 1
    return [{"type": "http.request", "body": body, "more_body": n < last} for n, body in enumerate(bodies)]


async def exchange(app: App, scope: Message, messages: Iterable[Message]) -> Reply | None:
    """What the application wrote, None for nothing. It may not ask for more than there is."""
    coming = iter(messages)
    written: list[Message] = []

    async def receive() -> Message:
        return next(coming)

    async def send(message: Message) -> None:
        written.append(message)

    await asyncio.wait_for(app(scope, receive, send), SOON)
    if not written:
        return None
    start, end = written
    return Reply(start["status"], dict(start["headers"]), end["body"])


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        await asyncio.wait_for(scenario(), SOON)

    asyncio.run(bounded())


def whole(body: bytes) -> list[Message]:
    return parts(body)


def by_byte(body: bytes) -> list[Message]:
    return parts(*(bytes([byte]) for byte in body))


def with_an_empty_end(body: bytes) -> list[Message]:
    return parts(body, b"")


def without_a_body_key(body: bytes) -> list[Message]:
    return [*parts(body, b"")[:1], {"type": "http.request"}]


CASES = [
    (delivery(), 200, b"ok"),
    (delivery(secret=OTHER), 401, b"invalid signature"),
    (delivery(x_kirim_event_id=None), 400, b"missing event id or type"),
    (delivery(b"not json"), 200, b"ok"),
    (delivery(content_type="text/plain"), 415, b"unsupported media type"),
    (delivery()._replace(method="GET"), 405, b"method not allowed"),
]


@pytest.mark.parametrize("framing", [whole, by_byte, with_an_empty_end, without_a_body_key])
@pytest.mark.parametrize("announced", [True, False])
def test_every_framing_gets_the_same_answer(framing: Callable[[bytes], list[Message]], announced: bool) -> None:
    async def scenario() -> None:
        for made, status, text in CASES:
            async with make() as receiver:
                headers = [pair for pair in made.headers if announced or pair[0] != b"content-length"]
                reply = await exchange(receiver, scope_of(made._replace(headers=headers)), framing(made.body))
                assert reply is not None
                assert (reply.status, reply.body) == (status, text)
                assert int(reply.headers[b"content-length"]) == len(text)

    run(scenario)


def test_an_announced_length_over_the_limit_is_refused_unread() -> None:
    async def scenario() -> None:
        async with make(settings=ReceiverSettings(max_body=100)) as receiver:
            reply = await exchange(receiver, scope_of(delivery(b"x", content_length="101")), [])
            assert reply is not None
            assert (reply.status, reply.body) == (413, b"payload too large")

    run(scenario)


def test_a_body_is_read_no_further_than_its_limit() -> None:
    def endless(given_out: list[int]) -> Iterable[Message]:
        while True:
            given_out.append(10)
            yield {"type": "http.request", "body": b"x" * 10, "more_body": True}

    async def scenario() -> None:
        async with make(settings=ReceiverSettings(max_body=100)) as receiver:
            for lie in (None, "5", "x"):
                given_out: list[int] = []
                reply = await exchange(receiver, scope_of(delivery(content_length=lie)), endless(given_out))
                assert reply is not None
                assert reply.status == 413
                assert sum(given_out) == 110
            whole_ = await exchange(receiver, scope_of(delivery(b"x" * 101, content_length=None)), parts(b"x" * 101))
            assert whole_ is not None
            assert whole_.status == 413
            assert receiver.meter.gauges["kirimhook_buffered_bytes"] == 0

    run(scenario)


def test_a_body_of_exactly_the_limit_is_taken() -> None:
    body = envelope(padding="x" * 100)

    async def scenario() -> None:
        async with make(settings=ReceiverSettings(max_body=len(body))) as receiver:
            reply = await exchange(receiver, scope_of(delivery(body)), by_byte(body))
            assert reply is not None
            assert reply.status == 200

    run(scenario)


def test_all_bodies_together_are_bounded_and_a_small_one_still_gets_in() -> None:
    body = envelope(padding="x" * 50_000)

    async def scenario() -> None:
        async with make(settings=ReceiverSettings(max_buffered=65536)) as receiver:
            half, held, gate = len(body) // 2, asyncio.Event(), asyncio.Event()

            async def dripping() -> Message:
                if not held.is_set():
                    held.set()
                    return {"type": "http.request", "body": body[:half], "more_body": True}
                await gate.wait()
                return {"type": "http.request", "body": body[half:], "more_body": False}

            written: list[Message] = []

            async def send(message: Message) -> None:
                written.append(message)

            made = delivery(body)
            slow = asyncio.create_task(receiver(scope_of(made), dripping, send))
            await held.wait()
            second = await exchange(receiver, scope_of(made), parts(body[:half], body[half:]))
            assert second is not None
            assert (second.status, second.body, second.headers[b"retry-after"]) == (503, b"service unavailable", b"5")
            small = await exchange(receiver, scope_of(delivery(x_kirim_event_id="evt_2")), parts(envelope()))
            assert small is not None
            assert small.status == 200
            gate.set()
            await slow
            assert written[0]["status"] == 200
            assert receiver.meter.gauges["kirimhook_buffered_bytes"] == 0

    run(scenario)


@given(st.integers(0, len(envelope()) - 1))
def test_a_client_that_leaves_before_its_body_is_complete_gets_nothing_and_stores_nothing(cut: int) -> None:
    log = Log()

    async def scenario() -> None:
        async with make(log=log) as receiver:
            messages = [*parts(envelope()[:cut], b"")[:1], {"type": "http.disconnect"}]
            assert await exchange(receiver, scope_of(delivery()), messages) is None
            assert await receiver.inbox.count(Filter()) == 0
            assert receiver.meter.gauges["kirimhook_buffered_bytes"] == 0

    run(scenario)
    assert [line["bytes"] for line in log.named("hung_up")] == [cut]


def test_a_client_that_leaves_at_once() -> None:
    async def scenario() -> None:
        async with make() as receiver:
            assert await exchange(receiver, scope_of(delivery()), [{"type": "http.disconnect"}]) is None

    run(scenario)


def test_a_server_that_cancels_its_request_after_the_body_does_not_undo_the_put() -> None:
    async def scenario() -> None:
        async with make() as receiver:
            made = delivery()
            reading = asyncio.Event()

            async def receive() -> Message:
                reading.set()
                return parts(made.body)[0]

            async def send(message: Message) -> None:
                raise AssertionError("nobody is there to be answered")

            request = asyncio.create_task(receiver(scope_of(made), receive, send))
            await reading.wait()
            await asyncio.sleep(0)  # it waits for the commit now
            request.cancel()
            with pytest.raises(asyncio.CancelledError):
                await request
            reply = await exchange(receiver, scope_of(made), parts(made.body))
            assert reply is not None
            assert reply.body == b"duplicate-ack"

    run(scenario)


def test_alone_it_answers_its_path_and_404_elsewhere() -> None:
    async def scenario() -> None:
        async with make(path="/kirim") as receiver:
            for path, status in (("/kirim", 200), ("/kirim/", 404), ("/", 404), ("/kirim/x", 404), ("/KIRIM", 404)):
                reply = await exchange(receiver, scope_of(delivery(), path), parts(envelope()))
                assert reply is not None
                assert reply.status == status, path

    run(scenario)


def test_mounted_it_answers_wherever_it_is() -> None:
    """Under a bare dispatcher, which gives it no lifespan, with and without `root_path`."""

    async def scenario() -> None:
        receiver = make()

        async def outer(scope: Message, receive: Any, send: Any) -> None:
            assert scope["path"].startswith("/hooks/")
            await receiver({**scope, "root_path": "/hooks"}, receive, send)

        early = await exchange(outer, scope_of(delivery(), "/hooks/kirim"), parts(envelope()))
        assert early is not None
        assert early.status == 503
        async with receiver:
            for path in ("/hooks/kirim", "/hooks/", "/hooks/a/b"):
                reply = await exchange(outer, scope_of(delivery(), path), parts(envelope()))
                assert reply is not None
                assert reply.status == 200

    run(scenario)


def test_the_lifespan_starts_and_stops_it() -> None:
    async def scenario() -> None:
        receiver = make()
        events: asyncio.Queue[Message] = asyncio.Queue()
        told: asyncio.Queue[Message] = asyncio.Queue()
        life = asyncio.create_task(receiver({"type": "lifespan"}, events.get, told.put))
        await events.put({"type": "lifespan.startup"})
        assert await told.get() == {"type": "lifespan.startup.complete"}
        reply = await exchange(receiver, scope_of(delivery()), parts(envelope()))
        assert reply is not None
        assert reply.status == 200
        await events.put({"type": "lifespan.shutdown"})
        assert await told.get() == {"type": "lifespan.shutdown.complete"}
        await life
        stopped = await exchange(receiver, scope_of(delivery()), parts(envelope()))
        assert stopped is not None
        assert stopped.status == 503

    run(scenario)


def test_a_lifespan_that_cannot_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file where a folder should be")

    async def scenario() -> None:
        receiver = Receiver(open_inbox(f"sqlite:///{tmp_path}/taken/inbox.db"), Keyring.static(SECRET))
        told: list[Message] = []

        async def receive() -> Message:
            return {"type": "lifespan.startup"}

        async def send(message: Message) -> None:
            told.append(message)

        await receiver({"type": "lifespan"}, receive, send)
        [failed] = told
        assert failed["type"] == "lifespan.startup.failed"
        assert "InboxUnavailable" in failed["message"]

    run(scenario)


def test_a_websocket_is_closed_unaccepted_and_other_scopes_are_an_error() -> None:
    async def scenario() -> None:
        told: list[Message] = []

        async def receive() -> Message:
            return {"type": "websocket.connect"}

        async def send(message: Message) -> None:
            told.append(message)

        receiver = make()
        await receiver({"type": "websocket"}, receive, send)
        assert [message["type"] for message in told] == ["websocket.close"]
        with pytest.raises(ValueError, match="scope"):
            await receiver({"type": "mqtt"}, receive, send)

    run(scenario)


def test_refusals_name_the_client_in_the_log_and_acks_are_timed() -> None:
    log = Log()

    async def scenario() -> None:
        async with make(log=log) as receiver:
            for made in (delivery(), delivery(secret=OTHER)):
                await exchange(receiver, scope_of(made), parts(made.body))
            snapshot = receiver.meter.snapshot()
            assert snapshot["counters"]["kirimhook_requests_total"] == {"fresh": 1, "no_match": 1}
            assert snapshot["counters"]["kirimhook_received_bytes_total"] == {"": len(envelope())}
            assert sum(snapshot["histograms"]["kirimhook_ack_seconds"]["counts"]) == 1

    run(scenario)
    [line] = log.named("refused")
    assert line["client"] == "192.0.2.1:1"
