"""An attempt ends in time, whatever is slow, and takes no more memory, whatever is sent. It never raises."""

from __future__ import annotations

import asyncio
import time
import tracemalloc
from collections.abc import Callable, Sequence

import pytest

from kirimhook.sender.transport import Resolver
from kirimhook.testing.endpoint import (
    Answer,
    Door,
    Drip,
    Endless,
    EndlessHead,
    Endpoint,
    Flood,
    Hang,
    Hurl,
    Informed,
    Line,
    Raw,
    Request,
    Reset,
    Respond,
    Truncated,
)
from tests.sender.posting import BODY, HEADERS, LOOP_NAMES, LOOPS, SECRET, opened, posted, run

Loop = Callable[[], asyncio.AbstractEventLoop]
both_loops = pytest.mark.parametrize("loop", LOOPS, ids=LOOP_NAMES)

SECONDS = 0.25
PATIENCE = 5.0
"""Seconds: a busy machine may be late, but an attempt that does not end is later."""
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"

SLOW_ANSWERS: dict[str, tuple[Answer, str]] = {
    "hangs before headers": (Hang(), "waiting for the answer"),
    "hangs in the first line": (Hang(b"HTTP/1.1 2"), "waiting for the answer"),
    "hangs in the headers": (Hang(b"HTTP/1.1 200 OK\r\nX-One: 1\r\n"), "waiting for the answer"),
    "drips headers": (Drip(b"HTTP/1.1 200 OK\r\n", b"X-One: 1\r\n" * 1000), "waiting for the answer"),
    "interim answers for ever": (Drip(b"HTTP/1.1 ", b"102 Processing\r\n\r\nHTTP/1.1 " * 99), "waiting for the answer"),
    "hangs in the body": (Hang(HEAD + b"half"), "reading the answer (status 200)"),
    "hangs before the body": (Hang(HEAD), "reading the answer (status 200)"),
    "drips the body": (Drip(HEAD, b"x" * 1000), "reading the answer (status 200)"),
    "drips chunks": (
        Drip(b"HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n" * 1000),
        "reading the answer (status 500)",
    ),
    "a body without an end": (Drip(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 1000), "reading the answer (status 200)"),
}  # fmt: skip


@both_loops
@pytest.mark.parametrize("name", SLOW_ANSWERS)
def test_an_endpoint_that_does_not_finish_is_left_in_time(loop: Loop, name: str) -> None:
    answer, phase = SLOW_ANSWERS[name]

    async def main() -> None:
        gone = asyncio.Event()

        async def noted(line: Line) -> None:
            try:
                await answer(line)
            finally:
                gone.set()

        async with Endpoint(noted) as endpoint, opened(endpoint, attempt_timeout=SECONDS) as transport:
            exchange = await transport.post(endpoint.url, HEADERS, BODY)
            assert exchange.error == f"timeout after {SECONDS:g} s while {phase}"
            assert exchange.status is None
            assert SECONDS * 990 <= exchange.duration_ms < PATIENCE * 1000
            await gone.wait()

    run(main(), loop)


def test_an_endpoint_that_takes_no_part_in_a_farewell_holds_no_connection_open() -> None:
    """It does not read, so that it would never answer the end of the TLS session."""

    async def deaf(line: Line) -> None:
        line._writer.transport.pause_reading()  # type: ignore[attr-defined]  # a real transport has it
        await asyncio.get_running_loop().create_future()

    async def main() -> None:
        async with Endpoint(deaf) as endpoint, opened(endpoint, attempt_timeout=SECONDS) as transport:
            task = asyncio.create_task(transport.post(endpoint.url, HEADERS, BODY))
            await endpoint.received(1)
            assert transport._dialler is not None
            (wire,) = transport._dialler._acquired
            assert wire.transport is not None
            sock = wire.transport.get_extra_info("socket")
            assert sock.fileno() >= 0
            assert (await task).status is None
            for _ in range(5):
                await asyncio.sleep(0)
            assert sock.fileno() == -1

    run(main())


@both_loops
@pytest.mark.parametrize(
    ("door", "phase"), [(Door.SHUT, "connecting"), (Door.SILENT, "shaking hands (TLS)")], ids=["shut", "silent"]
)
def test_an_endpoint_that_is_not_reached_is_left_in_time(loop: Loop, door: Door, phase: str) -> None:
    async def main() -> None:
        async with Endpoint(door=door) as endpoint:
            exchange = await posted(endpoint, attempt_timeout=SECONDS)
            assert exchange.error == f"timeout after {SECONDS:g} s while {phase}"
            assert exchange.address == "127.0.0.1"
            assert SECONDS * 990 <= exchange.duration_ms < PATIENCE * 1000

    run(main(), loop)


