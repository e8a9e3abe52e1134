"""What the server cuts, and what it lets be: a connection has a bounded time for a request, for reading its
answer and for idling, and bounded bytes for a head; upgrades are refused; the number of connections is bounded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from kirimhook.observe import Meter
from kirimhook.serving import deadlines
from kirimhook.serving.limits import Limits
from tests.receiver.deliveries import Log
from tests.serving.running import SOON, answer, ask, dial, is_cut, sent_until_cut, serving

QUICK = Limits(request=0.3, handshake=0.3, answer=0.3, idle=0.3)
GET = b"GET /a HTTP/1.1\r\nhost: x\r\n\r\n"


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadlines, "SWEEP", 0.05)


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answers with how many bytes it read, and from where."""
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
        return
    size, message = 0, {"more_body": True}
    while message.get("more_body"):
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size += len(message["body"])
    await reply(send, f"{size} {scope['path']}".encode())


async def lifespan(receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]) -> None:
    for done in ("lifespan.startup.complete", "lifespan.shutdown.complete"):
        await receive()
        await send({"type": done})


async def reply(send: Callable[[Any], Awaitable[None]], body: bytes) -> None:
    length = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": length})
    await send({"type": "http.response.body", "body": body})


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"P",
        b"POST / HTTP/1.1\r\nhost: x\r\n",
        b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\n1234",
        b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n4\r\n1234\r\n",
        b"\r\n\r\n\r\n",
    ],
)
def test_a_request_that_does_not_come_to_its_end_is_cut_without_an_answer(sent: bytes) -> None:
    log, meter = Log(), Meter()
    with serving(echo, limits=QUICK, observer=log.observer, meter=meter) as address, dial(address) as connection:
        connection.sendall(sent)
        assert is_cut(connection)
    [line] = log.named("connection_cut")
    assert line["why"] == "request"
    assert meter.counter("kirimhook_connections_cut_total") == {"request": 1}
    assert meter.gauges["kirimhook_connections"] == 0


def test_a_byte_now_and_then_buys_no_time() -> None:
    with serving(echo, limits=QUICK) as address, dial(address) as connection:
        connection.settimeout(0.02)
        dripped = 0
        while dripped < SOON / 0.02:
            try:
                connection.sendall(b"P" if not dripped else b"O")
                if connection.recv(1) == b"":
                    break
            except TimeoutError:
                dripped += 1
            except ConnectionError:
                break
        assert dripped < 200


def test_a_second_request_has_its_own_time_and_idling_has_less_patience() -> None:
    log = Log()
    limits = Limits(request=0.3, idle=30)
    with serving(echo, limits=limits, observer=log.observer) as address, dial(address) as connection:
        assert ask(connection, GET)[0] == 200
        connection.sendall(GET[:10])
        assert is_cut(connection)
    assert [line["why"] for line in log.named("connection_cut")] == ["request"]
    with serving(echo, limits=QUICK, observer=log.observer) as address, dial(address) as connection:
        assert ask(connection, GET)[0] == 200
        assert is_cut(connection)
    assert len(log.named("connection_cut")) == 1  # idling is no offence


def test_an_application_that_answers_late_is_cut_off() -> None:
    async def never(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
            return
        await receive()
        assert (await receive())["type"] == "http.disconnect"

    log = Log()
    with serving(never, limits=QUICK, observer=log.observer) as address, dial(address) as connection:
        connection.sendall(GET)
        assert is_cut(connection)
    assert [line["why"] for line in log.named("connection_cut")] == ["answer"]


def test_a_client_that_does_not_read_its_answers_is_cut() -> None:
    async def large(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
            return
        await reply(send, b"x" * 8_000_000)

    log = Log()
    with serving(large, limits=QUICK, observer=log.observer) as address, dial(address) as connection:
        connection.sendall(GET * 3)
        asyncio.run(asyncio.wait_for(log.seen("connection_cut"), SOON))
    assert [line["why"] for line in log.named("connection_cut")] == ["answer"]


def test_a_client_that_never_reads_and_never_stops_asking_is_not_read_without_end() -> None:
    log = Log()
    with serving(echo, observer=log.observer) as address, dial(address) as connection:
        assert sent_until_cut(connection, GET) < 50_000_000
    assert [line["why"] for line in log.named("connection_cut")] == ["pipelined"]


def test_requests_in_one_segment_and_in_single_bytes_are_answered_in_turn() -> None:
    post = b"POST /b HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabc"
    with serving(echo) as address, dial(address) as connection:
        connection.sendall(GET + post + GET)
        read = b""
        while read.count(b"HTTP/1.1 200") < 3 or not read.endswith(b"0 /a"):
            read += connection.recv(65536)
        assert [read.index(part) for part in (b"0 /a", b"3 /b")] == sorted([read.index(b"0 /a"), read.index(b"3 /b")])
        for byte in post:
            connection.sendall(bytes([byte]))
        assert answer(connection)[2] == b"3 /b"


def head(*lines: bytes) -> bytes:
    return b"\r\n".join([b"GET / HTTP/1.1", b"host: x", *lines, b"", b""])


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (head(*[b"a%d: b" % n for n in range(99)]), 200),
        (head(*[b"a%d: b" % n for n in range(100)]), 431),
        (head(b"a: " + b"x" * 16_000), 200),
        (head(b"a: " + b"x" * 17_000), 431),
        (head(b"a: " + b"x" * 1_000_000), 431),
        (head(*[b"a%d: " % n + b"x" * 1000 for n in range(20)]), 431),
        (b"GET /" + b"x" * 2047 + b" HTTP/1.1\r\nhost: x\r\n\r\n", 200),
        (b"GET /" + b"x" * 2048 + b" HTTP/1.1\r\nhost: x\r\n\r\n", 414),
        (
            head(b"connection: upgrade", b"upgrade: websocket", b"sec-websocket-key: x", b"sec-websocket-version: 13"),
            501,
        ),
        (head(b"connection: upgrade", b"upgrade: h2c"), 501),
        (b"CONNECT x:1 HTTP/1.1\r\nhost: x\r\n\r\n", 501),
        (b"nonsense\r\n\r\n", 400),
        (b"GET \xff HTTP/1.1\r\nhost: x\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n", 400),
    ],
)
def test_heads_within_and_beyond_their_limits(request_: bytes, status: int) -> None:
    log = Log()
    with serving(echo, observer=log.observer) as address:
        with dial(address) as connection:
            found, headers, _ = ask(connection, request_)
            assert found == status
            if status != 200:
                assert headers[b"connection"] == b"close"
                assert is_cut(connection)
        with dial(address) as another:
            assert ask(another, GET)[0] == 200
    assert len(log.named("connection_cut")) == (status != 200)


