"""Handlers that say when they run, and wait at a gate of their process until the test opens it.

`contact.updated` (async), `contact.created` (in a thread) and `message.*` (in a transaction) wait; so does
`conversation.assigned`. `conversation.closed`, of the same ordering key, books its event in a transaction.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from kirimhook import Event, Hooks
from kirimhook.receiver.inbox import Transaction
from tests.crash import handlers
from tests.crash.waiting import BETWEEN, until

GATE = "KIRIMHOOK_TEST_GATE"
"""The variable that names the file which opens the gate."""

hooks = Hooks()


def gate() -> Path:
    return Path(os.environ[GATE])


def running(event: Event) -> None:
    os.write(1, f"running {event.id}\n".encode())  # one write, from whichever thread


@hooks.on("contact.updated", "conversation.assigned", timeout=None)
async def on_the_loop(event: Event) -> None:
    running(event)
    while not gate().exists():  # noqa: ASYNC110  # the test opens it, from another process
        await asyncio.sleep(BETWEEN)


@hooks.on("contact.created", timeout=None)
def in_a_thread(event: Event) -> None:
    running(event)
    until(gate().exists, "the opening of the gate")


@hooks.on("message.received", transaction=True)
def waiting_in_transaction(event: Event, tx: Transaction) -> None:
    running(event)
    handlers.in_transaction(event, tx)
    until(gate().exists, "the opening of the gate")


@hooks.on("conversation.closed", transaction=True)
def in_transaction(event: Event, tx: Transaction) -> None:
    running(event)
    handlers.in_transaction(event, tx)