async def silent(_: str) -> Sequence[str]:
    return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]  # a future that is never done


@both_loops
def test_a_name_server_that_does_not_answer_is_left_in_time(loop: Loop) -> None:
    async def main() -> None:
        async with Endpoint() as endpoint:
            exchange = await posted(endpoint, silent, attempt_timeout=SECONDS)
            assert exchange.error == f"timeout after {SECONDS:g} s while looking up the name"
            assert exchange.address is None
            assert exchange.duration_ms < PATIENCE * 1000

    run(main(), loop)


@both_loops
def test_the_time_is_one_for_all_phases_together(loop: Loop) -> None:
    """Each phase alone would be in time. Not so their sum."""
    seconds = 0.6

    async def slow(_: str) -> Sequence[str]:
        await asyncio.sleep(seconds * 0.6)
        return ["127.0.0.1"]

    async def late(line: Line) -> None:
        await asyncio.sleep(seconds * 0.6)
        await Respond()(line)

    async def main() -> None:
        async with Endpoint(late) as endpoint:
            exchange = await posted(endpoint, slow, attempt_timeout=seconds)
            assert exchange.error == f"timeout after {seconds:g} s while waiting for the answer"
            assert (exchange.timing.dns or 0) >= seconds * 590
            assert exchange.duration_ms >= seconds * 990
            assert len(endpoint.requests) == 1

    run(main(), loop)


@both_loops
@pytest.mark.parametrize(
    "answer",
    [
        EndlessHead(),
        EndlessHead(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        EndlessHead(b"HTTP/1.1 200 ", b"x"),
        EndlessHead(b"HTTP/1.1 200 OK\r\nX-Long: ", b"x"),
        EndlessHead(b"HTTP/1.1 200 OK\r\n", b"x"),
        EndlessHead(b"HTTP/1.1 200 OK\r\n", b" folded\r\n"),
        Hurl(),
        Hurl(count=1000, size=1000),
        Hurl(count=129, size=1),
        Hurl(reason=10_000),
    ],
    ids=lambda answer: f"{answer!r:.70}",
)
def test_a_head_that_is_too_large_is_refused(loop: Loop, answer: Answer) -> None:
    async def main() -> None:
        async with Endpoint(answer) as endpoint:
            exchange = await posted(endpoint)
            assert exchange.status is None
            assert exchange.error in {"the head of the answer is too large", "the answer is malformed"}

    run(main(), loop)


@pytest.mark.parametrize(
    "answer",
    [
        EndlessHead(),
        EndlessHead(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        EndlessHead(b"HTTP/1.1 200 OK\r\nX-Long: ", b"x"),
        Endless(),
        Endless(announced=10**15),
        Flood(50_000_000),
    ],
    ids=lambda answer: f"{answer!r:.70}",
)
def test_what_never_ends_does_not_fill_the_memory(answer: Answer) -> None:
    """All that Python holds, of both ends, stays far below what the endpoint would send."""

    async def main() -> int:
        async with Endpoint(answer) as endpoint, opened(endpoint) as transport:
            await transport.post(endpoint.url, HEADERS, BODY)  # what is imported and kept
            tracemalloc.start()
            try:
                await asyncio.gather(*(transport.post(endpoint.url, HEADERS, BODY) for _ in range(4)))
                return tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()

    assert run(main()) < 4 * 3_000_000


@both_loops
@pytest.mark.parametrize("limit", [0, 1, 4096, 100_000])
def test_of_a_body_so_much_is_kept_and_the_status_decides(loop: Loop, limit: int) -> None:
    async def main() -> None:
        for answer in (Endless(201), Endless(201, announced=10**12), Flood(3_000_000, 201)):
            async with Endpoint(answer) as endpoint:
                exchange = await posted(endpoint, max_response=limit)
                assert (exchange.status, exchange.error, exchange.body) == (201, None, b"x" * limit)

    run(main(), loop)


@both_loops
@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 4097, 9000])
def test_a_short_body_is_kept_whole_and_a_longer_one_cut(loop: Loop, size: int) -> None:
    async def main() -> None:
        for chunked in (False, True):
            async with Endpoint(Respond(body=b"x" * size, chunked=chunked)) as endpoint:
                assert (await posted(endpoint)).body == b"x" * min(size, 4096)

    run(main(), loop)


