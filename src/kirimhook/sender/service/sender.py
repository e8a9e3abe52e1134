"""The sender's use cases, for whoever serves them: an API, a command, or a program that imports it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from kirimhook.contract.resources import EventReceipt
from kirimhook.sender.service import accounting, erasing, publishing, rekeying
from kirimhook.sender.service.accounting import Ledger
from kirimhook.sender.service.calls import Caller, KeyInfo, NewKey, Once, Publishable, Rekeyed
from kirimhook.sender.service.context import CheckUrl, Context, any_url, nobody
from kirimhook.sender.service.erasing import Erasure, untold
from kirimhook.sender.service.keeping import Keeper, Kept
from kirimhook.sender.service.keys import Keys
from kirimhook.sender.service.replaying import Replaying
from kirimhook.sender.service.scope import Scope
from kirimhook.sender.service.sessions import Sessions, SignedIn
from kirimhook.sender.service.tenant import Tenant
from kirimhook.sender.store.erasing import is_any_erased

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.ext.asyncio import AsyncConnection

    from kirimhook.contract.customers import Number
    from kirimhook.sender.database import Database
    from kirimhook.sender.sealing import Sealer
    from kirimhook.settings import SenderSettings


class Sender:
    """Over an opened database. Every call can be made from any event loop's thread that the database allows.

    Raises ApiError for what the caller did wrong, `StorageUnavailable` for what is not the caller's fault.
    """

    def __init__(  # noqa: PLR0913  # clock, chance and wake-up are injected
        self,
        database: Database,
        settings: SenderSettings,
        sealer: Sealer,
        *,
        clock: Callable[[], float] = time.time,
        randomness: Callable[[int], bytes] = os.urandom,
        check_url: CheckUrl = any_url,
        published: Callable[[], None] = nobody,
        notify: bool = False,
    ) -> None:
        """`notify`: somebody is told of dead letters (`sender.engine.Notifier`)."""
        self.context = Context(database, settings, sealer, clock, randomness, check_url, published, notify)
        self._keys = Keys(self.context)
        self._sessions = Sessions(self.context)
        self._keeper = Keeper(self.context)
        self.replaying = Replaying(self.context)

    def tenant(self, organisation_id: str, once: Once | None = None) -> Tenant:
        """What one organisation sees and does; `once` makes the one write that follows idempotent."""
        return Tenant(Scope(self.context, organisation_id, once))

    async def publish(
        self,
        organisation_id: str,
        events: Sequence[Publishable],
        *,
        connection: AsyncConnection | Connection | None = None,
    ) -> list[EventReceipt]:
        """Store 1 to 100 events, each with one delivery for every subscription that wants it; receipts in order.

        With `connection`, a connection to the same database with a transaction open, the events are published when
        the caller commits, and not at all when it rolls back (transactional outbox). Commit soon: until then nobody
        else writes on SQLite, nor changes the organisation's subscriptions on PostgreSQL. One transaction, whatever
        the number. Raises ApiError, and then nothing was stored; ValueError for a connection to another kind of
        database.
        """
        return await publishing.publish(Scope(self.context, organisation_id), events, connection)

    async def organisation(self, name: str) -> str:
        """The id of the organisation of this name. Raises ApiError `resource_not_found`."""
        return await self._keys.organisation(name)

    async def create_organisation_key(self, name: str, expires_at: datetime | None = None) -> NewKey:
        """A key for the organisation of this name, which is made where it does not exist."""
        return await self._keys.create(name, expires_at)

    async def list_keys(self, name: str) -> list[KeyInfo]:
        """All keys of an organisation, the newest first. Raises ApiError `resource_not_found`."""
        return await self._keys.list(name)

    async def revoke_key(self, name: str, key_id: str) -> KeyInfo:
        """Refuse this key from now on; in other processes within two seconds. Raises ApiError `resource_not_found`."""
        return await self._keys.revoke(name, key_id)

    async def authenticate(self, key: str) -> Caller:
        """Whose key this is. Raises ApiError `invalid_api_key`, `expired_api_key`, `revoked_api_key`."""
        return await self._keys.authenticate(key)

    async def sign_in(self, key: str, replaced: str | None = None) -> SignedIn:
        """Begin a session of the dashboard, in place of the one that has the token `replaced`.

        Raises as `authenticate`.
        """
        return await self._sessions.begin(await self.authenticate(key), replaced)

    async def session(self, token: str) -> Caller | None:
        """Who is signed in with this token; None once the session, or the key it was begun with, has ended."""
        return await self._sessions.caller(token)

    async def sign_out(self, token: str) -> None:
        await self._sessions.end(token)

    async def check_master_key(self) -> None:
        """Raises `MasterKeyError` unless the sealer's keys open this database; a new one is marked as theirs."""
        await rekeying.check(self.context)

    async def rekey(self) -> Rekeyed:
        """Seal all that is sealed anew under the first master key, in bounded steps. May be run again."""
        return await rekeying.rekey(self.context)

    async def keep(self) -> Kept:
        """One bounded round of what time brings: retention, expiry, what a deletion left. May be called anywhere."""
        return await self._keeper.round()

    async def erase(
        self,
        customer: Number,
        organisation: str | None = None,
        *,
        dry_run: bool = False,
        tell: Callable[[Erasure], None] = untold,
    ) -> Erasure:
        """Erase what is held of a customer, of all organisations or the one of this name; what is open stays.

        Calls `tell` after each step. Raises ApiError `resource_not_found`. A SQLite file is to be built anew then
        (`database.rebuilding`).
        """
        of = None if organisation is None else await self.organisation(organisation)
        return await erasing.erase(self.context, customer, of, dry_run=dry_run, tell=tell)

    async def has_erased(self) -> bool:
        """Whether anything was ever erased that is still listed."""
        return await self.context.database.read(is_any_erased)

    async def ledger(self) -> Ledger:
        """Whether every delivery is accounted for, at this moment. Works while publishers and engines do."""
        return await accounting.take(self.context)
