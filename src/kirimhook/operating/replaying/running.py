"""Replaying what a snapshot holds: by their ids where the API takes them, else one by one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from kirimhook.client.errors import Conflict, InvalidRequest, NotFound, RateLimited
from kirimhook.operating.replaying.abilities import abilities
from kirimhook.operating.replaying.snapshot import Next, Snapshot
from kirimhook.operating.replaying.tally import Tally

if TYPE_CHECKING:
    from kirimhook.client import AsyncKirim

CHUNK = 1000
"""Deliveries of one request, where it takes them by their ids: the most that the API takes."""
KEY_HOURS = 23
"""How long an Idempotency-Key surely protects: the API keeps it for 24. Contract section 5."""
_UNASKED_WAIT = 60.0
"""Seconds after a 429 that does not say how long."""
_OF_ALL = frozenset(("subscription_deleted", "idempotency_in_progress"))
"""Conflicts that are not about one delivery."""


class Course(NamedTuple):
    """How far it has come. `waiting`: the seconds that the API asked to wait now."""

    total: int
    tally: Tally
    waiting: float = 0.0


def _untold(_course: Course) -> None: ...


async def replay(
    client: AsyncKirim,
    snapshot: Snapshot,
    *,
    rate: float | None = None,
    tell: Callable[[Course], None] = _untold,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
) -> Tally:
    """Go on where the snapshot says, to its end, at most `rate` deliveries a second. What came of all of it.

    Where the API has too many calls, waits as long as it asks. Raises what else the client raises, and OSError; what
    was done by then is in the snapshot, which stays: another call goes on.
    """
    by_ids = (await abilities(client)).ids
    run = _Run(client, snapshot, tell, clock, sleep)
    while snapshot.left:
        began = clock()
        if snapshot.next is None:
            snapshot.record(snapshot.tally, following := Next(_size(by_ids, rate, snapshot.left), by_ids, began))
            came = await run.step(following, is_repeat=False)
        else:
            came = await run.step(snapshot.next, is_repeat=True)
        tally = snapshot.tally.plus(came)
        snapshot.record(tally, None)
        tell(Course(snapshot.total, tally))
        if rate is not None and snapshot.left:
            due = came.done / rate
            await sleep(min(due, max(0.0, began + due - clock())))
    return snapshot.tally


def _size(by_ids: bool, rate: float | None, left: int) -> int:
    most = CHUNK if rate is None else max(1, int(min(CHUNK, rate)))
    return min(left, most) if by_ids else 1


class _Run:
    """One request after the other."""

    def __init__(
        self,
        client: AsyncKirim,
        snapshot: Snapshot,
        tell: Callable[[Course], None],
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[Any]],
    ) -> None:
        self._client = client
        self._snapshot = snapshot
        self._tell = tell
        self._clock = clock
        self._sleep = sleep
        self._replayed_before: frozenset[str] | None = None
        self._has_found_it = False

    async def step(self, following: Next, *, is_repeat: bool) -> Tally:
        """This request, which may have been made before (`is_repeat`); what it came to."""
        snapshot = self._snapshot
        ids = snapshot.ids[snapshot.done : snapshot.done + following.size]
        is_protected = is_repeat and self._clock() - following.at < KEY_HOURS * 3600
        if is_repeat and not is_protected and not snapshot.header.unreplayed:
            return Tally(unsure=len(ids))
        looks = snapshot.is_resumed and snapshot.header.unreplayed and not is_protected
        while True:
            try:
                return await (self._many(ids) if following.by_ids else self._one(ids[0], looks))
            except RateLimited as error:
                wait = _UNASKED_WAIT if error.retry_after is None else error.retry_after
                self._tell(Course(snapshot.total, snapshot.tally, wait))
                await self._sleep(wait)

    async def _many(self, ids: Sequence[str]) -> Tally:
        done = await self._client.webhook_deliveries.bulk_replay(
            subscription_id=self._snapshot.header.subscription_id,
            status=self._snapshot.header.status,
            unreplayed=self._snapshot.header.unreplayed or None,
            ids=ids,
            idempotency_key=self._snapshot.key(),
        )
        return Tally(replayed=done.enqueued, gone=len(ids) - done.enqueued)

    async def _one(self, delivery_id: str, looks: bool) -> Tally:
        """With `looks`, unless somebody replayed it since it was listed."""
        if looks and delivery_id in await self._replayed_since():
            return Tally(gone=1)
        try:
            await self._client.webhook_deliveries.replay(delivery_id, idempotency_key=self._snapshot.key())
        except NotFound:
            await self._find_subscription()
            return Tally(gone=1)
        except (Conflict, InvalidRequest) as error:
            if error.code in _OF_ALL:
                raise
            return Tally(refused=1)
        return Tally(replayed=1)

    async def _replayed_since(self) -> frozenset[str]:
        """Those that are left and were replayed by now, as the list says: it alone is publicly documented."""
        if self._replayed_before is None:
            header, left = self._snapshot.header, frozenset(self._snapshot.ids[self._snapshot.done :])
            listed = self._client.webhook_deliveries.list(subscription_id=header.subscription_id, status=header.status)
            found = [str(one.id) async for one in listed if one.id in left and one.replayed_by is not None]
            self._replayed_before = frozenset(found)
        return self._replayed_before

    async def _find_subscription(self) -> None:
        """Raises NotFound where nothing is to be found: another organisation's key, or a page that is not the API's."""
        if not self._has_found_it:
            await self._client.webhook_subscriptions.get(self._snapshot.header.subscription_id)
            self._has_found_it = True
