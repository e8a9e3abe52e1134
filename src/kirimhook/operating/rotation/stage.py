"""What the steps of a rotation work with, and how they wait."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple, Protocol

from kirimhook.client import NotFound
from kirimhook.operating.rotation.errors import LateError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from kirimhook.client import AsyncKirim
    from kirimhook.contract.resources import Subscription
    from kirimhook.operating.rotation.journal import JournalFile
    from kirimhook.operating.rotation.receivers import Look, Receivers
    from kirimhook.operating.rotation.steps import Step
    from kirimhook.operating.secrets_file import Entry, SecretsFile


TOLD_AFTER = 5.0
"""Seconds of waiting after which the reason is told."""


class Tell(Protocol):
    """Hears how it goes, in words for people."""

    def __call__(self, step: Step, words: str, /) -> None: ...


class Pace(NamedTuple):
    """Seconds."""

    timeout: float = 300.0
    """How long one step waits for what it waits for."""
    settle: float = 15.0
    """How long after the new secret was added, or after a delivery was last seen that only the old ones had signed,
    another such could still arrive: an attempt of 10 s, and what an engine takes to learn of the secret."""
    poll: float = 0.25


class Stage(NamedTuple):
    """`clock` gives unix seconds."""

    api: AsyncKirim
    receivers: Receivers
    file: SecretsFile
    journal: JournalFile
    pace: Pace
    clock: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]]
    tell: Tell

    async def until(self, step: Step, reason: Callable[[], Awaitable[str | None]], more: float = 0.0) -> None:
        """Until there is no reason any more to wait. Raises LateError with the last one.

        A reason that lasts is told once. `more`: seconds beside those that every step has.
        """
        began, limit, told = self.clock(), self.pace.timeout + more, ""
        while (why := await reason()) is not None:
            waited = self.clock() - began
            if waited >= limit:
                raise LateError(f"not within {limit:g} s: {why}")
            if waited >= TOLD_AFTER and why != told:
                told = why
                self.tell(step, f"waiting: {why}")
            await self.sleep(self.pace.poll)

    def entry(self, fingerprint: str | None) -> Entry | None:
        """The line of the file with this secret. Raises SecretsFileError."""
        return next((each for each in self.file.entries() if each.secret.fingerprint == fingerprint), None)

    async def in_force(self, subscription_id: str) -> Mapping[str, datetime]:
        """When each secret that the subscription signs with was made, by id."""
        return in_force(await self.api.webhook_subscriptions.get(subscription_id), self.clock())

    async def delete(self, subscription_id: str, secret_id: str) -> None:
        """One that is gone already is no error."""
        try:
            await self.api.webhook_subscriptions.secrets.delete(subscription_id, secret_id)
        except NotFound:
            return


def in_force(subscription: Subscription, now: float) -> Mapping[str, datetime]:
    """Those that have not expired at `now`; where all have, all: one that would leave none stays in force."""
    moment = datetime.fromtimestamp(now, UTC)
    living = [each for each in subscription.secrets if each.expires_at is None or each.expires_at > moment]
    return {each.id: each.created_at for each in living or subscription.secrets}


def unlike(looks: list[Look], wrong: Callable[[Look], str | None]) -> str | None:
    """The first receiver that cannot be taken at its word, or is not as it should be; None: all are."""
    for look in looks:
        why = look.problem or wrong(look)
        if why is not None:
            return f"{look.name}: {why}"
    return None
