"""The handlers of the demo's receiver: each prints its event, and books it.

The book is the demo's proof. Where the inbox has transactions, an event is booked in the one that completes it: a row
stands there as often as the event was completed. NATS has none: a line is written before the event is completed, and
once more if the worker is killed between the two.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from kirimhook import Event, Hooks
from kirimhook.receiver.inbox import Transaction

BOOK = "CREATE TABLE IF NOT EXISTS demo_book (event INTEGER NOT NULL, event_id TEXT NOT NULL)"
BOOK_FILE = "handled.txt"
"""In the working folder."""


def show(event: Event) -> None:
    if event.type == "message.received":
        for item in event.messages:
            print(f"message    {item['type']:<12} from {item['from']}", flush=True)
    elif event.type == "message.status":
        for item in event.statuses:
            print(f"status     {item['status']:<12} to {item['recipient_id']}", flush=True)
    else:
        print(f"{event.type:<23} {event.id}", flush=True)


def in_sqlite(event: Event, tx: Transaction) -> None:
    tx.execute(BOOK)
    tx.execute("INSERT INTO demo_book VALUES (?, ?)", (event.number, event.id))


def in_postgresql(event: Event, tx: Transaction) -> None:
    tx.execute("INSERT INTO public.demo_book VALUES ($1, $2)", (event.number, event.id))


def in_a_transaction(book: Callable[[Event, Transaction], None]) -> Hooks:
    hooks = Hooks()

    @hooks.on("*", transaction=True)
    def handle(event: Event, tx: Transaction) -> None:
        show(event)
        book(event, tx)

    return hooks


def in_a_file() -> Hooks:
    hooks = Hooks()

    @hooks.on("*")
    def handle(event: Event) -> None:
        show(event)
        file = os.open(BOOK_FILE, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(file, f"{event.number} {event.id}\n".encode())
        finally:
            os.close(file)

    return hooks


on_sqlite = in_a_transaction(in_sqlite)
on_postgresql = in_a_transaction(in_postgresql)
on_nats = in_a_file()