BROKEN: dict[str, tuple[Answer, str | None]] = {
    "nothing": (Raw(b""), "the connection was closed before an answer"),
    "reset": (Reset(), "connection reset by peer"),
    "garbage": (Raw(b"SSH-2.0-OpenSSH_9.6\r\n"), "the answer is not HTTP"),
    "binary": (Raw(bytes(range(256))), "the answer is not HTTP"),
    "another protocol": (Raw(b"ICY 200 OK\r\n\r\n"), "the answer is not HTTP"),
    "half a first line": (Raw(b"HTTP/1.1 20"), "the connection was closed before an answer"),
    "half a head": (Raw(b"HTTP/1.1 200 OK\r\nX-One"), "the connection was closed before an answer"),
    "half a body": (Truncated(), "the answer broke off (status 200)"),
    "half a chunk": (
        Raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nhalf"),
        "the answer broke off (status 200)",
    ),
    "a chunk without a size": (Raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), None),
    "two lengths": (Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nok"), None),
    "a negative length": (Raw(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"), None),
    "a length in words": (Raw(b"HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\nok"), None),
    "a status of four digits": (Raw(b"HTTP/1.1 2000 OK\r\n\r\n"), None),
    "a status below 100": (Raw(b"HTTP/1.1 42 OK\r\nContent-Length: 0\r\n\r\n"), None),
    "no status": (Raw(b"HTTP/1.1 OK\r\n\r\n"), None),
    "HTTP/2 frames": (Raw(b"\x00\x00\x12\x04\x00\x00\x00\x00\x00" + b"\x00" * 18), None),
    "a control character in a header": (Raw(b"HTTP/1.1 200 OK\r\nX-One: a\x00b\r\nContent-Length: 0\r\n\r\n"), None),
    "interim, then nothing": (Informed(Raw(b"")), "the connection was closed before an answer"),
}


@both_loops
@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_answer_is_a_failed_attempt_and_the_next_one_is_not(loop: Loop, name: str) -> None:
    answer, error = BROKEN[name]

    async def main() -> None:
        async with Endpoint(answer, Respond(202)) as endpoint, opened(endpoint) as transport:
            exchange = await transport.post(endpoint.url, HEADERS, BODY)
            assert exchange.status is None
            assert error is None or exchange.error == error
            assert (await transport.post(endpoint.url, HEADERS, BODY)).status == 202
            assert transport._dialler is not None
            assert not transport._dialler._acquired

    run(main(), loop)


def _echo(request: Request) -> bytes:
    return request.head + request.body


@pytest.mark.parametrize(
    "shape", [b"%b", b"HTTP/1.1 %b", b"HTTP/1.1 200 OK\r\n%b", b"HTTP/1.1 200 OK\r\nX: %b\r\n\x00\r\n\r\n"]
)
def test_no_error_repeats_what_was_sent_or_says_more_than_a_line(shape: bytes) -> None:
    """An endpoint that echoes signature and body into its broken answer does not get them into our records."""

    def echo(request: Request) -> Answer:
        return Raw(shape % _echo(request))

    async def main() -> None:
        async with Endpoint(choose=echo) as endpoint, opened(endpoint) as transport:
            url = endpoint.url_of("localhost", f"/hook?token={SECRET}")
            exchange = await transport.post(url, HEADERS, SECRET.encode())
            assert exchange.error is not None
            assert SECRET not in exchange.error
            assert len(exchange.error) <= 200
            assert exchange.error.isprintable()

    run(main())


@pytest.mark.parametrize("door", [Door.SHUT, Door.SILENT, Door.SLAMMED, Door.PLAIN])
def test_no_error_names_the_url(door: Door) -> None:
    async def main() -> None:
        async with Endpoint(door=door) as endpoint, opened(endpoint, attempt_timeout=SECONDS) as transport:
            exchange = await transport.post(endpoint.url_of("localhost", f"/{SECRET}"), HEADERS, BODY)
            assert exchange.error is not None
            assert SECRET not in exchange.error
            assert exchange.error.isprintable()

    run(main())


@both_loops
def test_an_unforeseen_failure_is_a_failed_attempt_too(loop: Loop) -> None:
    async def broken(_: str) -> Sequence[str]:
        raise LookupError(SECRET)

    async def main(resolver: Resolver) -> None:
        async with Endpoint() as endpoint:
            exchange = await posted(endpoint, resolver)
            assert (exchange.status, exchange.error) == (None, "unexpected LookupError")

    run(main(broken), loop)


def test_an_attempt_that_times_out_does_not_end_its_neighbours() -> None:
    started = time.perf_counter()

    async def main() -> None:
        answers: list[Answer] = [Hang(), Respond()]
        async with Endpoint(*answers) as endpoint, opened(endpoint, attempt_timeout=SECONDS) as transport:
            hanging = asyncio.create_task(transport.post(endpoint.url, HEADERS, BODY))
            await endpoint.received(1)
            while not hanging.done():
                exchange = await transport.post(endpoint.url, HEADERS, BODY)
                assert exchange.status == 200
            assert (await hanging).status is None

    run(main())
    assert time.perf_counter() - started < PATIENCE
