"""A rotation from its beginning, or from where an interruption left it, to its end."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from kirimhook.contract.errors import ApiError
from kirimhook.contract.resources import SubscriptionStatus
from kirimhook.operating.rotation import adding, lines, proving, retiring, steps, undoing
from kirimhook.operating.rotation.errors import RefusedError, RotationError
from kirimhook.operating.rotation.journal import Journal
from kirimhook.operating.rotation.stage import Stage, in_force, unlike
from kirimhook.operating.rotation.steps import Move, Step

if TYPE_CHECKING:
    from collections.abc import Sequence

Work = Callable[[Stage, Journal], Awaitable[Journal]]

WORK: dict[Step, Work] = {
    Step.ADD: adding.add,
    Step.LOAD: proving.load,
    Step.CONFIRM: proving.confirm,
    Step.SETTLE: proving.settle,
    Step.RETIRE: retiring.retire,
    Step.DROP: retiring.drop,
    Step.TAKE_BACK: undoing.take_back,
    Step.UNWRITE: undoing.unwrite,
}
"""What each step does. Each can be interrupted anywhere and done again."""
MADE_NOTHING = frozenset({"too_many_secrets", "subscription_deleted"})
"""Codes that a first call is refused with, where a secret made by it is answered for (Idempotency-Key)."""


class Outcome(NamedTuple):
    """How it ended, or would begin: `journal.step` says which."""

    journal: Journal
    resumed: Step | None = None
    """Where an interruption had left it; None: it began now."""


async def rotate(stage: Stage, subscription_id: str, named: Sequence[str] = ()) -> Outcome:
    """To the end. `named`: fingerprints of old lines that do not say what they are of.

    Raises RotationError (RefusedError: nothing was changed), SecretsFileError, and what the client raises.
    """
    found = _of(stage.journal.load(), subscription_id)
    if found is None:
        journal = await begun(stage, subscription_id, named)
        stage.file.check()  # a file that takes no other secret is found out before there is one
        stage.journal.save(journal)
        return Outcome(await _first(stage, journal))
    if found.step in {Step.TAKE_BACK, Step.UNWRITE}:
        raise RefusedError("it is being taken back: finish that with --abort, then begin anew")
    await _still_there(stage, found)
    journal = _moved(stage, found, Move.AGAIN)
    return Outcome(await _run(stage, journal), found.step)


async def abort(stage: Stage, subscription_id: str) -> Outcome:
    """Back to where it began. Raises as `rotate` does; RefusedError too where an old secret may be deleted already."""
    found = _of(stage.journal.load(), subscription_id)
    if found is None:
        raise RefusedError("no rotation is under way with this file: there is nothing to take back")
    if not steps.can_abort(found.step):
        raise RefusedError("an old secret may be deleted already: it can only go on, without --abort")
    journal = _moved(stage, found, Move.ABORT)
    return Outcome(await _run(stage, journal), found.step)


async def planned(stage: Stage, subscription_id: str, named: Sequence[str] = ()) -> Outcome:
    """What `rotate` would begin with, or go on with. Changes nothing. Raises as `rotate` does."""
    found = _of(stage.journal.load(), subscription_id)
    if found is not None:
        return Outcome(found, found.step)
    journal = await begun(stage, subscription_id, named)
    folder = stage.file.path.resolve().parent
    if not os.access(folder, os.W_OK):
        raise RefusedError(f"{folder}: the file cannot be replaced in this folder")
    return Outcome(journal)


async def begun(stage: Stage, subscription_id: str, named: Sequence[str]) -> Journal:
    """Not yet written down. Raises RefusedError where it cannot be done so."""
    subscription = await stage.api.webhook_subscriptions.get(subscription_id)
    if subscription.status is not SubscriptionStatus.ACTIVE:
        raise RefusedError(f"{subscription_id} is disabled: nothing would show that receivers take the new secret")
    living = in_force(subscription, stage.clock())
    found = lines.of_subscription(stage.file.entries(), subscription_id, living, named)
    if not found.old:
        raise RefusedError(f"{stage.file.path}: no line says it is of {subscription_id}")
    old = frozenset(found.old)
    why = unlike(
        await stage.receivers.look(),
        lambda look: (
            None if look.everywhere >= old else f"it has not loaded {', '.join(sorted(old - look.everywhere))}"
        ),
    )
    if why is not None:
        raise RefusedError(f"{why}: every receiver has to be there and follow {stage.file.path}")
    return Journal(subscription_id, Step.ADD, adding.new_key(), tuple(living), found.old, found.unsaid)


def _lacking(fingerprints: frozenset[str]) -> str | None:
    return f"not every process has loaded {', '.join(sorted(fingerprints))}" if fingerprints else None


async def _still_there(stage: Stage, journal: Journal) -> None:
    """Without the new secret no wait would end. Raises RotationError."""
    living = await stage.in_force(journal.subscription_id)
    if steps.can_abort(journal.step) and journal.new_id is not None and journal.new_id not in living:
        raise RotationError(f"{journal.new_id} is not in force any more: somebody deleted it; take it back")


async def _first(stage: Stage, journal: Journal) -> Journal:
    """Where nothing can have been made, there is nothing to go on with."""
    try:
        added = await adding.add(stage, journal)
    except ApiError as error:
        if error.code in MADE_NOTHING or error.status in {400, 404, 422}:
            stage.journal.remove()
        raise
    return await _run(stage, _moved(stage, added, Move.DONE))


async def _run(stage: Stage, journal: Journal) -> Journal:
    while journal.step not in steps.ENDED:
        journal = _moved(stage, await WORK[journal.step](stage, journal), Move.DONE)
    return journal


def _moved(stage: Stage, journal: Journal, move: Move) -> Journal:
    """Written down; what has ended is not any more."""
    moved = replace(journal, step=steps.after(journal.step, move))
    if moved.step in steps.ENDED:
        stage.journal.remove()
    else:
        stage.journal.save(moved)
    return moved


def _of(journal: Journal | None, subscription_id: str) -> Journal | None:
    if journal is not None and journal.subscription_id != subscription_id:
        raise RefusedError(f"a rotation of {journal.subscription_id} is under way with this file: finish it first")
    return journal
