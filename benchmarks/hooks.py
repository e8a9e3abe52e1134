"""What the measured receivers do with an event: nothing, or something that must not delay an acknowledgement."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from pathlib import Path

from kirimhook import Event, Hooks
from kirimhook.receiver.inbox import Transaction

BLOCK_ASYNC = "bench.block.async"
BLOCK_PLAIN = "bench.block.plain"
SPIN = "bench.spin"
TRANSACTION = "bench.transaction"

EFFECTS = "bench_effects"

hooks = Hooks()


@hooks.on("*")
async def nothing(event: Event) -> None:
    """Handles what the load generator sends."""


@hooks.on(BLOCK_ASYNC)
async def block_the_loop(event: Event) -> None:
    """The mistake everybody makes once."""
    time.sleep(_seconds(event))  # noqa: ASYNC251  # a handler that blocks is what is measured


@hooks.on(BLOCK_PLAIN)
def block_a_thread(event: Event) -> None:
    time.sleep(_seconds(event))


@hooks.on(SPIN)
def spin(event: Event) -> None:
    """Computes, and so competes for the interpreter."""
    end = time.monotonic() + _seconds(event)
    while time.monotonic() < end:
        pass


@hooks.on(TRANSACTION, transaction=True)
def transact(event: Event, transaction: Transaction) -> None:
    """One row and a pause, in the inbox's own transaction; nothing once its time is over."""
    if time.time() < event.payload["until"]:
        transaction.execute(f"CREATE TABLE IF NOT EXISTS {EFFECTS} (number INTEGER PRIMARY KEY)")
        transaction.execute(f"INSERT INTO {EFFECTS} VALUES (?)", (event.number,))
        time.sleep(_seconds(event))


def count_effects(path: Path) -> int:
    """How often `transact` did something in this inbox. Raises sqlite3.Error when it never did."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return int(connection.execute(f"SELECT count(*) FROM {EFFECTS}").fetchone()[0])


def _seconds(event: Event) -> float:
    return float(event.payload["seconds"])
