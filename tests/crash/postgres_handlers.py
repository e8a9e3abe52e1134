"""The handlers on PostgreSQL: as `plain_handlers`, and `message.*` books its event in the transaction that ends it."""

from __future__ import annotations

from kirimhook import Event, Hooks
from kirimhook.receiver.inbox import Transaction
from tests.crash.handlers import in_a_thread, on_the_loop

EFFECTS = "CREATE TABLE public.effects (seq bigserial PRIMARY KEY, number bigint, event_id text, key text)"

hooks = Hooks()
hooks.on("contact.updated")(on_the_loop)
hooks.on("contact.created")(in_a_thread)


@hooks.on("message.received", "message.status", transaction=True)
def in_transaction(event: Event, tx: Transaction) -> None:
    tx.execute(
        "INSERT INTO public.effects (number, event_id, key) VALUES ($1, $2, $3)",
        (event.number, event.id, event.ordering_key),
    )
