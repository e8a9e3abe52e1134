"""Five hundred clients that drip a byte every half second are all cut within 15 seconds, at the default limits,
while honest requests go on being stored and acknowledged. Over TLS, stalled handshakes are cut too.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from kirimhook.backends import open_inbox
from kirimhook.receiver.endpoint import Receiver
from kirimhook.receiver.secrets import Keyring
from kirimhook.serving.files import make_room
from kirimhook.serving.limits import Limits
from kirimhook.serving.server import Tls
from kirimhook.testing.devca import make_certificates
from tests.receiver.deliveries import NOW, SECRET, delivery, envelope
from tests.serving.running import Address, serving

DRIPPERS = 500
CUT_WITHIN = 15.0
PATIENCE = 60.0
HEAD = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
DRIPS = {
    "headers": (HEAD + b"x-long: ", b"a"),
    "body": (HEAD + b"content-length: 1000\r\n\r\n", b"b"),
    "chunks": (HEAD + b"transfer-encoding: chunked\r\n\r\n", b"1\r\nc\r\n"),
}


def request(event_id: str) -> bytes:
    made = delivery(envelope(event_id), x_kirim_event_id=event_id)
    headers = b"".join(b"%b: %b\r\n" % pair for pair in made.headers)
    return b"POST / HTTP/1.1\r\nhost: x\r\n" + headers + b"\r\n" + made.body


async def drip(address: Address, kind: str, tls: ssl.SSLContext | None = None) -> float:
    """Seconds until the server cut it."""
    began = time.monotonic()
    reader, writer = await asyncio.open_connection(*address, ssl=tls, server_hostname="localhost" if tls else None)
    first, drop = DRIPS[kind]
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        writer.write(first)
        ended = asyncio.create_task(reader.read())
        while not ended.done():
            writer.write(drop)
            await asyncio.wait({ended}, timeout=0.5)
        await ended
    writer.transport.abort()
    return time.monotonic() - began


async def stall(address: Address) -> float:
    """A TLS handshake that is never begun."""
    began = time.monotonic()
    reader, writer = await asyncio.open_connection(*address)
    with contextlib.suppress(ConnectionError):
        await reader.read()
    writer.close()
    return time.monotonic() - began


@contextlib.asynccontextmanager
async def honest(address: Address, tls: ssl.SSLContext | None = None) -> AsyncIterator[list[float]]:
    """One client that posts event after event over one connection; the seconds each took."""
    took: list[float] = []
    reader, writer = await asyncio.open_connection(*address, ssl=tls, server_hostname="localhost" if tls else None)

    async def post() -> None:
        while True:
            began = time.monotonic()
            writer.write(request(f"evt_{len(took)}"))
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
            await reader.readuntil(b"\r\n\r\nok")
            took.append(time.monotonic() - began)
            await asyncio.sleep(0.005)

    posting = asyncio.create_task(post())
    yield took
    assert not posting.done(), posting
    posting.cancel()
    await asyncio.wait({posting})
    writer.transport.abort()


def receiver(folder: Path) -> Receiver:
    return Receiver(open_inbox(f"sqlite:///{folder}/inbox.db"), Keyring.static(SECRET), clock=lambda: NOW)


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        await asyncio.wait_for(scenario(), PATIENCE)

    asyncio.run(bounded())


def test_five_hundred_that_drip_are_cut_and_nobody_else_notices(tmp_path: Path) -> None:
    make_room(2 * DRIPPERS)  # both ends are in this process
    kinds = [list(DRIPS)[n % len(DRIPS)] for n in range(DRIPPERS)]

    with serving(receiver(tmp_path)) as address:

        async def scenario() -> None:
            async with honest(address) as took:
                cut_after = await asyncio.gather(*[drip(address, kind) for kind in kinds])
            assert max(cut_after) < CUT_WITHIN
            assert min(cut_after) > Limits().request - 1
            assert len(took) > 200
            assert max(took) < 5

        run(scenario)


def test_over_tls_stalled_handshakes_and_dripping_requests_are_cut(tmp_path: Path) -> None:
    certificates = make_certificates(tmp_path)
    trusting = certificates.client_context()
    limits = Limits(request=1.5, handshake=1.0)

    with serving(receiver(tmp_path), limits=limits, tls=Tls(certificates.certificate, certificates.key)) as address:

        async def scenario() -> None:
            async with honest(address, trusting) as took:
                stalled = await asyncio.gather(*[stall(address) for _ in range(50)])
                dripped = await asyncio.gather(*[drip(address, kind, trusting) for kind in DRIPS])
            assert max(stalled) < CUT_WITHIN
            assert max(dripped) < CUT_WITHIN
            assert took

        run(scenario)
