"""Who is signed in to the dashboard. A session is begun with an API key, and ends with it at the latest."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from hashlib import sha256
from typing import NamedTuple

from sqlalchemy import Connection

from kirimhook.contract.signature import Secret
from kirimhook.sender.service.calls import Caller
from kirimhook.sender.service.context import Context
from kirimhook.sender.store import sessions
from kirimhook.sender.store.sessions import Session

_RANDOM_BYTES = 32
_CHARS = 43
"""Of 32 bytes in base64."""


class SignedIn(NamedTuple):
    """A session just begun. `token` is what the cookie is to hold, in plain, this once."""

    token: Secret
    caller: Caller
    seconds: int
    """Until it expires."""


class Sessions:
    """Begins, recognises and ends sessions. Remembers nothing: what ends in one process ends in all, at once."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def begin(self, caller: Caller, replaced: str | None) -> SignedIn:
        """`replaced`: the token of a session that this one takes the place of."""
        context, now = self._context, self._context.now()
        token = urlsafe_b64encode(context.randomness(_RANDOM_BYTES)).rstrip(b"=").decode()
        seconds = int(context.settings.session_seconds)
        ends = now + seconds * 1000
        session = Session(digest(token), caller.organisation_id, caller.key_id, now, ends)
        ended = None if replaced is None else digest(replaced)

        def operation(connection: Connection) -> None:
            if ended is not None:
                sessions.remove(connection, ended)
            sessions.add(connection, session)

        await context.database.write(operation)
        return SignedIn(Secret(token), caller, seconds)

    async def caller(self, token: str) -> Caller | None:
        """Who is signed in; None where the session, or the key it was begun with, has ended."""
        if len(token) != _CHARS or not token.isascii():
            return None
        now = self._context.now()
        found = await self._context.database.read(lambda connection: sessions.holder(connection, digest(token), now))
        if found is None or found.key.revoked_at is not None:
            return None
        if found.key.expires_at is not None and found.key.expires_at <= now:
            return None
        return Caller(found.organisation.id, found.organisation.name, found.key.id)

    async def end(self, token: str) -> None:
        """Nothing happens where there is none."""
        await self._context.database.write(lambda connection: sessions.remove(connection, digest(token)))


def digest(token: str) -> bytes:
    """Under which a session is stored: who reads the table cannot sign in with it."""
    return sha256(token.encode()).digest()
