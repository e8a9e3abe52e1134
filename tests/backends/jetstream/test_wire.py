"""A server that hangs up while it is being connected to is left for another; the wire is never connected to nobody."""

from __future__ import annotations

import asyncio
import json

from kirimhook.backends.jetstream.settings import JetStreamSettings
from kirimhook.backends.jetstream.wire import Wire

INFO = {"server_id": "x", "version": "2.15.1", "proto": 1, "headers": True, "max_payload": 1_048_576}
SOON = 20.0


def test_a_server_that_hangs_up_in_the_handshake_is_not_taken_for_connected() -> None:
    """As one does that is killed, or is still starting: it says who it is, and then nothing more."""

    async def play() -> list[bool]:
        tried = asyncio.Semaphore(0)
        connected = []

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"INFO " + json.dumps(INFO).encode() + b"\r\n")
            await reader.readuntil(b"PING\r\n")
            connected.append(wire.connected)
            writer.close()
            tried.release()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        wire = Wire(JetStreamSettings.from_url(f"nats://127.0.0.1:{port}/box"))
        async with server:
            wire.start()
            for _ in range(3):
                await tried.acquire()
            await wire.stop()
        return connected

    assert asyncio.run(asyncio.wait_for(play(), SOON))[:3] == [False] * 3
