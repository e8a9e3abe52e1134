"""Whoever is to be told of a trouble is told of it once, however often it takes until he listens; and figures are
always such that Prometheus reads them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from kirimhook.operating.reconciling.announcing import Announcer
from kirimhook.operating.reconciling.memory import Memory
from kirimhook.operating.reconciling.metrics import METRICS, PREFIX, Figures, exposition
from kirimhook.operating.reconciling.notices import WORDS
from kirimhook.operating.reconciling.plan import Judged, Plan
from kirimhook.operating.reconciling.states import State
from kirimhook.operating.reconciling.troubles import ENDS, Told
from kirimhook.operating.reconciling.verdicts import Verdict
from kirimhook.operating.reconciling.watch import News
from kirimhook.operating.replaying import Tally
from kirimhook.telling import NotToldError
from tests.operating.reconciling.letters import SUBSCRIPTION, dead

UNHEALTHY = Told(frozenset({State.UNHEALTHY}))


class Listener:
    """A teller that is deaf for a while."""

    def __init__(self, deaf: int = 0) -> None:
        self.deaf = deaf
        self.told: list[Mapping[str, Any]] = []

    async def tell(self, document: Mapping[str, Any]) -> None:
        self.deaf -= 1
        if self.deaf >= 0:
            raise NotToldError("nobody there")
        self.told.append(document)


def news(state: State = State.UNHEALTHY, trouble: State | None = None, **more: Any) -> News:
    return News(state, more.pop("plan", None), Tally(), "HTTP 503", trouble, more.pop("left", {}))


class Announced:
    """An announcer, and what came of it."""

    def __init__(self, folder: Path, listener: Listener | None) -> None:
        self.memory = Memory(folder / "memory.db")
        self.said: list[dict[str, Any]] = []
        self.complaints: list[str] = []
        self.announcer = Announcer(self.memory, SUBSCRIPTION, lambda: 1000.0, self.said.append, self.complaints.append)
        self.announcer.teller = listener
        self.announcer.metrics = folder / "figures.prom"

    def hears(self, one: News, told: Told) -> None:
        asyncio.run(self.announcer.hear(one, told))


def test_a_teller_that_is_deaf_for_a_while_is_told_later_and_that_is_remembered_then(tmp_path: Path) -> None:
    listener = Listener(deaf=2)
    here = Announced(tmp_path, listener)
    with here.memory:
        here.hears(news(trouble=State.UNHEALTHY), UNHEALTHY)
        here.hears(news(), UNHEALTHY)
        assert (listener.told, here.memory.told()) == ([], Told())
        assert here.complaints == ["nobody was told: nobody there"] * 2
        here.hears(news(), UNHEALTHY)
        here.hears(news(), UNHEALTHY)
        assert here.memory.told() == UNHEALTHY
    [document] = listener.told
    json.dumps(document)
    [notice] = document["notices"]
    assert (notice["reason"], notice["detail"]) == (WORDS[State.UNHEALTHY], "HTTP 503")
    assert (notice["kind"], notice["subscription_id"]) == ("not_reconciled", SUBSCRIPTION)


def test_where_nobody_is_to_be_told_it_is_remembered_at_once(tmp_path: Path) -> None:
    here = Announced(tmp_path, None)
    with here.memory:
        here.hears(news(trouble=State.UNHEALTHY), UNHEALTHY)
        assert here.memory.told() == UNHEALTHY


def test_what_is_left_is_told_with_examples_and_the_end_with_its_reason(tmp_path: Path) -> None:
    plan, listener = Plan(), Listener()
    plan.add(Judged(dead(1), Verdict.PARKED, 0))
    here = Announced(tmp_path, listener)
    with here.memory:
        here.hears(news(State.RESTING, plan=plan, left={Verdict.PARKED: 1}), Told(left={Verdict.PARKED: 1}))
        asyncio.run(here.announcer.ended("401 revoked_api_key: no"))
    [left], [ended] = (document["notices"] for document in listener.told)
    assert (left["count"], left["examples"]) == (1, [dead(1).id])
    assert "put-back" in left["reason"]
    assert ended["detail"] == "401 revoked_api_key: no"
    assert [said["left"] for said in here.said] == [{"parked": 1}]


def test_what_is_as_it_was_is_not_said_again(tmp_path: Path) -> None:
    here = Announced(tmp_path, None)
    with here.memory:
        for _ in range(5):
            here.hears(news(State.LOOKING), Told())
            here.hears(news(State.UNHEALTHY), Told())
        here.hears(news(State.DISABLED), Told())
    assert [said["state"] for said in here.said] == ["unhealthy", "disabled"]


def test_a_metrics_file_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    here = Announced(tmp_path, None)
    here.announcer.metrics = tmp_path / "nowhere" / "figures.prom"
    with here.memory:
        here.hears(news(), Told())
    assert here.complaints == [f"--metrics-file {here.announcer.metrics}: No such file or directory"]


def test_every_trouble_has_its_words() -> None:
    assert set(WORDS) == set(ENDS)


@pytest.mark.parametrize("state", [None, *State])
def test_figures_are_read_by_prometheus(state: State | None) -> None:
    plan = Plan()
    plan.add(Judged(dead(1), Verdict.MISSING, 0))
    plan.add(Judged(dead(2), Verdict.PARKED, 0))
    text = exposition(Figures(SUBSCRIPTION, 1_800_000_000.25, plan, 1, 7, is_clean=False, state=state))
    families = {family.name.removeprefix(PREFIX): family for family in text_string_to_metric_families(text)}
    assert set(families) == set(METRICS)
    assert all(sample.labels["subscription"] == SUBSCRIPTION for one in families.values() for sample in one.samples)
    letters = {sample.labels["verdict"]: sample.value for sample in families["letters"].samples}
    assert letters == {**dict.fromkeys(map(str, Verdict), 0), "missing": 1, "parked": 1}
    assert families["last_look_timestamp_seconds"].samples[0].value == 1_800_000_000.25
    assert {sample.labels["state"]: sample.value for sample in families["state"].samples} == (
        {} if state is None else {str(one): float(one is state) for one in State}
    )
