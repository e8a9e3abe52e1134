"""One attempt sends contract section 2's bytes and nothing else, and notes exactly what came back."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import pytest

from kirimhook.sender.transport import Exchange, Transport
from kirimhook.sender.transport.wire import Wire
from kirimhook.settings import SettingsError
from kirimhook.testing.endpoint import (
    Answer,
    Endpoint,
    GzipBomb,
    Hang,
    Hold,
    Informed,
    Line,
    Raw,
    Redirect,
    Request,
    Respond,
)
from tests.sender.posting import BODY, HEADERS, LOOP_NAMES, LOOPS, SECRET, opened, posted, run, settings

Loop = Callable[[], asyncio.AbstractEventLoop]
both_loops = pytest.mark.parametrize("loop", LOOPS, ids=LOOP_NAMES)


async def answered(*answers: Answer, times: int = 1) -> tuple[list[Exchange], Endpoint]:
    """So many posts, one after another, of one transport."""
    async with Endpoint(*answers) as endpoint, opened(endpoint) as transport:
        return [await transport.post(endpoint.url, HEADERS, BODY) for _ in range(times)], endpoint


@both_loops
def test_the_bytes_on_the_wire_are_the_contracts_and_nothing_else(loop: Loop) -> None:
    async def main() -> None:
        async with Endpoint() as endpoint, opened(endpoint) as transport:
            await transport.post(endpoint.url_of("localhost", "/a/b?c=d"), HEADERS, BODY)
            assert endpoint.requests[0].head == (
                b"POST /a/b?c=d HTTP/1.1\r\n"
                b"Host: localhost:%d\r\n"
                b"Content-Type: application/json\r\n"
                b"User-Agent: Kirim-Webhook/1.0\r\n"
                b"X-Kirim-Source: meta\r\n"
                b"X-Kirim-Event: message.received\r\n"
                b"X-Kirim-Event-Id: wamid.HBgN\r\n"
                b"X-Kirim-Delivery-Id: wbd_01JZ0000000000000000000000\r\n"
                b"X-Kirim-Attempt: 1\r\n"
                b"X-Kirim-Signature: t=1779530400,v1=%b0\r\n"
                b"Content-Length: 38\r\n\r\n"
            ) % (endpoint.port, SECRET.encode())
            assert endpoint.requests[0].body == BODY

    run(main(), loop)


@both_loops
@pytest.mark.parametrize("size", [0, 1, 65_536, 65_537, 4 * 1024 * 1024])
def test_a_body_arrives_whole_and_its_length_is_right(loop: Loop, size: int) -> None:
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)

    async def main() -> None:
        async with Endpoint() as endpoint, opened(endpoint) as transport:
            for _ in range(2):
                assert (await transport.post(endpoint.url, HEADERS, body)).status == 200
            assert [request.header("Content-Length") for request in endpoint.requests] == [str(size)] * 2
            assert all(request.body == body for request in endpoint.requests)

    run(main(), loop)


@pytest.mark.parametrize(
    "status", [200, 201, 202, 204, 299, 301, 304, 307, 400, 404, 408, 410, 418, 429, 500, 503, 599]
)
def test_any_status_is_noted_as_it_came(status: int) -> None:
    (exchange,), _ = run(answered(Respond(status)))
    assert (exchange.status, exchange.error) == (status, None)
    assert exchange.body == (b"" if status in {204, 304} else b"ok")


@pytest.mark.parametrize("value", ["120", "0", "Wed, 21 Oct 2026 07:28:00 GMT", "nonsense", "-1"])
def test_retry_after_is_noted_as_it_came(value: str) -> None:
    (exchange,), _ = run(answered(Respond(503, retry_after=value)))
    assert exchange.retry_after == value
    assert exchange.headers["Retry-After"] == value


def test_without_retry_after_there_is_none() -> None:
    (exchange,), _ = run(answered(Respond(503)))
    assert exchange.retry_after is None


def test_headers_are_noted_as_they_came_and_repeated_ones_joined() -> None:
    sent = (("X-One", "1"), ("x-one", "2"), ("X-Latin", "gr\u00fc\u00dfe"), ("X-Empty", ""), ("retry-after", "7"))
    (exchange,), _ = run(answered(Respond(headers=sent)))
    assert exchange.headers == {
        "X-One": "1, 2",
        "X-Latin": "gr\u00fc\u00dfe",
        "X-Empty": "",
        "retry-after": "7",
        "Content-Length": "2",
    }
    assert exchange.retry_after == "7"


def test_noted_headers_can_be_stored_whatever_was_sent() -> None:
    (exchange,), _ = run(answered(Raw(b"HTTP/1.1 200 OK\r\nX-Odd: \xff\xfe\x80\r\nContent-Length: 0\r\n\r\n")))
    assert exchange.status == 200
    assert json.loads(json.dumps(exchange.headers).encode()) == exchange.headers
    assert exchange.headers["X-Odd"].encode("utf-8")


@pytest.mark.parametrize(
    "sent",
    [
        tuple((f"X-{number}", "v") for number in range(100)),
        tuple((f"X-{number}", "v" * 4000) for number in range(12)),
        (("X-Long", "v" * 8000),),
    ],
    ids=["many", "many and long", "long"],
)
def test_noted_headers_are_bounded(sent: tuple[tuple[str, str], ...]) -> None:
    (exchange,), _ = run(answered(Respond(headers=sent)))
    assert exchange.status == 200
    assert len(exchange.headers) <= 64
    assert sum(len(name) + len(value) for name, value in exchange.headers.items()) <= 8192
    assert max(map(len, exchange.headers.values())) <= 1024


@both_loops
def test_every_way_to_say_how_long_a_body_is(loop: Loop) -> None:
    async def main() -> None:
        for answer, body in (
            (Respond(body=b"known"), b"known"),
            (Respond(body=b"chunked", chunked=True), b"chunked"),
            (Respond(body=b"", chunked=True), b""),
            (Respond(body=b"closed", close=True), b"closed"),
            (Respond(body=b"old", version="1.0"), b"old"),
            (Raw(b"HTTP/1.1 200 OK\r\n\r\nuntil the end"), b"until the end"),
            (Raw(b"HTTP/1.0 200 OK\r\n\r\nold, until the end"), b"old, until the end"),
            (Raw(b"HTTP/1.1 200\r\nContent-Length: 1\r\n\r\n1"), b"1"),
        ):
            async with Endpoint(answer) as endpoint:
                exchange = await posted(endpoint)
                assert (exchange.status, exchange.body, exchange.error) == (200, body, None), answer

    run(main(), loop)


@both_loops
def test_interim_answers_are_passed_over(loop: Loop) -> None:
    async def main() -> None:
        async with Endpoint(Informed(Respond(201), times=3)) as endpoint, opened(endpoint) as transport:
            for _ in range(2):
                assert (await transport.post(endpoint.url, HEADERS, BODY)).status == 201
            assert endpoint.connections == 1

    run(main(), loop)


def test_nothing_is_decompressed() -> None:
    packed = gzip.compress(b"ok")
    (exchange,), _ = run(answered(Respond(body=packed, headers=(("Content-Encoding", "gzip"),))))
    assert exchange.body == packed
    (bomb,), _ = run(answered(GzipBomb()))
    assert (bomb.status, len(bomb.body)) == (200, 4096)


def test_no_cookie_comes_back() -> None:
    exchanges, endpoint = run(answered(Respond(headers=(("Set-Cookie", "id=1; Path=/; Secure"),)), times=3))
    assert [exchange.status for exchange in exchanges] == [200] * 3
    assert [request.header("Cookie") for request in endpoint.requests] == [None] * 3


@both_loops
def test_a_connection_is_kept_and_used_again(loop: Loop) -> None:
    async def main() -> None:
        answers = (Respond(500), Respond(204), Respond(chunked=True), Redirect("https://x.example"), Respond())
        async with Endpoint(*answers) as endpoint, opened(endpoint) as transport:
            exchanges = [await transport.post(endpoint.url, HEADERS, BODY) for _ in range(40)]
            assert (endpoint.connections, len(endpoint.requests)) == (1, 40)
        first, *others = exchanges
        assert None not in (first.timing.dns, first.timing.connect, first.timing.tls)
        for exchange in others:
            assert (exchange.timing.dns, exchange.timing.connect, exchange.timing.tls) == (None, None, None)
            assert exchange.address == first.address == "127.0.0.1"
            assert exchange.timing.first_byte is not None

    run(main(), loop)


@both_loops
@pytest.mark.parametrize(
    "answer",
    [
        Respond(close=True),
        Respond(version="1.0"),
        Respond(body=b"x" * 1_000_000),
        Respond(101),
        Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 201 No\r\nContent-Length: 0\r\n\r\n", close=False),
        Raw(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", close=False),
    ],
    ids=["close", "HTTP/1.0", "longer than is read", "101", "another answer", "close, yet left open"],
)  # fmt: skip
def test_a_connection_that_is_not_clean_is_not_used_again(loop: Loop, answer: Answer) -> None:
    async def main() -> None:
        async with Endpoint(answer) as endpoint, opened(endpoint) as transport:
            statuses = [(await transport.post(endpoint.url, HEADERS, BODY)).status for _ in range(3)]
            assert statuses in ([200] * 3, [101] * 3)
            assert endpoint.connections == 3

    run(main(), loop)


@both_loops
def test_what_arrives_unasked_on_an_idle_connection_answers_nothing(loop: Loop) -> None:
    """An endpoint that sends a 200 ahead of time does not thereby receive the next delivery."""

    async def main() -> None:
        sent = asyncio.Event()

        async def ahead(line: Line) -> None:
            await Respond(500)(line)
            await unasked.wait()
            await line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            sent.set()

        unasked = asyncio.Event()
        async with Endpoint(ahead, Respond(503)) as endpoint, opened(endpoint) as transport:
            assert (await transport.post(endpoint.url, HEADERS, BODY)).status == 500
            unasked.set()
            await sent.wait()
            await _until(lambda wire: wire.should_close, transport)
            assert (await transport.post(endpoint.url, HEADERS, BODY)).status == 503
            assert endpoint.connections == 2

    run(main(), loop)


async def _until(holds: Callable[[Wire], bool], transport: Transport) -> None:
    """Until the loop has seen to what has come to the idle connection."""
    dialler = transport._dialler
    assert dialler is not None
    for wires in dialler._conns.values():
        for wire, _ in wires:
            while not holds(cast(Wire, wire)):  # noqa: ASYNC110  # nothing tells of it: the connection is idle
                await asyncio.sleep(0)


@both_loops
def test_a_connection_that_was_closed_while_idle_costs_no_attempt(loop: Loop) -> None:
    async def main() -> None:
        gone = asyncio.Event()

        async def farewell(line: Line) -> None:
            await Respond()(line)
            line.hang_up()
            gone.set()

        async with Endpoint(farewell) as endpoint, opened(endpoint) as transport:
            for attempt in range(1, 4):
                assert (await transport.post(endpoint.url, HEADERS, BODY)).status == 200
                await gone.wait()
                await _until(lambda wire: not wire.is_connected(), transport)
                assert endpoint.connections == attempt

    run(main(), loop)


@both_loops
def test_an_early_answer_to_a_large_body_does_not_spoil_the_next_request(loop: Loop) -> None:
    """413 before the body was read: the answer counts, the connection does not."""
    body = b"x" * 20_000_000

    async def too_large(line: Line) -> None:
        await Respond(413, b"")(line)
        await line.until_gone()

    async def main() -> None:
        async with Endpoint(too_large, reads_bodies=False) as endpoint, opened(endpoint) as transport:
            for _ in range(2):
                exchange = await transport.post(endpoint.url, HEADERS, body)
                assert (exchange.status, exchange.error) == (413, None)
            assert endpoint.connections == 2

    run(main(), loop)


@both_loops
def test_many_at_once_each_get_their_own_answer(loop: Loop) -> None:
    def echo(request: Request) -> Answer:
        return Respond(body=request.body)

    async def main() -> None:
        async with Endpoint(choose=echo) as endpoint, opened(endpoint) as transport:
            bodies = [b"%d" % number for number in range(300)]
            for _ in range(2):
                exchanges = await asyncio.gather(*(transport.post(endpoint.url, HEADERS, body) for body in bodies))
                assert [exchange.body for exchange in exchanges] == bodies
            assert endpoint.connections <= 300
            assert transport._dialler is not None
            assert not transport._dialler._acquired

    run(main(), loop)


@both_loops
def test_cancelling_an_attempt_closes_its_connection(loop: Loop) -> None:
    async def main() -> None:
        gone = asyncio.Event()

        async def wait(line: Line) -> None:
            await line.until_gone()
            gone.set()

        async with Endpoint(wait) as endpoint, opened(endpoint) as transport:
            task = asyncio.create_task(transport.post(endpoint.url, HEADERS, BODY))
            await endpoint.received(1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await gone.wait()
            assert transport._dialler is not None
            assert not transport._dialler._acquired

    run(main(), loop)


def test_closing_breaks_off_what_is_under_way() -> None:
    async def main() -> None:
        async with Endpoint(Hang()) as endpoint, opened(endpoint) as transport:
            task = asyncio.create_task(transport.post(endpoint.url, HEADERS, BODY))
            await endpoint.received(1)
            await transport.close()
            exchange = await task
            assert exchange.status is None
            assert exchange.error is not None
            with pytest.raises(RuntimeError, match="not open"):
                await transport.post(endpoint.url, HEADERS, BODY)
            await transport.close()

    run(main())


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("http://example.com/", "the URL must start with https://"),
        ("https://example.com:0/", "the URL must have a port from 1 to 65535"),
        ("", "the URL must start with https://"),
        ("https://user:pass@example.com/", "the URL must not hold credentials"),
    ],
)
def test_a_bad_url_is_a_failed_attempt(url: str, error: str) -> None:
    async def main() -> Exchange:
        async with opened() as transport:
            return await transport.post(url, HEADERS, BODY)

    exchange = run(main())
    assert (exchange.status, exchange.address, exchange.error) == (None, None, error)


@pytest.mark.parametrize("value", ["a\r\nX-Injected: 1", "a\nb", "a\rb", "\u20ac"])
def test_a_header_that_cannot_be_sent_is_not_sent(value: str) -> None:
    async def main() -> None:
        async with Endpoint() as endpoint, opened(endpoint) as transport:
            exchange = await transport.post(endpoint.url, {"X-Kirim-Event-Id": value}, BODY)
            assert exchange.status is None
            assert exchange.error is not None
            assert endpoint.connections == 0

    run(main())


def test_a_name_without_an_address_is_told_as_such() -> None:
    async def unknown(_: str) -> Sequence[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    async def main() -> None:
        async with Endpoint() as endpoint:
            exchange = await posted(endpoint, unknown)
            assert exchange.error == "dns: name or service not known"
            assert exchange.address is None

    run(main())


def test_nobody_listening_is_told_with_the_address_that_was_dialled() -> None:
    async def main() -> None:
        async with Endpoint() as endpoint:
            url = endpoint.url_of("127.0.0.3")
            async with opened(endpoint) as transport:
                exchange = await transport.post(url, HEADERS, BODY)
            assert (exchange.error, exchange.address) == ("connection refused", "127.0.0.3")

    run(main())


def test_moments_are_the_injected_clocks_and_durations_are_real() -> None:
    async def main() -> None:
        release = asyncio.Event()
        endpoint = Endpoint(Hold(release))
        async with endpoint, Transport(settings(endpoint), clock=lambda: 1_779_530_400.25) as transport:
            began = time.perf_counter()
            task = asyncio.create_task(transport.post(endpoint.url, HEADERS, BODY))
            await endpoint.received(1)
            asyncio.get_running_loop().call_later(0.03, release.set)
            exchange = await task
            spent = (time.perf_counter() - began) * 1000
        assert exchange.started_at == 1_779_530_400.25
        assert 29 <= exchange.duration_ms <= spent
        parts = (exchange.timing.dns, exchange.timing.connect, exchange.timing.tls, exchange.timing.first_byte)
        assert all(part is not None and part >= 0 for part in parts)
        assert sum(part or 0.0 for part in parts) <= exchange.duration_ms

    run(main())


@pytest.mark.parametrize("content", [None, b"", b"not a certificate"])
def test_a_ca_bundle_that_cannot_be_used_is_named_when_the_transport_is_opened(
    tmp_path: Path, content: bytes | None
) -> None:
    bundle = tmp_path / "ca.pem"
    if content is not None:
        bundle.write_bytes(content)

    async def main() -> None:
        with pytest.raises(SettingsError, match="ca_bundle") as refused:
            await Transport(settings(ca_bundle=str(bundle))).open()
        assert refused.value.key == "ca_bundle"

    run(main())
