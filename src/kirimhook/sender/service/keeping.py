"""What time brings: dead letters of deleted subscriptions, expiry, purge. Contract section 4, in bounded rounds."""

from __future__ import annotations

from typing import NamedTuple

from kirimhook.sender.service.context import Context
from kirimhook.sender.service.replaying import Adopter
from kirimhook.sender.service.traffic import KEPT_MINUTES, last_minutes
from kirimhook.sender.store import minutes, replay_runs, retention, sessions


class Kept(NamedTuple):
    """What one round did."""

    closed: int
    """Open deliveries of deleted subscriptions, now dead letters."""
    expired: int
    """Deliveries that were still open at the end of their retention, now dead letters."""
    deliveries: int
    """Purged, with their attempts."""
    events: int
    """Forgotten, body and dedupe key, behind the last of their deliveries."""
    answers: int
    """Idempotency keys forgotten."""
    sessions: int
    """Of the dashboard, expired."""
    minutes: int
    """Sums of attempts, past the time for which the dashboard shows them."""
    replay_runs: int
    """Replays of all that matched, which ended longer ago than deliveries are kept."""
    running: bool
    """Whether a replay of all that match is under way: it may be left alone within `LEFT_ALONE` seconds."""
    more: bool
    """Whether another round would find something at once."""


class Keeper:
    """Remembers how far its walk over events has come. Several, in several processes, take turns."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._adopter = Adopter(context)
        self._after = ""

    async def round(self) -> Kept:
        """Short transactions of at most `settings.keep_batch` rows each. Raises `StorageUnavailable`."""
        context, settings = self._context, self._context.settings
        now, batch, write, notify = context.now(), settings.keep_batch, context.database.write, context.notify
        horizon, oldest = now - int(settings.retention * 1000), now - int(settings.idempotency_seconds * 1000)
        closed = await write(lambda connection: retention.close_deleted(connection, batch, now, notify=notify))
        purged = await write(
            lambda connection: retention.purge_deliveries(connection, horizon, batch, now, notify=notify)
        )
        after = self._after
        forgotten = await write(lambda connection: retention.forget_events(connection, horizon, after, batch))
        answers = await write(lambda connection: retention.forget_answers(connection, oldest, batch))
        ended = await write(lambda connection: sessions.purge(connection, now, batch))
        past = last_minutes(now, KEPT_MINUTES).start
        summed = await write(lambda connection: minutes.purge(connection, past, batch))
        runs = await write(lambda connection: replay_runs.purge(connection, horizon, batch))
        adopted = await self._adopter.step()
        running = adopted or await context.database.read(replay_runs.is_any_running)
        self._after = forgotten.next
        more = closed > 0 or purged.more or bool(forgotten.next) or adopted or batch in (answers, ended, summed, runs)
        did = (closed, purged.expired, purged.deliveries, forgotten.events, answers, ended, summed, runs)
        return Kept(*did, running, more)
