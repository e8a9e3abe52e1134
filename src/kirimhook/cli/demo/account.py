"""The account at the end: what was published, what the sender's ledger says, what the inbox and the handlers hold."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from kirimhook.cli.demo.platform import Published
from kirimhook.receiver.inbox import Filter, Inbox
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
    handled_again: int | None = None
    """Handlings beyond the first of an event, where no transaction rules them out."""

    @property
    def holds(self) -> bool:
        """Each event has one delivery and was completed once, by itself or by the one replay of a dead letter."""
        sent = self.sent
        clean = self.completed_twice == self.lost == self.unexpected == sent.open == 0
        delivered = sent.balances and self.events == sent.originals == sent.succeeded + sent.dead
        once = self.events == self.completed_once and self.duplicates == self.repeated
        return clean and delivered and once and sent.replays == sent.dead and self.refused == self.forged

    def rows(self) -> list[tuple[str, int]]:
        again = [] if self.handled_again is None else [("handled again after the kill", self.handled_again)]
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
            *again,
        ]


@dataclass(frozen=True, slots=True)
class Handled:
    """The receiver's side: what its inbox says, and what its handlers booked."""

    done: dict[bytes, list[int]]
    """Numbers of the completed events by dedupe key: one for each, or it was stored twice."""
    book: Counter[int]
    """How often each was handled to the end."""
    exactly_once: bool
    """The book is kept in the transaction that completes an event."""

    @property
    def once(self) -> set[bytes]:
        """Completed once: stored once, and booked as often as its inbox allows."""
        return {key for key, numbers in self.done.items() if len(numbers) == 1 and self._is_booked(numbers[0])}

    @property
    def twice(self) -> int:
        stored = sum(len(numbers) > 1 for numbers in self.done.values())
        return stored + (sum(times > 1 for times in self.book.values()) if self.exactly_once else 0)

    @property
    def again(self) -> int | None:
        return None if self.exactly_once else sum(times - 1 for times in self.book.values())

    def _is_booked(self, number: int) -> bool:
        return self.book[number] == 1 if self.exactly_once else self.book[number] >= 1


def balance(handled: Handled, published: Published, ledger: dict[str, Any], answers: list[int]) -> Balance:
    """Settle the account, once neither side has anything left to do. `answers` are those to forgeries."""
    events = published.events
    return Balance(
        events=len(events),
        repeated=published.repeated,
        duplicates=published.duplicates,
        sent=_sent(ledger),
        forged=len(answers),
        refused=answers.count(401),
        completed_once=len(events & handled.once),
        completed_twice=handled.twice,
        lost=len(events - handled.done.keys()),
        unexpected=len(handled.done.keys() - events),
        handled_again=handled.again,
    )


def _sent(ledger: dict[str, Any]) -> Sent:
    """Of the one subscription that there is."""
    [account] = ledger["subscriptions"]
    counts = {name: account[name] for name in ("originals", "succeeded", "dead", "open", "replays")}
    return Sent(balances=ledger["balances"], **counts)


async def completed(inbox: Inbox) -> dict[bytes, list[int]]:
    """The numbers of all completed events, by dedupe key."""
    found: dict[bytes, list[int]] = {}
    cursor: str | None = None
    while True:
        page = await inbox.list(Filter(states=frozenset({EventState.DONE})), PAGE, cursor)
        for stored in page.events:
            found.setdefault(stored.event.dedupe_key, []).append(stored.number)
        cursor = page.next_cursor
        if cursor is None:
            return found