def test_many_requests_in_one_segment_and_a_part_of_another_are_no_large_head() -> None:
    post = b"POST /b HTTP/1.1\r\nhost: x\r\ncontent-length: 900\r\n\r\n" + b"x" * 900
    with serving(echo) as address, dial(address) as connection:
        everything, answered = post * 30, 0
        connection.sendall(everything[:-500])
        while answered < 29:
            answered += connection.recv(65536).count(b"900 /b")
        connection.sendall(everything[-500:])
        assert answer(connection)[2] == b"900 /b"


def test_a_large_body_is_not_taken_for_a_large_head() -> None:
    body = b"x" * 1_000_000
    with serving(echo) as address, dial(address) as connection:
        request = b"POST /b HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body) + body
        assert ask(connection, request)[2] == b"1000000 /b"
        chunks = b"".join(b"%x\r\n%b\r\n" % (1000, b"x" * 1000) for _ in range(1000)) + b"0\r\n\r\n"
        request = b"POST /c HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n" + chunks
        assert ask(connection, request)[2] == b"1000000 /c"


@pytest.mark.parametrize("endless", [b"1;ext=" + b"x" * 600_000, b"1\r\nx\r\n0\r\ntrailer: " + b"x" * 600_000])
def test_what_comes_without_bringing_the_body_on_is_bounded_and_never_answered_as_a_request(endless: bytes) -> None:
    log = Log()
    with serving(echo, observer=log.observer) as address, dial(address) as connection:
        try:
            connection.sendall(b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n" + endless)
        except ConnectionError:
            pass
        else:
            assert is_cut(connection)
    assert [line["why"] for line in log.named("connection_cut")] == ["head"]


def test_a_bad_second_request_does_not_answer_for_the_first() -> None:
    async def slow(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
            return
        await receive()
        assert (await receive())["type"] == "http.disconnect"

    with serving(slow) as address, dial(address) as connection:
        connection.sendall(GET + b"nonsense\r\n\r\n")
        assert is_cut(connection)


def test_connections_are_bounded_and_room_comes_back() -> None:
    log = Log()
    with serving(echo, limits=Limits(connections=2), observer=log.observer) as address:
        first, second = dial(address), dial(address)
        assert ask(first, GET)[0] == ask(second, GET)[0] == 200
        with dial(address) as third:
            status, headers, _ = answer(third)
            assert (status, headers[b"retry-after"]) == (503, b"5")
            assert is_cut(third)
        assert ask(first, GET)[0] == 200
        second.close()
        while True:  # until the server has seen it go
            with dial(address) as fourth:
                try:
                    if ask(fourth, GET)[0] == 200:
                        break
                except (EOFError, ConnectionError):
                    continue
        first.close()
    assert {line["why"] for line in log.named("connection_cut")} == {"full"}


def test_many_cuts_of_one_moment_are_one_line() -> None:
    log, meter = Log(), Meter()
    with serving(echo, limits=QUICK, observer=log.observer, meter=meter) as address:
        connections = [dial(address) for _ in range(50)]
        for connection in connections:
            assert is_cut(connection)
            connection.close()
    lines = log.named("connection_cut")
    assert sum(line["connections"] for line in lines) == 50
    assert len(lines) < 25
    assert lines[0]["client"].startswith("127.0.0.1:")
    assert meter.counter("kirimhook_connections_cut_total") == {"request": 50}


def test_what_was_cut_last_is_told_though_there_is_no_further_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadlines, "SWEEP", 1000)
    log = Log()
    with serving(echo, observer=log.observer) as address, dial(address) as connection:
        assert ask(connection, b"nonsense\r\n\r\n")[0] == 400
        assert is_cut(connection)
    assert [line["why"] for line in log.named("connection_cut")] == ["malformed"]


def test_a_refused_client_that_does_not_hang_up_is_cut() -> None:
    with serving(echo) as address, dial(address) as connection:
        assert ask(connection, b"nonsense\r\n\r\n")[0] == 400
        assert is_cut(connection)


def test_the_server_stops_while_clients_hold_on() -> None:
    with serving(echo, limits=Limits(request=0.3, idle=30)) as address:
        idle, dripping, fresh = dial(address), dial(address), dial(address)
        assert ask(idle, GET)[0] == 200
        dripping.sendall(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\n12")
    for connection in (idle, dripping, fresh):
        assert is_cut(connection)
        connection.close()


def test_limits_name_what_cannot_be() -> None:
    for bad in ({"idle": 0}, {"connections": -1}, {"request": float("nan")}):
        with pytest.raises(ValueError, match=next(iter(bad))):
            Limits(**bad)
