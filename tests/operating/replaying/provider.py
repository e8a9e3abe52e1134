"""An API to replay over, for real: our own, on loopback, that can be cut off or made to know less than it does."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

from kirimhook.client import AsyncKirim
from tests.sender.api import World, listening, publish, subscribe, world
from tests.sender.databases import Databases, done

OURS_ALONE = ("ids", "unreplayed")
ALONE = re.compile(r"/v1/webhook_deliveries/wbd_\w+")
"""A delivery alone cannot be asked for by what is publicly documented."""


class Front:
    """In front of the application. `knows_ours`: what the public documentation does not have is refused.

    `stop_at`: the number of the POST that never ends, from 1, `before` or after it was carried out.
    """

    def __init__(self, app: Any) -> None:
        self._app = app
        self.knows_ours = True
        self.stop_at = 0
        self.before = False
        self.posts: list[str] = []
        self.stopped = asyncio.Event()
        self.released = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or (self.knows_ours and scope["method"] != "POST"):
            await self._app(scope, receive, send)
            return
        if not self.knows_ours and (refused := await self._unknown(scope)):
            await _answer(send, *refused)
            return
        if scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        self.posts.append(scope["path"])
        stops = len(self.posts) == self.stop_at
        if stops and self.before:
            await self._stop()
            return
        await self._app(scope, receive, _nowhere if stops else send)
        if stops:
            await self._stop()

    async def _unknown(self, scope: Any) -> tuple[int, str] | None:
        path = scope["path"]
        if path == "/v1/openapi.json" or path.endswith("/bulk_replay") or ALONE.fullmatch(path):
            return 404, "resource_not_found"
        asked = scope["query_string"].decode()
        return (400, "invalid_field_value") if any(name in asked for name in OURS_ALONE) else None

    async def _stop(self) -> None:
        self.stopped.set()
        await self.released.wait()


async def _nowhere(_message: Any) -> None: ...


async def _answer(send: Any, status: int, code: str) -> None:
    body = json.dumps({"error": {"code": code, "message": "no"}}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class Provider(NamedTuple):
    """One subscription of one organisation."""

    world: World
    front: Front
    client: AsyncKirim
    databases: Databases
    subscription: str
    url: str

    async def dead(self, count: int, step: float = 1.0) -> list[str]:
        """So many dead letters more, oldest first, `step` seconds between hundreds of them."""
        before = set(await self.ids())
        for start in range(0, count, 100):
            self.world.clock.advance(step)
            await publish(self.world.api, min(100, count - start))
        await self.die()
        return [one for one in await self.ids() if one not in before]

    async def die(self) -> None:
        """Every open delivery becomes a dead letter: its endpoint takes nothing."""
        await self.run(
            "UPDATE deliveries SET status = 'dead', dead_reason = 'rejected', next_attempt_at = NULL, finished_at = 1"
            " WHERE status = 'pending'"
        )
        await self.run("DELETE FROM queue")

    async def ids(self) -> list[str]:
        return [row[0] for row in await self.databases.rows("SELECT id FROM deliveries ORDER BY id")]

    async def replayed(self) -> list[str]:
        """What was replayed, in the order in which the replays were made."""
        query = "SELECT replayed_from FROM deliveries WHERE kind = 'replay' ORDER BY rowid"
        return [row[0] for row in await self.databases.rows(query)]

    async def run(self, statement: str) -> None:
        await self.world.sender.context.database.write(done(statement))


@contextlib.asynccontextmanager
async def providing(databases: Databases) -> AsyncIterator[Provider]:
    async with world(databases, writes_per_minute=0, reads_per_minute=0) as here:
        front = Front(here.api.app)
        async with (
            listening(front) as url,  # type: ignore[arg-type]  # an ASGI application as well
            AsyncKirim(here.api.key, base_url=url, retries=0) as client,
        ):
            made = await subscribe(here.api)
            try:
                yield Provider(here, front, client, databases, made["id"], url)
            finally:
                front.released.set()
