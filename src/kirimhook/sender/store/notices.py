"""What the operator is to be told of: written with what happened, taken out once it was told.

A row stands for all that happened in one transaction, of one kind, to one subscription, for one reason. Its id is that
of what happened, so that it is told of once however often it is written. Rows that wait are merged, so that the table
stays as small as there are such groups, however long nobody takes them.

One row is no notice: the turn, which one process at a time has, and which paces the tellings. Its `due_at` is when
somebody may tell next, its `attempts` how often nobody has taken it in a row.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import NamedTuple

from sqlalchemy import Connection

from kirimhook.sender.store.batches import Column, both, fetch, inserting, plan_by_index, run, run_batch
from kirimhook.telling import Kind, Notice, digest, merged

_TURN = "turn"
_FAR_TOO_OFTEN = 1000
"""Failures in a row; nobody counts on."""

_ADD = inserting("notices", Column("id"), Column("notice"), Column("due_at", "bigint"))
_READY = both("""SELECT 1 WHERE EXISTS (SELECT 1 FROM notices WHERE id <> 'turn')
AND NOT EXISTS (SELECT 1 FROM notices WHERE id = 'turn' AND due_at > $1 AND due_at <= $2)""")
_TAKE_TURN = both("""UPDATE notices SET due_at = $3 WHERE id = 'turn' AND (due_at <= $1 OR due_at > $2)
RETURNING attempts""")
_PASS_TURN = both("UPDATE notices SET due_at = $2, attempts = $3 WHERE id = 'turn' AND due_at = $1")
_OLDEST = both("SELECT id, notice FROM notices WHERE id <> 'turn' ORDER BY due_at, id LIMIT $1")
_DELETE = both("DELETE FROM notices WHERE id IN $1")


class Died(NamedTuple):
    """A delivery that became a dead letter."""

    delivery_id: str
    subscription_id: str
    reason: str
    error: str | None = None
    """Of its last attempt."""


class Gathered(NamedTuple):
    """Rows that wait, by id. `more`: whether there may be others to merge with them."""

    notices: dict[str, Notice]
    more: bool


def add_dead(connection: Connection, died: Iterable[Died], at: int) -> None:
    """One notice for each subscription and reason, whatever the number. `at`: milliseconds."""
    groups: dict[tuple[str, str], list[Died]] = {}
    for one in died:
        groups.setdefault((one.subscription_id, one.reason), []).append(one)
    notices = [
        Notice(Kind.DEAD_LETTERS, reason, at, at, who, None, len(ones), _ids(ones), ones[-1].error)
        for (who, reason), ones in groups.items()
    ]
    firsts = [ones[0].delivery_id for ones in groups.values()]
    add(connection, [(f"dead_letters:{first}", notice) for first, notice in zip(firsts, notices, strict=True)])


def _ids(died: Sequence[Died]) -> tuple[str, ...]:
    return tuple(one.delivery_id for one in died)


def add(connection: Connection, notices: Iterable[tuple[str, Notice]]) -> None:
    """Each with its id. Bounded as `merged` does it."""
    rows = [(id_, _written(one), one.first_at) for id_, notice in notices for one in merged([notice])]
    run_batch(connection, _ADD, rows)


def ready(connection: Connection, now: int, latest: int) -> bool:
    """Whether there is anything to tell, and it may be told at `now`. `latest`: until then a turn can be taken; one
    that is taken beyond it was taken by a clock that was wrong, and counts as free."""
    return bool(fetch(connection, _READY, now, latest))


def take_turn(connection: Connection, now: int, latest: int, until: int) -> int | None:
    """Nobody else tells before `until`. How often in a row it failed before; None: it is not free."""
    run_batch(connection, _ADD, [(_TURN, "{}", 0)])
    rows = fetch(connection, _TAKE_TURN, now, latest, until)
    return int(rows[0][0]) if rows else None


def gather(connection: Connection, most: int) -> Gathered:
    """The `most` rows that wait longest, and what can be merged of them merged, here and in the table.

    What is merged is another row, with an id of its own: who told a part of it before cannot take it out.
    """
    plan_by_index(connection)
    rows = [(id_, _read(notice)) for id_, notice in fetch(connection, _OLDEST, most)]
    groups: dict[tuple[str, ...], list[tuple[str, Notice]]] = {}
    for id_, notice in rows:
        groups.setdefault(notice.group, []).append((id_, notice))
    several = [group for group in groups.values() if len(group) > 1]
    made = {_id(group): merged([notice for _, notice in group])[0] for group in several}
    gone = [id_ for group in several for id_, _ in group]
    if gone:
        run(connection, _DELETE, gone)
        add(connection, made.items())
    kept = {group[0][0]: group[0][1] for group in groups.values() if len(group) == 1}
    return Gathered(kept | made, len(rows) == most and len(groups) < most // 2)


def _id(group: Sequence[tuple[str, Notice]]) -> str:
    return f"{group[0][1].kind}:{digest(id_ for id_, _ in group)}"


def told(connection: Connection, ids: list[str], until: int, next_at: int) -> None:
    """These are done. The turn that was taken until `until`, if it has not passed to another, is free at `next_at`."""
    if ids:
        run(connection, _DELETE, ids)
    run(connection, _PASS_TURN, until, next_at, 0)


def put_off(connection: Connection, until: int, next_at: int, failures: int) -> None:
    """Nobody took them, for the so-manieth time."""
    run(connection, _PASS_TURN, until, next_at, min(failures, _FAR_TOO_OFTEN))


def _written(notice: Notice) -> str:
    return json.dumps({name: value for name, value in asdict(notice).items() if value is not None})


def _read(written: str) -> Notice:
    fields = json.loads(written)
    return Notice(**{**fields, "kind": Kind(fields["kind"]), "examples": tuple(fields["examples"])})
