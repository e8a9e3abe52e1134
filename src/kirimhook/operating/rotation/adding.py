"""Another secret for the subscription, written into the file. Whoever is interrupted and begins again gets the same.

The call carries an Idempotency-Key that is on disk before it is made, so that a second call is answered as the first.
Keys are forgotten after 24 hours (contract section 5). After that, what the call may have made is deleted, and another
secret is asked for: nobody knows its value.
"""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from kirimhook.client import NotFound
from kirimhook.operating.rotation.errors import RotationError
from kirimhook.operating.rotation.steps import Step

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kirimhook.contract.resources import NewSecret
    from kirimhook.operating.rotation.journal import Journal
    from kirimhook.operating.rotation.stage import Stage
    from kirimhook.operating.secrets_file import Entry

KEY_LASTS = 23 * 3600.0
"""Seconds; an hour less than the sender promises."""
SKEW = 300.0
"""Seconds by which the sender's clock may be behind ours."""


def new_key() -> str:
    return f"rotate-{uuid.uuid4()}"


async def add(stage: Stage, journal: Journal) -> Journal:
    in_force = await stage.in_force(journal.subscription_id)
    entry = written(stage, journal)
    if entry is None or entry.secret_id not in in_force:
        journal, made = await _made(stage, journal)
        stage.file.add(made.secret, journal.subscription_id, made.id)
        entry = written(stage, replace(journal, new_id=made.id))
    if entry is None or entry.secret_id is None:
        raise RotationError(f"{stage.file.path}: what was just written is not there: somebody else writes it too")
    fingerprint = entry.secret.fingerprint
    stage.tell(Step.ADD, f"{entry.secret_id} ({fingerprint}) is added, and written to {stage.file.path}")
    return replace(journal, new_id=entry.secret_id, new_fingerprint=fingerprint, added_at=stage.clock())


def written(stage: Stage, journal: Journal) -> Entry | None:
    """The line of the new secret, where it is in the file already."""
    for entry in stage.file.entries():
        is_ours = entry.subscription_id == journal.subscription_id and entry.secret.fingerprint not in journal.old
        if is_ours and entry.secret_id not in journal.before and journal.new_id in {None, entry.secret_id}:
            return entry
    return None


async def _made(stage: Stage, journal: Journal) -> tuple[Journal, NewSecret]:
    """The secret. It is made anew where the one that was made has been deleted since."""
    for _ in range(2):
        journal = await prepared(stage, journal)
        made = await call(stage, journal)
        if made.id in await stage.in_force(journal.subscription_id):
            return journal, made
        journal = replace(journal, key=new_key(), posted_at=None)
    raise RotationError(f"{journal.subscription_id} was given a secret twice that somebody else deleted at once")


async def prepared(stage: Stage, journal: Journal) -> Journal:
    """With a key that is remembered, written down before it is used."""
    if journal.posted_at is not None and stage.clock() - journal.posted_at < KEY_LASTS:
        return journal
    if journal.posted_at is not None:
        await delete_orphans(stage, journal)
        journal = replace(journal, key=new_key())
    journal = replace(journal, posted_at=stage.clock())
    stage.journal.save(journal)
    return journal


async def call(stage: Stage, journal: Journal) -> NewSecret:
    """Raises ApiError."""
    secrets = stage.api.webhook_subscriptions.secrets
    return await secrets.create(journal.subscription_id, idempotency_key=journal.key)


async def delete_orphans(stage: Stage, journal: Journal) -> None:
    """What a call of long ago may have made: not there before, not in the file, made since. Nobody has its value."""
    try:
        in_force = await stage.in_force(journal.subscription_id)
    except NotFound:
        return
    for orphan in orphans(in_force, journal, [entry.secret_id for entry in stage.file.entries()]):
        await stage.delete(journal.subscription_id, orphan)
        stage.tell(journal.step, f"{orphan} is deleted: an interrupted call made it, and nobody has its value")


def orphans(in_force: Mapping[str, datetime], journal: Journal, known: list[str | None]) -> list[str]:
    """Their ids. `known`: ids that lines of the file name."""
    since = datetime.fromtimestamp((journal.posted_at or 0.0) - SKEW, UTC)
    return [
        one for one, made_at in in_force.items() if one not in journal.before and one not in known and made_at >= since
    ]
