"""Retention: what is past it goes, in bounded steps, so that nobody waits for long behind one."""

from __future__ import annotations

import asyncio

from kirimhook.observe import Meter, Observer
from kirimhook.receiver.inbox import Inbox
from kirimhook.settings import ReceiverSettings


async def keep_purging(inbox: Inbox, settings: ReceiverSettings, observer: Observer, meter: Meter) -> None:
    """Now, and after every `purge_interval`, until cancelled."""
    while True:
        try:
            await _purge(inbox, settings.purge_batch, observer, meter.counter("kirimhook_purged_total"))
        except Exception as error:  # the next time is soon
            observer.event("purge_failed", reason=repr(error))
        await asyncio.sleep(settings.purge_interval)


async def _purge(inbox: Inbox, batch: int, observer: Observer, counts: dict[str, int]) -> None:
    more = True
    while more:
        payloads, records, more = await inbox.purge(batch)
        counts["payloads"] += payloads
        counts["records"] += records
        if payloads or records:
            observer.event("purged", payloads=payloads, records=records)
