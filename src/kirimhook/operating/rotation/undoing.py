"""The way back, as long as no old secret may be gone: the subscription loses the new secret, then the file does."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from kirimhook.client import NotFound
from kirimhook.contract.errors import ApiError
from kirimhook.operating.rotation import adding
from kirimhook.operating.rotation.errors import RotationError
from kirimhook.operating.rotation.stage import unlike
from kirimhook.operating.rotation.steps import Step

if TYPE_CHECKING:
    from kirimhook.operating.rotation.journal import Journal
    from kirimhook.operating.rotation.receivers import Look
    from kirimhook.operating.rotation.stage import Stage


async def take_back(stage: Stage, journal: Journal) -> Journal:
    """Only while an old secret is in force and every receiver has one: else the new one alone signs."""
    try:
        in_force = await stage.in_force(journal.subscription_id)
    except NotFound:  # there is nothing that could be refused
        return _with_line(stage, journal)
    if not in_force.keys() & set(journal.before):
        raise RotationError("the old secrets are not in force any more: it can only go on, without --abort")
    await stage.until(Step.TAKE_BACK, lambda: _old_are_gone(stage, journal))
    journal = await _found(stage, journal)
    if journal.new_id is not None:
        await stage.delete(journal.subscription_id, journal.new_id)
        stage.tell(Step.TAKE_BACK, f"{journal.new_id} is deleted: the sender signs as it did before")
    return journal


async def unwrite(stage: Stage, journal: Journal) -> Journal:
    """Receivers drop it when they see that it is gone; nothing is signed with it meanwhile."""
    gone = [
        entry.secret
        for entry in stage.file.entries()
        if entry.secret.fingerprint not in journal.old
        and (entry.secret.fingerprint == journal.new_fingerprint or (entry.secret_id or "") == journal.new_id)
    ]
    stage.file.drop(gone)
    stage.tell(Step.UNWRITE, f"{stage.file.path} is as it was before")
    return journal


async def _old_are_gone(stage: Stage, journal: Journal) -> str | None:
    held = [entry for entry in stage.file.entries() if entry.secret.fingerprint in journal.old]
    if not held:
        raise RotationError(f"{stage.file.path} does not hold the old secrets any more: it can only go on")
    return unlike(await stage.receivers.look(), lambda look: _lacks(look, journal))


def _lacks(look: Look, journal: Journal) -> str | None:
    return None if look.everywhere & frozenset(journal.old) else "not every process has an old secret"


async def _found(stage: Stage, journal: Journal) -> Journal:
    """With the secret that an interrupted call may have made: written down, or in the file, or answered once more."""
    found = _with_line(stage, journal)
    if found.new_id is not None or journal.posted_at is None:
        return found
    if stage.clock() - journal.posted_at >= adding.KEY_LASTS:
        await adding.delete_orphans(stage, journal)
        return journal
    try:
        made = await adding.call(stage, journal)
    except ApiError as error:
        if error.code != "too_many_secrets":  # only the first call can be refused so: it made nothing
            raise
        return journal
    found = replace(journal, new_id=made.id, new_fingerprint=made.secret.fingerprint)
    stage.journal.save(found)
    return found


def _with_line(stage: Stage, journal: Journal) -> Journal:
    entry = adding.written(stage, journal) if journal.new_id is None else None
    if entry is None:
        return journal
    return replace(journal, new_id=entry.secret_id, new_fingerprint=entry.secret.fingerprint)
