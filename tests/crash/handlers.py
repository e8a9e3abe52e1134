"""The handlers of the receivers under test: one for each way of calling a handler, each leaving a trace.

`message.*` books its event in the transaction that completes it. `contact.updated` (async) and
`contact.created` (in a thread) write when they begin and when they end into a journal, one write a line.
"""

from __future__ import annotations

import asyncio

from kirimhook import Event, Hooks
from kirimhook.receiver.inbox import Transaction
from tests.crash.journal import BEGIN, END, note

WORK = 0.002
"""Seconds that an async handler takes."""
EFFECTS = """
CREATE TABLE IF NOT EXISTS effects (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, number INTEGER NOT NULL, event_id TEXT NOT NULL, key TEXT)"""

hooks = Hooks()


@hooks.on("message.received", "message.status", transaction=True)
def in_transaction(event: Event, tx: Transaction) -> None:
    tx.execute(EFFECTS)
    tx.execute(
        "INSERT INTO effects (number, event_id, key) VALUES (?, ?, ?)", (event.number, event.id, event.ordering_key)
    )


@hooks.on("contact.updated")
async def on_the_loop(event: Event) -> None:
    note(BEGIN, event)
    await asyncio.sleep(WORK)
    note(END, event)


@hooks.on("contact.created")
def in_a_thread(event: Event) -> None:
    note(BEGIN, event)
    note(END, event)
