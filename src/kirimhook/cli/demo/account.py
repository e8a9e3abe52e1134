"""The account at the end: what the sender was told, against what the inbox and the handlers' book hold."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from kirimhook.backends import open_inbox
from kirimhook.cli.demo.provider import Account
from kirimhook.receiver.inbox import Filter
from kirimhook.receiver.model import EventState

PAGE = 500


@dataclass(frozen=True, slots=True)
class Balance:
    """Counts of events, but for `posts`, `resent`, `duplicates` and `refused`, which count requests."""

    events: int
    posts: int
    acked: int
    resent: int
    duplicates: int
    refused: int
    forged: int
    completed_once: int
    completed_twice: int
    lost: int
    unexpected: int

    @property
    def holds(self) -> bool:
        """Every event acknowledged and completed once, every forgery refused, nothing beside that."""
        clean = self.completed_twice == self.lost == self.unexpected == 0
        return clean and self.events == self.acked == self.completed_once and self.refused == self.forged

    def rows(self) -> list[tuple[str, int]]:
        return [
            ("events sent", self.events),
            ("requests, resends and duplicates included", self.posts),
            ("resent, because nothing or 503 came back", self.resent),
            ("events acked", self.acked),
            ("duplicates acked", self.duplicates),
            ("forgeries sent", self.forged),
            ("forgeries refused", self.refused),
            ("completed once", self.completed_once),
            ("completed twice", self.completed_twice),
            ("lost", self.lost),
            ("unexpected answers", self.unexpected),
        ]


async def balance(database: Path, account: Account, sent: set[bytes], forged: int) -> Balance:
    """Settle the account over `sent` (dedupe keys), once the receiver has nothing left to do."""
    done = await _done(database)
    completions = _book(database)
    return Balance(
        events=len(sent),
        posts=account.posts,
        acked=len(account.acked),
        resent=account.resent,
        duplicates=account.duplicates,
        refused=account.refused_forgeries,
        forged=forged,
        completed_once=sum(key in done and completions[done[key]] == 1 for key in sent),
        completed_twice=sum(times > 1 for times in completions.values()),
        lost=sum(key not in done for key in account.acked),
        unexpected=account.unexpected.total() + len(done.keys() - sent),
    )


async def _done(database: Path) -> dict[bytes, int]:
    """The number of every completed event, by dedupe key."""
    inbox = open_inbox(f"sqlite:///{database}")
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


def _book(database: Path) -> Counter[int]:
    """How often each event stands in the handlers' book."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        rows = connection.execute("SELECT event, count(*) FROM demo_book GROUP BY event")
        return Counter(dict(rows.fetchall()))
