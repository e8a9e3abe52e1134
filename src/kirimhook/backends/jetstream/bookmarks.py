"""Bookmarks: one message of each name, replaced only by who knows the one that is there."""

from __future__ import annotations

import asyncio
import json
import secrets
from typing import NamedTuple

from kirimhook.backends.jetstream.link import OutcomeUnknown, WrongLast
from kirimhook.backends.jetstream.place import Place
from kirimhook.backends.jetstream.versions import understood
from kirimhook.receiver.inbox import InboxUnavailable

VERSION = 1
MOVES = 16
"""Moves that a message remembers: who got no answer to his finds it there."""
PAUSE = 0.05
"""Seconds before another attempt."""


class Left(NamedTuple):
    """What a message says."""

    text: str | None
    moves: list[str]
    """Ids, the last one in front."""


class Bookmarks:
    """Of one handle."""

    def __init__(self, place: Place) -> None:
        self._place = place

    async def get(self, name: str) -> str | None:
        """As the leader has it. Raises `InboxUnavailable`."""
        return (await self._last(name))[1].text

    async def move(self, name: str, was: str | None, to: str | None) -> bool:
        """As the port says. Raises `InboxUnavailable`: then it may have been moved, or not."""
        loop, mine = asyncio.get_running_loop(), secrets.token_hex(8)
        until = loop.time() + self._place.settings.patience
        unsure: InboxUnavailable | None = None
        while True:
            sequence, left = await self._last(name)
            if mine in left.moves:
                return True
            if left.text != was:
                if unsure is not None and len(left.moves) == MOVES:
                    raise unsure  # so many others have moved it since that nobody can tell
                return False
            try:
                await self._publish(name, Left(to, [mine, *left.moves][:MOVES]), sequence)
                return True
            except WrongLast:
                continue
            except OutcomeUnknown as error:
                unsure = error
            if loop.time() > until:
                raise unsure
            await asyncio.sleep(PAUSE)

    async def _last(self, name: str) -> tuple[int, Left]:
        names = self._place.names
        message = await self._place.link.last(names.aside, names.bookmark(name))
        if message is None:
            return 0, Left(None, [])
        return message.sequence, understood(_decode, message.payload)

    async def _publish(self, name: str, left: Left, expected: int) -> None:
        said = json.dumps({"v": VERSION, **left._asdict()}).encode()
        await self._place.link.publish(self._place.names.bookmark(name), said, expected=expected)


def _decode(payload: bytes) -> Left:
    """Raises ValueError for what a newer version made."""
    said = json.loads(payload)
    if said["v"] != VERSION:
        raise ValueError(f"version {said['v']}, this kirimhook knows {VERSION}")
    return Left(said["text"], said["moves"])
