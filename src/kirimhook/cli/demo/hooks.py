"""The handlers of the demo's receiver: each prints its event, and books it in the transaction that completes it.

The book is the demo's proof: a row stands there as often as the event was completed.
"""

from __future__ import annotations

from kirimhook import Event, Hooks
from kirimhook.receiver.inbox import Transaction

BOOK = "CREATE TABLE IF NOT EXISTS demo_book (event INTEGER NOT NULL, event_id TEXT NOT NULL)"

hooks = Hooks()


@hooks.on("message.received", transaction=True)
def message(event: Event, tx: Transaction) -> None:
    for item in event.messages:
        print(f"message    {item['type']:<12} from {item['from']}", flush=True)
    book(event, tx)


@hooks.on("message.status", transaction=True)
def status(event: Event, tx: Transaction) -> None:
    for item in event.statuses:
        print(f"status     {item['status']:<12} to {item['recipient_id']}", flush=True)
    book(event, tx)


@hooks.on("*", transaction=True)
def anything_else(event: Event, tx: Transaction) -> None:
    print(f"{event.type:<23} {event.id}", flush=True)
    book(event, tx)


def book(event: Event, tx: Transaction) -> None:
    tx.execute(BOOK)
    tx.execute("INSERT INTO demo_book VALUES (?, ?)", (event.number, event.id))
