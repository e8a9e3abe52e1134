"""The receiver behind a real server: what a client does to the connection, and what framing it chooses, changes
neither what is stored nor what is answered.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from select import select
from typing import Any

import pytest

from kirimhook.backends import open_inbox
from kirimhook.backends.sqlite.inbox import SQLiteInbox
from kirimhook.backends.sqlite.settings import SQLiteSettings
from kirimhook.receiver.endpoint import Receiver
from kirimhook.receiver.inbox import Filter, Inbox
from kirimhook.receiver.model import InboundEvent, Receipt
from kirimhook.receiver.secrets import Keyring
from kirimhook.serving.limits import Limits
from kirimhook.settings import ReceiverSettings
from tests.receiver.deliveries import NOW, OTHER, SECRET, Delivery, Log, delivery, envelope
from tests.serving.running import Address, answer, ask, dial, is_cut, sent_until_cut, serving

SOON = 20.0


def receiver(inbox: Inbox, *, log: Log | None = None, settings: ReceiverSettings | None = None) -> Receiver:
    return Receiver(
        inbox,
        Keyring.static(SECRET),
        clock=lambda: NOW,
        path="/kirim",
        settings=settings,
        observer=(log or Log()).observer,
    )


def stored(inbox: Inbox) -> int:
    async def count() -> int:
        await inbox.open()
        try:
            return await inbox.count(Filter())
        finally:
            await inbox.close()

    return asyncio.run(count())


def head(made: Delivery, *more: bytes, path: str = "/kirim") -> bytes:
    lines = [f"{made.method} {path} HTTP/1.1".encode(), b"host: x", *(b"%b: %b" % pair for pair in made.headers), *more]
    return b"\r\n".join([*lines, b"", b""])


def whole(made: Delivery) -> list[bytes]:
    return [head(made) + made.body]


def chunked(made: Delivery) -> list[bytes]:
    made = made._replace(headers=[pair for pair in made.headers if pair[0] != b"content-length"])
    chunks = [b"%x\r\n%b\r\n" % (len(part), part) for part in (made.body[:10], made.body[10:]) if part]
    return [head(made, b"transfer-encoding: chunked"), *chunks, b"0\r\n\r\n"]


def by_byte(made: Delivery) -> list[bytes]:
    return [bytes([byte]) for byte in head(made) + made.body]


def with_upper_case_names(made: Delivery) -> list[bytes]:
    return whole(made._replace(headers=[(name.title(), value) for name, value in made.headers]))


CASES = [
    (delivery(), 200, b"ok"),
    (delivery(), 200, b"duplicate-ack"),
    (delivery(secret=OTHER), 401, b"invalid signature"),
    (delivery(x_kirim_event=None), 400, b"missing event id or type"),
    (delivery(b"\xff", x_kirim_event_id="evt_2"), 200, b"ok"),
    (delivery(content_type="text/plain"), 415, b"unsupported media type"),
    (delivery()._replace(method="PUT"), 405, b"method not allowed"),
]


@pytest.mark.parametrize("framing", [whole, chunked, by_byte, with_upper_case_names])
def test_every_framing_gets_the_same_answers_over_one_connection(
    tmp_path: Path, framing: Callable[[Delivery], list[bytes]]
) -> None:
    inbox = open_inbox(f"sqlite:///{tmp_path}/inbox.db")
    with serving(receiver(inbox)) as address, dial(address) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for made, status, text in CASES:
            for part in framing(made):
                connection.sendall(part)
            found, headers, body = answer(connection)
            assert (found, body) == (status, text)
            assert b"date" in headers
    assert stored(inbox) == 2


def test_other_paths_are_404_and_head_gets_no_body() -> None:
    with serving(receiver(open_inbox("sqlite:///:memory:"))) as address, dial(address) as connection:
        made = delivery()
        assert ask(connection, head(made, path="/") + made.body)[0] == 404
        assert ask(connection, head(made, path="/kirim/") + made.body)[0] == 404
        assert ask(connection, head(made, path="/kirim?x=1") + made.body)[0] == 200
        connection.sendall(b"HEAD /kirim HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        everything = b""
        while some := connection.recv(65536):
            everything += some
        assert everything.startswith(b"HTTP/1.1 405")
        assert everything.endswith(b"\r\n\r\n")


def test_a_connection_that_is_not_kept_is_closed_after_its_ack() -> None:
    with serving(receiver(open_inbox("sqlite:///:memory:"))) as address:
        for closing in (head(delivery(), b"connection: close"), head(delivery()).replace(b"HTTP/1.1", b"HTTP/1.0")):
            with dial(address) as connection:
                status, headers, _ = ask(connection, closing + envelope())
                assert (status, headers[b"connection"]) == (200, b"close")
                assert is_cut(connection)


def test_acks_of_requests_in_one_segment_come_in_turn() -> None:
    with serving(receiver(open_inbox("sqlite:///:memory:"))) as address, dial(address) as connection:
        made = delivery()
        bad = delivery(secret=OTHER)
        connection.sendall((head(made) + made.body) * 2 + head(bad) + bad.body + head(made) + made.body)
        read = b""
        while read.count(b"HTTP/1.1") < 4 or not read.endswith(b"duplicate-ack"):
            read += connection.recv(65536)
        assert [part.split(b" ")[1] for part in read.split(b"HTTP/1.1")[1:]] == [b"200", b"200", b"401", b"200"]
        assert read.index(b"\r\n\r\nok") < read.index(b"duplicate-ack")


def test_100_continue_is_said_to_what_is_wanted_only() -> None:
    body = envelope()
    with serving(receiver(open_inbox("sqlite:///:memory:"))) as address:
        with dial(address) as connection:
            connection.sendall(head(delivery(), b"expect: 100-continue"))
            assert connection.recv(100).startswith(b"HTTP/1.1 100")
            assert ask(connection, body)[0] == 200
        with dial(address) as connection:
            assert ask(connection, head(delivery(content_length="9999999"), b"expect: 100-continue"))[0] == 413


@pytest.mark.parametrize("announced", [True, False])
def test_too_large_a_body_is_413_and_the_connection_goes_on(announced: bool) -> None:
    settings = ReceiverSettings(max_body=1_000_000)
    large = b"x" * 3_000_000
    framing = whole if announced else chunked
    with serving(receiver(open_inbox("sqlite:///:memory:"), settings=settings)) as address, dial(address) as connection:
        for part in framing(delivery(large)):
            connection.sendall(part)
        assert answer(connection)[0] == 413
        assert ask(connection, head(delivery()) + envelope())[0] == 200


def test_a_body_just_within_the_limit_is_stored(tmp_path: Path) -> None:
    inbox = open_inbox(f"sqlite:///{tmp_path}/inbox.db")
    body = envelope(padding="x" * (4 * 1024 * 1024 - len(envelope(padding=""))))
    assert len(body) == 4 * 1024 * 1024
    with serving(receiver(inbox)) as address, dial(address) as connection:
        assert ask(connection, head(delivery(body)) + body)[0] == 200
    assert stored(inbox) == 1


@pytest.mark.parametrize("cut", [0, 1, 10, len(envelope()) - 1])
def test_a_client_that_hangs_up_before_the_end_of_its_body_stores_nothing(tmp_path: Path, cut: int) -> None:
    log = Log()
    inbox = open_inbox(f"sqlite:///{tmp_path}/inbox.db")
    with serving(receiver(inbox, log=log)) as address:
        with dial(address) as connection:
            connection.sendall(head(delivery()) + envelope()[:cut])
        asyncio.run(asyncio.wait_for(log.seen("hung_up"), SOON))
    assert stored(inbox) == 0


class Gated(SQLiteInbox):
    """A real inbox whose puts wait until they are let through."""

    def __init__(self, path: Path) -> None:
        super().__init__(SQLiteSettings(str(path)), lambda: NOW)
        self.begun, self.go_on = asyncio.Event(), asyncio.Event()

    async def put(self, events: Sequence[InboundEvent]) -> list[Receipt]:
        self.begun.set()
        await self.go_on.wait()
        return await super().put(events)


def test_a_client_that_hangs_up_before_the_commit_loses_nothing(tmp_path: Path) -> None:
    """The server has seen it go before the put is let through; the event is stored all the same."""
    inbox = Gated(tmp_path / "inbox.db")
    asked = receiver(inbox)

    async def gated(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await asked(scope, receive, send)
            return
        request = asyncio.create_task(asked(scope, receive, send))
        await inbox.begun.wait()
        client.close()
        assert (await receive())["type"] == "http.disconnect"
        inbox.go_on.set()
        await request

    with serving(gated) as address:
        client = dial(address)
        client.sendall(head(delivery()) + envelope())
        asyncio.run(asyncio.wait_for(_until_stored(inbox), SOON))
    assert stored(inbox) == 1


async def _until_stored(inbox: Gated) -> None:
    """Opening it from here too is allowed: an inbox serves any loop."""
    await inbox.open()
    while not await inbox.count(Filter()):
        await inbox.wait(0.1)


def test_a_client_that_announces_more_than_it_sends_is_not_answered(tmp_path: Path) -> None:
    inbox = open_inbox(f"sqlite:///{tmp_path}/inbox.db")
    with serving(receiver(inbox)) as address, dial(address) as connection:
        connection.sendall(head(delivery(content_length=str(len(envelope()) + 1))) + envelope())
        connection.shutdown(socket.SHUT_WR)
        assert is_cut(connection)
    assert stored(inbox) == 0


def test_a_client_that_sends_more_than_it_announces_is_refused_for_the_rest(tmp_path: Path) -> None:
    inbox = open_inbox(f"sqlite:///{tmp_path}/inbox.db")
    with serving(receiver(inbox)) as address, dial(address) as connection:
        connection.sendall(head(delivery(content_length=str(len(envelope()) - 1))) + envelope())
        with contextlib.suppress(EOFError, ConnectionError):  # the rest is no request: perhaps it closes first
            assert answer(connection)[0] in (400, 401)
    assert stored(inbox) == 0


def test_many_clients_at_once_are_each_answered(tmp_path: Path) -> None:
    inbox = open_inbox(f"sqlite:///{tmp_path}/inbox.db")

    async def client(address: Address, number: int) -> None:
        reader, writer = await asyncio.open_connection(*address)
        for serial in range(20):
            made = delivery(x_kirim_event_id=f"evt_{number}_{serial // 2}")
            writer.write(head(made) + made.body)
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
            await reader.readuntil(b"ok" if serial % 2 == 0 else b"duplicate-ack")
        writer.close()
        await writer.wait_closed()

    async def all_of_them(address: Address) -> None:
        await asyncio.wait_for(asyncio.gather(*[client(address, number) for number in range(40)]), SOON)

    with serving(receiver(inbox)) as address:
        asyncio.run(all_of_them(address))
    assert stored(inbox) == 400


def test_a_secret_that_came_with_the_last_rewrite_of_the_file_verifies_at_once(tmp_path: Path) -> None:
    path = tmp_path / "secrets"
    path.write_text(SECRET + "\n")
    asked = Receiver(
        open_inbox("sqlite:///:memory:"),
        Keyring.from_file(path),
        clock=lambda: NOW,
        path="/kirim",
        observer=Log().observer,
    )
    made = delivery(secret=OTHER)
    with serving(asked) as address, dial(address) as connection:
        assert ask(connection, head(delivery()) + envelope())[0] == 200
        path.write_text(SECRET + "\n" + OTHER + "\n")
        assert ask(connection, head(made) + made.body)[2] == b"duplicate-ack"


@pytest.mark.parametrize("bad", [delivery(secret=OTHER), delivery(signed=b""), delivery(x_kirim_event=None)])
def test_a_client_that_never_reads_its_refusals_is_not_read_without_end(bad: Delivery) -> None:
    limits = Limits(request=1, answer=1, idle=1)
    asked = receiver(open_inbox("sqlite:///:memory:"))
    with serving(asked, limits=limits, room=4096) as address, dial(address, room=4096) as connection:
        assert sent_until_cut(connection, head(bad) + bad.body) < 50_000_000


def test_a_client_that_reads_its_answers_late_gets_them_all() -> None:
    """It does not read before the server has stopped reading; then everything goes on."""
    times = 20_000
    unsigned = b"POST /kirim HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 0\r\n\r\n"
    good = head(delivery()) + envelope()
    unsent, read = memoryview(unsigned * times + good), b""
    asked = receiver(open_inbox("sqlite:///:memory:"))
    with serving(asked, room=4096) as address, dial(address, room=4096) as connection:
        connection.setblocking(False)
        while unsent and select([], [connection], [], 0.5)[1]:
            unsent = unsent[connection.send(unsent) :]
        answered = 0
        while not read.endswith(b"\r\n\r\nok"):
            readable, writable, _ = select([connection], [connection] if unsent else [], [], SOON)
            assert readable or writable
            if writable:
                unsent = unsent[connection.send(unsent) :]
            if readable:
                read = read[-20:] + connection.recv(1_000_000)
                answered += read.count(b"invalid signature") - read[:20].count(b"invalid signature")
    assert answered == times


def test_another_application_around_it_sees_every_message() -> None:
    """The one-write shortcut is only for a receiver that is served alone."""
    seen: list[str] = []
    asked = receiver(open_inbox("sqlite:///:memory:"))

    async def outer(scope: Any, receive: Any, send: Callable[[Any], Awaitable[None]]) -> None:
        async def watched(message: Any) -> None:
            seen.append(message["type"])
            await send(message)

        await asked(scope, receive, watched)

    with serving(outer) as address, dial(address) as connection:
        assert ask(connection, head(delivery()) + envelope())[2] == b"ok"
    assert seen[1:3] == ["http.response.start", "http.response.body"]
