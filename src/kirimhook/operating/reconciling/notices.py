"""What a watch tells people, as `telling` has it. No I/O."""

from __future__ import annotations

from kirimhook.operating.reconciling.states import State
from kirimhook.operating.reconciling.verdicts import RULES
from kirimhook.operating.reconciling.watch import News
from kirimhook.telling import Kind, Notice

WORDS = {
    State.UNHEALTHY: "the endpoint does not take what is replayed; it is tried again",
    State.OUT_OF_BUDGET: "as many were replayed in an hour as may be (--budget); the others follow",
    State.DISABLED: "the subscription is disabled: enable it, or let --enable do it",
    State.BLIND: "the provider or the inbox does not answer; they are asked again",
    State.MISPLACED: "the endpoint takes what this inbox does not hold then: is it the endpoint's? The watch ended",
}
"""By the trouble; each says what follows without anybody's doing."""

_ABOUT = {rule.verdict: rule.about for rule in RULES}


def notices(news: News, subscription_id: str, at: int) -> list[Notice]:
    """One for the trouble, one for each verdict that is left for people. `at`: ms since the epoch."""
    told = []
    if news.trouble is not None:
        waiting = len(news.plan.wanted) if news.plan is not None else 0
        told.append(
            Notice(
                Kind.NOT_RECONCILED,
                WORDS[news.trouble],
                at,
                at,
                subscription_id=subscription_id,
                count=max(waiting, 1),
                detail=news.detail,
            )
        )
    for verdict, count in news.left.items():
        examples = news.plan.examples.get(verdict, []) if news.plan is not None else []
        told.append(
            Notice(
                Kind.NOT_RECONCILED,
                _ABOUT[verdict],
                at,
                at,
                subscription_id=subscription_id,
                count=count,
                examples=tuple(letter.id for letter in examples),
            )
        )
    return told
