"""How people are shown what a reconciling came to."""

from __future__ import annotations

from typing import Any

from kirimhook.cli.moments import stamp
from kirimhook.operating.reconciling.canary import MOST
from kirimhook.operating.reconciling.passing import Pass, Stopped
from kirimhook.operating.reconciling.plan import Plan
from kirimhook.operating.reconciling.verdicts import RULES

_WHY = {
    Stopped.DISABLED: "the subscription is disabled: what is replayed is held (--enable, or subscriptions enable)",
    Stopped.NOT_READY: "the receiver says that it is not ready",
    Stopped.NOT_TAKEN: "the endpoint did not take the first one: mend it, then run this again",
    Stopped.MISPLACED: f"the endpoint took up to {MOST} and this inbox holds none of them: is it the endpoint's?",
}


def rows(plan: Plan) -> list[tuple[str, int, str]]:
    """A line for each verdict that there is."""
    return [(rule.verdict.value, plan.counts[rule.verdict], rule.about) for rule in RULES if plan.counts[rule.verdict]]


def sentence(came: Pass) -> str:
    if came.stopped is Stopped.DRY_RUN:
        return f"{len(came.plan.wanted)} to replay, {came.plan.for_people} left for you; nothing was done (--dry-run)"
    done = came.to_json()
    said = [f"{done['replayed']} replayed"]
    said += [f"{done[name]} {words}" for name, words in _COUNTED.items() if done[name]]
    said += [f"{came.left} left for you"] if came.left else ["nothing is left"]
    why = f": {_WHY[came.stopped]}" if came.stopped else ""
    return ", ".join(said) + why + (f" ({came.detail})" if came.detail else "")


_COUNTED = {
    "gone": "gone or replayed by others meanwhile",
    "refused": "refused by the provider",
    "unsure": "perhaps replayed before an interruption",
}


def line(said: dict[str, Any]) -> str:
    """One thing that happened in a watch."""
    letters = " ".join(f"{name}={count}" for name, count in (said["letters"] or {}).items())
    left = " ".join(f"{name}={count}" for name, count in said["left"].items())
    parts = [
        str(stamp(int(said["at"] * 1000))),
        said["state"].replace("_", " "),
        letters,
        f"{said['replayed']} replayed" if said["replayed"] else "",
        f"left for you: {left}" if left else "",
        said["detail"] or "",
    ]
    return "  ".join(part for part in parts if part)
