"""The kit's endpoint does what it is told, as another HTTP client sees it, and says exactly what it was sent."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest

from kirimhook.testing.endpoint import (
    Answer,
    Authority,
    Certificate,
    Door,
    Drip,
    Endpoint,
    Flood,
    GzipBomb,
    Hold,
    Informed,
    Line,
    Raw,
    Redirect,
    Request,
    Reset,
    Respond,
    Truncated,
)
from tests.sender.posting import LOOP_NAMES, LOOPS, run

Loop = Callable[[], asyncio.AbstractEventLoop]
both_loops = pytest.mark.parametrize("loop", LOOPS, ids=LOOP_NAMES)


def client(endpoint: Endpoint) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=endpoint.authority.client_context()))


async def post(session: aiohttp.ClientSession, endpoint: Endpoint, body: bytes = b"{}") -> tuple[int, bytes]:
    async with session.post(endpoint.url, data=body, allow_redirects=False) as reply:
        return reply.status, await reply.read()


@both_loops
def test_answers_come_in_order_and_the_last_one_for_ever(loop: Loop) -> None:
    async def main() -> None:
        answers = (Respond(503), Respond(500, b"no"), Respond(200))
        async with Endpoint(*answers) as endpoint, client(endpoint) as session:
            assert [(await post(session, endpoint))[0] for _ in range(5)] == [503, 500, 200, 200, 200]
            assert (endpoint.connections, len(endpoint.requests)) == (1, 5)

    run(main(), loop)


def test_without_answers_it_says_200() -> None:
    async def main() -> None:
        async with Endpoint() as endpoint, client(endpoint) as session:
            assert await post(session, endpoint) == (200, b"ok")

    run(main())


def test_an_answer_can_be_chosen_by_the_request() -> None:
    def choose(request: Request) -> Answer:
        return Respond(201 if request.body == b"new" else 404)

    async def main() -> None:
        async with Endpoint(choose=choose) as endpoint, client(endpoint) as session:
            assert (await post(session, endpoint, b"new"))[0] == 201
            assert (await post(session, endpoint, b"old"))[0] == 404

    run(main())


def test_a_request_is_recorded_byte_for_byte() -> None:
    sent = b"POST /a?b HTTP/1.1\r\nHost: x\r\nx-ODD:  two words \r\nContent-Length: 3\r\n\r\nabc"

    async def main() -> None:
        async with Endpoint() as endpoint:
            tls = endpoint.authority.client_context()
            reader, writer = await asyncio.open_connection("localhost", endpoint.port, ssl=tls)
            writer.write(sent)
            assert (await reader.readline()) == b"HTTP/1.1 200 OK\r\n"
            writer.transport.abort()
            (request,) = await endpoint.received(1)
        assert request.head + request.body == sent
        assert (request.method, request.target, request.connection) == ("POST", "/a?b", 1)
        assert request.headers == [("Host", "x"), ("x-ODD", "two words"), ("Content-Length", "3")]
        assert (request.header("X-Odd"), request.header("Missing")) == ("two words", None)

    run(main())


@both_loops
def test_ready_made_answers_are_proper_http(loop: Loop) -> None:
    async def main() -> None:
        for answer, expected in (
            (Respond(204), (204, b"")),
            (Respond(chunked=True), (200, b"ok")),
            (Respond(version="1.0"), (200, b"ok")),
            (Respond(close=True), (200, b"ok")),
            (Redirect("https://elsewhere.example/"), (302, b"")),
            (Informed(Respond(201), times=2), (201, b"ok")),
            (Drip(every=0.0), (200, b"ok")),
            (Flood(200_001), (200, b"x" * 200_001)),
            (GzipBomb(100_000), (200, bytes(100_000))),
            (Raw(b"HTTP/1.1 299 Own\r\n\r\nall"), (299, b"all")),
        ):
            async with Endpoint(answer) as endpoint, client(endpoint) as session:
                assert await post(session, endpoint) == expected, answer

    run(main(), loop)


@pytest.mark.parametrize("value", [7, "8", "Wed, 21 Oct 2026 07:28:00 GMT"])
def test_retry_after_in_both_forms(value: str | int) -> None:
    async def main() -> None:
        endpoint = Endpoint(Respond(429, retry_after=value))
        async with endpoint, client(endpoint) as session, session.post(endpoint.url) as reply:
            assert reply.headers["Retry-After"] == str(value)

    run(main())


@both_loops
@pytest.mark.parametrize(
    "answer", [Reset(), Reset(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"), Truncated(), Raw(b"?")], ids=repr
)
def test_broken_answers_break_another_client_too(loop: Loop, answer: Answer) -> None:
    async def main() -> None:
        async with Endpoint(answer) as endpoint, client(endpoint) as session:
            with pytest.raises(aiohttp.ClientError):
                await post(session, endpoint)

    run(main(), loop)


@pytest.mark.parametrize(
    ("certificate", "reason"),
    [
        (Certificate.EXPIRED, "certificate has expired"),
        (Certificate.WRONG_NAME, "Hostname mismatch"),
        (Certificate.SELF_SIGNED, "self-signed certificate"),
        (Certificate.UNTRUSTED, "unable to get local issuer certificate"),
    ],
)
def test_a_bad_certificate_is_bad_for_one_reason(certificate: Certificate, reason: str) -> None:
    async def main() -> None:
        async with Endpoint(certificate=certificate) as endpoint:
            with pytest.raises(ssl.SSLCertVerificationError, match=reason):
                await asyncio.open_connection("localhost", endpoint.port, ssl=endpoint.authority.client_context())

    run(main())


def test_doors() -> None:
    async def main() -> None:
        async with Endpoint(door=Door.SLAMMED) as endpoint:
            reader, writer = await asyncio.open_connection("127.0.0.1", endpoint.port)
            assert await reader.read() == b""
            writer.close()
        async with Endpoint(door=Door.PLAIN) as endpoint:
            reader, writer = await asyncio.open_connection("127.0.0.1", endpoint.port)
            writer.write(b"\x16\x03\x01")
            assert (await reader.readline()) == b"HTTP/1.1 400 Bad Request\r\n"
            writer.close()
        async with Endpoint(door=Door.SILENT) as endpoint:
            reader, writer = await asyncio.open_connection("127.0.0.1", endpoint.port)
            await endpoint.connected(1)
            writer.close()
        async with Endpoint(door=Door.SHUT) as endpoint:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await asyncio.open_connection("127.0.0.1", endpoint.port)
            assert endpoint.connections == 0

    run(main())


@both_loops
def test_an_endpoint_closes_although_a_client_hangs_on_it(loop: Loop) -> None:
    async def main() -> None:
        async with contextlib.AsyncExitStack() as stack:
            async with Endpoint(Hold(asyncio.Event())) as endpoint:
                session = await stack.enter_async_context(client(endpoint))
                task = asyncio.create_task(post(session, endpoint))
                await endpoint.received(1)
            with pytest.raises(aiohttp.ClientError):
                await task

    run(main(), loop)


def test_one_authority_serves_several_endpoints_and_names(tmp_path: Path) -> None:
    async def main() -> None:
        authority = Authority(tmp_path, "one.example", "two.example")
        async with Endpoint(authority=authority) as one, Endpoint(authority=authority) as two:
            assert one.ca == two.ca == tmp_path / "ca.pem"
            assert one.port != two.port
            for endpoint, name in ((one, "one.example"), (two, "two.example")):
                tls = authority.client_context()
                _, writer = await asyncio.open_connection("127.0.0.1", endpoint.port, ssl=tls, server_hostname=name)
                writer.transport.abort()

    run(main())


def test_answers_are_not_held_back_for_company() -> None:
    """TCP_NODELAY on what is accepted: without it each first answer is 40 ms late."""
    seen: list[int] = []

    async def look(line: Line) -> None:
        accepted = line._writer.get_extra_info("socket")
        seen.append(accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        await Respond()(line)

    async def main() -> None:
        async with Endpoint(look) as endpoint, client(endpoint) as session:
            assert (await post(session, endpoint))[0] == 200

    run(main())
    assert seen == [1]
