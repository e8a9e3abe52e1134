"""One pass: finish what was interrupted, look, try one letter, replay the others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from kirimhook.operating.reconciling.canary import Probe
from kirimhook.operating.reconciling.ground import World
from kirimhook.operating.reconciling.plan import Plan
from kirimhook.operating.reconciling.replays import NOTHING
from kirimhook.operating.replaying import Tally


class Stopped(StrEnum):
    """Why letters were not replayed although they should be."""

    DRY_RUN = "dry_run"
    DISABLED = "subscription_disabled"
    NOT_READY = "receiver_not_ready"
    NOT_TAKEN = "endpoint_does_not_take_it"
    MISPLACED = "inbox_is_not_the_endpoints"


@dataclass(frozen=True, slots=True)
class Pass:
    """What a pass came to."""

    plan: Plan
    finished: Tally = NOTHING
    """Of an earlier pass that was interrupted."""
    probe: Probe | None = None
    done: Tally = NOTHING
    """Of this one, the probe included."""
    stopped: Stopped | None = None
    detail: str | None = None

    @property
    def waiting(self) -> int:
        """Letters that should have been replayed, and were not."""
        return 0 if self.stopped is Stopped.DRY_RUN else len(self.plan.wanted) - self.done.replayed - self.done.gone

    @property
    def left(self) -> int:
        """Letters that need people."""
        return self.plan.for_people + self.waiting + self.finished.refused + self.finished.unsure

    @property
    def is_clean(self) -> bool:
        return not self.left and self.stopped in {None, Stopped.DRY_RUN}

    def to_json(self) -> dict[str, Any]:
        """All counts; `left` is what needs people, `examples` some of it."""
        return {
            "letters": self.plan.to_json(),
            "replayed": self.done.replayed + self.finished.replayed,
            "gone": self.done.gone + self.finished.gone,
            "refused": self.done.refused + self.finished.refused,
            "unsure": self.done.unsure + self.finished.unsure,
            "stopped": None if self.stopped is None else self.stopped.value,
            "detail": self.detail,
            "left": self.left,
            "examples": self.plan.shown(),
        }


async def reconcile(world: World, *, dry_run: bool = False, tell: Callable[[Plan], None] = lambda _: None) -> Pass:
    """One pass. Calls `tell` with the plan before anything is replayed.

    Raises what the client raises, `InboxUnavailable`, OSError, sqlite3.Error; the next pass goes on from there.
    """
    if dry_run:
        return Pass(await world.look(), stopped=Stopped.DRY_RUN)
    disabled = await world.unusable()
    finished = NOTHING if disabled else await world.finish()
    plan = await world.look()
    tell(plan)
    found = Pass(plan, finished)
    if not plan.wanted:
        return found
    if disabled:
        return replace(found, stopped=Stopped.DISABLED, detail=disabled)
    if not await world.is_ready():
        return replace(found, stopped=Stopped.NOT_READY)
    return await _replayed(world, found)


async def _replayed(world: World, found: Pass) -> Pass:
    probe = await world.probe(found.plan.wanted)
    probed = replace(found, probe=probe, done=sent(probe), detail=probe.sent[-1].detail)
    if probe.is_elsewhere:
        return replace(probed, stopped=Stopped.MISPLACED)
    if not probe.is_taken:
        return replace(probed, stopped=Stopped.NOT_TAKEN)
    rest = [one for one in found.plan.in_order() if one.letter.id not in probe.letters]
    return replace(probed, done=probed.done.plus(await world.replay(rest)), detail=None)


def sent(probe: Probe) -> Tally:
    """Canaries are replays too."""
    return Tally(probe.replayed, 0, len(probe.sent) - probe.replayed)
