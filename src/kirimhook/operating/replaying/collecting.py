"""Which deliveries: all pages of a list, read once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from kirimhook.contract.resources import Delivery, DeliveryKind
from kirimhook.operating.replaying.abilities import Abilities, abilities
from kirimhook.operating.replaying.snapshot import Failing

if TYPE_CHECKING:
    from kirimhook.client import AsyncKirim, AsyncListing


@dataclass(frozen=True, slots=True)
class Selection:
    """Failing deliveries of one subscription. Moments are aware and excluded themselves; None means any."""

    subscription_id: str
    status: Failing = "dead"
    event_type: str | None = None
    event_id: str | None = None
    kind: DeliveryKind | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    again: bool = False
    """Also those that were replayed before."""

    def holds(self, one: Delivery) -> bool:
        """Whether this is one of them: an API that does not know a filter may list others as well."""
        return (
            (one.subscription_id, one.status) == (self.subscription_id, self.status)
            and self.event_type in (None, one.event_type)
            and self.event_id in (None, one.event_id)
            and self.kind in (None, one.kind or DeliveryKind.ORIGINAL)
            and (self.created_after is None or one.created_at > self.created_after)
            and (self.created_before is None or one.created_at < self.created_before)
            and (self.again or one.replayed_by is None)
            and one.event_id != ""  # erased on request: there is nothing to send
        )


def _told(_count: int) -> None: ...


async def collect(client: AsyncKirim, selection: Selection, tell: Callable[[int], None] = _told) -> list[str]:
    """Their ids, the oldest first. Calls `tell` with how many there are so far, after each page.

    Of a delivery and its replay, both of which are selected, it is the replay: the event is sent once. Raises what the
    client raises.
    """
    able = await abilities(client)
    found: dict[str, str | None] = {}
    async for page in _listing(client, selection, able).pages():
        found.update({str(one.id): one.replayed_by for one in page.items if selection.holds(one)})
        tell(len(found))
    return [one for one, replayed_by in reversed(found.items()) if replayed_by not in found]


def _listing(client: AsyncKirim, selection: Selection, able: Abilities) -> AsyncListing[Delivery]:
    return client.webhook_deliveries.list(
        subscription_id=selection.subscription_id,
        status=selection.status,
        event_type=selection.event_type,
        event_id=selection.event_id,
        kind=selection.kind,
        unreplayed=True if able.unreplayed and not selection.again else None,
        created_after=selection.created_after,
        created_before=selection.created_before,
    )
