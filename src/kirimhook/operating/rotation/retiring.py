"""The end of the old secrets: first the subscription loses them, then the file, then every receiver."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kirimhook.operating.rotation.errors import RotationError
from kirimhook.operating.rotation.proving import not_loaded
from kirimhook.operating.rotation.stage import unlike
from kirimhook.operating.rotation.steps import Step

if TYPE_CHECKING:
    from kirimhook.operating.rotation.journal import Journal
    from kirimhook.operating.rotation.receivers import Look
    from kirimhook.operating.rotation.stage import Stage


async def retire(stage: Stage, journal: Journal) -> Journal:
    """Each only while the new one is in force and every receiver has it: the proof may be of long ago."""
    for secret_id in journal.before:
        await stage.until(Step.RETIRE, lambda: not_loaded(stage, journal))
        if journal.new_id not in await stage.in_force(journal.subscription_id):
            raise RotationError(
                f"{journal.new_id} is not in force any more: somebody deleted it. Add a secret with "
                f"`kirimhook secrets add {journal.subscription_id}` and remove {stage.journal.path}"
            )
        await stage.delete(journal.subscription_id, secret_id)
        stage.tell(Step.RETIRE, f"{secret_id} is deleted: the sender signs with {journal.new_id}")
    return journal


async def drop(stage: Stage, journal: Journal) -> Journal:
    if stage.entry(journal.new_fingerprint) is None:
        raise RotationError(f"{stage.file.path} does not hold the new secret {journal.new_fingerprint} any more")
    stage.file.drop([entry.secret for entry in stage.file.entries() if entry.secret.fingerprint in journal.old])

    def kept(look: Look) -> str | None:
        still = look.anywhere & frozenset(journal.old)
        return f"it still takes the old secret {', '.join(sorted(still))}" if still else None

    async def not_dropped() -> str | None:
        return unlike(await stage.receivers.look(), kept)

    await stage.until(Step.DROP, not_dropped)
    stage.tell(Step.DROP, "the file and every process have dropped the old secrets")
    return journal
