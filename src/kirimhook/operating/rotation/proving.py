"""The proof that the old secrets can go: every receiver has the new one, and nothing without it is on its way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kirimhook.contract.errors import ApiError
from kirimhook.operating.rotation.errors import RotationError
from kirimhook.operating.rotation.stage import in_force, unlike
from kirimhook.operating.rotation.steps import Step

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from kirimhook.contract.resources import Subscription
    from kirimhook.operating.rotation.journal import Journal
    from kirimhook.operating.rotation.receivers import Look
    from kirimhook.operating.rotation.stage import Stage

USUAL_TYPE = "contact.created"
LIVE_FIRST = 2.0
"""Seconds that live traffic has to make a test delivery unnecessary."""
GAPS = (1.0, 2.0, 4.0, 8.0, 15.0)
"""Seconds after the first test delivery, the second …; the last is repeated: several receivers may share one URL, and
whoever shares it out gives the next delivery to another one."""


async def load(stage: Stage, journal: Journal) -> Journal:
    await stage.until(Step.LOAD, lambda: not_loaded(stage, journal))
    looks = await stage.receivers.look()
    listed = ", ".join(f"{look.name} ({look.processes})" for look in looks)
    stage.tell(Step.LOAD, f"every process has loaded it: {listed}")
    return journal


async def not_loaded(stage: Stage, journal: Journal) -> str | None:
    """Why a delivery signed with the new secret alone might be refused somewhere; None: it would not.

    Raises RotationError where waiting does not help.
    """
    new = _new(journal)
    if stage.entry(new) is None:
        raise RotationError(f"{stage.file.path} does not hold the new secret {new} any more: somebody took it out")
    wrong = f"not every process has loaded the new secret {new}"
    return unlike(await stage.receivers.look(), lambda look: None if new in look.everywhere else wrong)


async def confirm(stage: Stage, journal: Journal) -> Journal:
    new = _new(journal)
    trials = Trials(stage, await stage.api.webhook_subscriptions.get(journal.subscription_id), LIVE_FIRST)

    async def unconfirmed() -> str | None:
        wrong = f"it has verified nothing yet with the new secret {new}{trials.hint}"
        why = unlike(await stage.receivers.look(), lambda look: None if look.use(new).matches else wrong)
        if why is not None:
            await trials.send_when_due()
        return why

    await stage.until(Step.CONFIRM, unconfirmed)
    matched = ", ".join(f"{look.name} {look.use(new).matches}" for look in await stage.receivers.look())
    tests = f", with {trials.sent} test deliveries" if trials.sent else ""
    stage.tell(Step.CONFIRM, f"deliveries have verified with it{tests}: {matched}")
    return journal


async def settle(stage: Stage, journal: Journal) -> Journal:
    """No delivery without the new secret for `settle` seconds, and the last one everywhere had old and new."""
    new = _new(journal)
    subscription = await stage.api.webhook_subscriptions.get(journal.subscription_id)
    old = signing(stage, journal, in_force(subscription, stage.clock()))
    trials = Trials(stage, subscription, 0.0)
    quiet = Quiet(min(journal.added_at or stage.clock(), stage.clock()), old, new)

    async def unsettled() -> str | None:
        looks = await stage.receivers.look()
        quiet.saw(looks, stage.clock())
        if stage.clock() - quiet.since < stage.pace.settle:
            return f"deliveries may still be on their way that {', '.join(old)} alone signed"
        why = unlike(looks, lambda look: unproven(look, old, new))
        if why is not None:
            await trials.send_when_due()
            return f"{why}{trials.hint}"
        return None

    await stage.until(Step.SETTLE, unsettled, stage.pace.settle)
    stage.tell(Step.SETTLE, f"for {stage.pace.settle:g} s nothing came that was signed without it")
    return journal


def signing(stage: Stage, journal: Journal, living: Collection[str]) -> list[str]:
    """Fingerprints of the old lines with which every delivery should be signed. `living`: ids of what is in force."""
    entries = stage.file.entries()
    said = [entry.secret.fingerprint for entry in entries if entry.secret_id in living]
    return [one for one in journal.old if one in journal.unsaid or one in said]


def unproven(look: Look, old: Sequence[str], new: str) -> str | None:
    """Why it is not certain that the sender signs with each of `old` as well as with `new`.

    A delivery that several secrets verify counts for all of them at one moment, so that their last moments are equal;
    for a secret of another subscription they are not.
    """
    last = look.use(new).last
    for fingerprint in old:
        if last is None or look.use(fingerprint).last != last:
            return f"the last delivery was not signed with both {fingerprint} and {new}"
    return None


class Quiet:
    """Since when nothing has been seen that was signed with an old secret and without the new one."""

    def __init__(self, since: float, old: Sequence[str], new: str) -> None:
        self.since = since
        self._old = old
        self._new = new
        self._ahead: dict[tuple[str, str], int] = {}

    def saw(self, looks: Sequence[Look], now: float) -> None:
        """How far each old one is ahead of the new one: further than before means that it signed alone."""
        for look in looks:
            for fingerprint in self._old if look.problem is None else ():
                ahead = look.use(fingerprint).matches - look.use(self._new).matches
                if ahead > self._ahead.get((look.name, fingerprint), ahead):
                    self.since = now
                self._ahead[look.name, fingerprint] = ahead


class Trials:
    """Test deliveries, where the sender can make them and live traffic does not do."""

    def __init__(self, stage: Stage, subscription: Subscription, wait: float) -> None:
        self.sent = 0
        self._stage = stage
        self._id = subscription.id
        usual = USUAL_TYPE in subscription.events or not subscription.events
        self._type = USUAL_TYPE if usual else subscription.events[0]
        self._due = stage.clock() + wait
        self._refused: str | None = None

    @property
    def hint(self) -> str:
        """What a wait depends on."""
        return f"; {self._refused}: waiting for live traffic" if self._refused else ""

    async def send_when_due(self) -> None:
        if self._refused is not None or self._stage.clock() < self._due:
            return
        try:
            await self._stage.api.webhook_subscriptions.test(self._id, event=self._type)
        except ApiError as error:  # the hosted API has no such call
            if error.status in {401, 403, 429} or error.status >= 500:
                raise
            self._refused = f"no test delivery can be made ({error.code})"
            return
        self._due = self._stage.clock() + GAPS[min(self.sent, len(GAPS) - 1)]
        self.sent += 1


def _new(journal: Journal) -> str:
    if journal.new_fingerprint is None:
        raise RotationError("what is written down of this rotation lacks the new secret: take it back with --abort")
    return journal.new_fingerprint
