"""The server binds before it starts its application, so that an address that cannot be had costs nothing."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from kirimhook.serving.server import Server, bind, make_config
from tests.serving.running import ask, dial
from tests.serving.test_deadlines import GET, echo


def test_a_taken_address_is_an_oserror_and_the_application_is_never_started() -> None:
    started: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        started.append(scope["type"])

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match="in use"):
            bind("127.0.0.1", port)
        with pytest.raises(OSError, match="in use"):
            asyncio.run(Server(make_config(app, port=port)).serve())
    assert started == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_any_kind_of_address_is_served_on_asyncio_too(host: str) -> None:
    async def scenario() -> None:
        server = Server(make_config(echo, host=host))
        serving = asyncio.create_task(server._serve())
        while not server.started:
            await asyncio.wait({serving}, timeout=0.01)
        address = server.addresses[0]

        def get() -> int:
            with dial(address) if ":" not in address[0] else socket.create_connection(address) as connection:
                return ask(connection, GET)[0]

        assert await asyncio.to_thread(get) == 200
        server.should_exit = True
        await serving

    asyncio.run(scenario())
