"""The account at the end: what was published, what the sender's ledger says, what the inbox and the handlers hold."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kirimhook.backends import open_inbox
from kirimhook.cli.demo.platform import Published
from kirimhook.receiver.inbox import Filter
from kirimhook.receiver.model import EventState

PAGE = 500


@dataclass(frozen=True, slots=True)
class Sent:
    """The sender's side, of its ledger: counts of deliveries."""

    balances: bool
    originals: int
    succeeded: int
    dead: int
    open: int
    replays: int


@dataclass(frozen=True, slots=True)
class Balance:
    """Both sides. Counts of events, but for `repeated` and `duplicates`, which count publishes, and the forgeries."""

    events: int
    repeated: int
    duplicates: int
    sent: Sent
    forged: int
    refused: int
    completed_once: int
    completed_twice: int
    lost: int
    unexpected: int

    @property
    def holds(self) -> bool:
        """Each event has one delivery and was completed once, by itself or by the one replay of a dead letter."""
        sent = self.sent
        clean = self.completed_twice == self.lost == self.unexpected == sent.open == 0
        delivered = sent.balances and self.events == sent.originals == sent.succeeded + sent.dead
        once = self.events == self.completed_once and self.duplicates == self.repeated
        return clean and delivered and once and sent.replays == sent.dead and self.refused == self.forged

    def rows(self) -> list[tuple[str, int]]:
        return [
            ("events published", self.events),
            ("published again, and told so", self.duplicates),
            ("deliveries", self.sent.originals),
            ("succeeded", self.sent.succeeded),
            ("dead letters", self.sent.dead),
            ("dead letters replayed", self.sent.replays),
            ("still open", self.sent.open),
            ("forgeries sent", self.forged),
            ("forgeries refused", self.refused),
            ("completed once", self.completed_once),
            ("completed twice", self.completed_twice),
            ("lost", self.lost),
            ("unexpected", self.unexpected),
        ]


async def balance(inbox: Path, published: Published, ledger: dict[str, Any], answers: list[int]) -> Balance:
    """Settle the account, once neither side has anything left to do. `answers` are those to forgeries."""
    done = await _done(inbox)
    completions = _book(inbox)
    events = published.events
    return Balance(
        events=len(events),
        repeated=published.repeated,
        duplicates=published.duplicates,
        sent=_sent(ledger),
        forged=len(answers),
        refused=answers.count(401),
        completed_once=sum(key in done and completions[done[key]] == 1 for key in events),
        completed_twice=sum(times > 1 for times in completions.values()),
        lost=len(events - done.keys()),
        unexpected=len(done.keys() - events),
    )


def _sent(ledger: dict[str, Any]) -> Sent:
    """Of the one subscription that there is."""
    [account] = ledger["subscriptions"]
    counts = {name: account[name] for name in ("originals", "succeeded", "dead", "open", "replays")}
    return Sent(balances=ledger["balances"], **counts)


async def _done(path: Path) -> dict[bytes, int]:
    """The number of every completed event, by dedupe key."""
    inbox = open_inbox(f"sqlite:///{path}")
    await inbox.open()
    try:
        found: dict[bytes, int] = {}
        cursor: str | None = None
        while True:
            page = await inbox.list(Filter(states=frozenset({EventState.DONE})), PAGE, cursor)
            found.update((stored.event.dedupe_key, stored.number) for stored in page.events)
            cursor = page.next_cursor
            if cursor is None:
                return found
    finally:
        await inbox.close()


def _book(path: Path) -> Counter[int]:
    """How often each event was completed, as the handlers booked it."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        rows = connection.execute("SELECT event, count(*) FROM demo_book GROUP BY event")
        return Counter(dict(rows.fetchall()))
