"""After an outage one command replays exactly what the inbox lacks: every event is handled once, nothing is left that a
replay could mend, and what it cannot mend is said. Between a real sender and a real receiver over TLS."""

from __future__ import annotations

from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from kirimhook.backends import open_inbox
from kirimhook.operating.reconciling.verdicts import MOST_ROUNDS
from tests.cli.commands import kirimhook
from tests.crash.waiting import until
from tests.operating.reconciling.stand import MAX_BODY, STATUSES, Stand

EVENTS = tuple(f"evt_{serial}" for serial in range(12))


def test_what_an_outage_left_is_replayed_once_and_handled_once(stand: Stand) -> None:
    stand.publish(*EVENTS, "evt_held", "evt_park")
    stand.publish_statuses("wamid.A")
    stand.died(len(EVENTS) + 5)
    stand.receive()
    stand.arrives("evt_held")
    stand.arrives("evt_park")
    until(lambda: "parked" in kirimhook("inbox", "list", "--state", "parked").out, "it is parked")

    dry = stand.reconcile("--dry-run")
    assert dry.code == 1, dry.errors  # one is left for people
    assert {name: count for name, count in dry.data["letters"].items() if count} == {
        "missing": len(EVENTS),
        "untellable": 3,
        "held": 1,
        "parked": 1,
    }
    assert stand.replays() == []

    file = stand.folder / "reconcile.prom"
    ran = stand.reconcile("--metrics-file", str(file))
    assert (ran.code, ran.data["replayed"], ran.data["left"], ran.data["stopped"]) == (1, len(EVENTS) + 3, 1, None)
    assert [one["event_id"] for one in ran.data["examples"]] == ["evt_park"]
    stand.handles("evt_held", *EVENTS, *[f"wamid.A {status}" for status in STATUSES])
    stand.settled()
    assert len(stand.replays()) == len(EVENTS) + 3

    kirimhook("inbox", "put-back", "--state", "parked", "--yes")
    again = stand.reconcile()
    assert again.data["replayed"] == 0
    assert sorted(letter.event_id for letter in stand.letters()) == ["evt_held", "evt_park"]
    figures = {
        (sample.name, sample.labels.get("verdict")): sample.value
        for family in text_string_to_metric_families(file.read_text())
        for sample in family.samples
    }
    assert figures["kirimhook_reconcile_letters", "missing"] == len(EVENTS)
    assert figures["kirimhook_reconcile_left", None] == 1
    assert figures["kirimhook_reconcile_replayed_last_hour", None] == len(EVENTS) + 3
    assert figures["kirimhook_reconcile_clean", None] == 0


def test_nothing_left_is_0_and_the_table_is_for_people(stand: Stand) -> None:
    stand.publish(*EVENTS)
    stand.died(len(EVENTS))
    stand.receive()
    ran = kirimhook("reconcile", stand.id)
    assert (ran.code, ran.errors) == (0, "")
    assert f"missing  {len(EVENTS)}" in ran.out
    assert f"{len(EVENTS)} replayed, nothing is left" in ran.out
    stand.handles(*EVENTS)
    empty = kirimhook("reconcile", stand.id)
    assert (empty.code, empty.out) == (0, "0 replayed, nothing is left\n")


def test_an_endpoint_that_is_still_away_costs_one_replay(stand: Stand) -> None:
    stand.publish(*EVENTS)
    stand.died(len(EVENTS))
    ran = stand.reconcile()
    assert (ran.code, ran.data["stopped"]) == (1, "endpoint_does_not_take_it")
    assert ran.data["left"] == len(EVENTS) - 1
    assert ran.data["detail"]
    assert len(stand.replays()) == 1
    stand.died(len(EVENTS))  # the replay of one is dead in its place
    stand.receive()
    assert stand.reconcile().code == 0
    stand.handles(*EVENTS)


def test_an_event_that_is_refused_for_ever_neither_loops_nor_stands_in_the_way(stand: Stand) -> None:
    stand.publish("evt_large", size=MAX_BODY)
    stand.publish(*EVENTS)
    stand.died(len(EVENTS) + 1)
    stand.receive()
    rounds = []
    for _ in range(MOST_ROUNDS + 2):
        rounds.append(stand.reconcile())
        stand.settled()
    stand.handles(*EVENTS)
    assert sum(replay.event_id == "evt_large" for replay in stand.replays()) == MOST_ROUNDS
    assert [ran.code for ran in rounds[MOST_ROUNDS:]] == [1, 1]
    assert rounds[-1].data["letters"]["given_up"] == 1
    assert stand.reconcile("--again").data["detail"]
    assert sum(replay.event_id == "evt_large" for replay in stand.replays()) == MOST_ROUNDS + 1


def test_an_inbox_that_is_not_the_endpoints_is_noticed_before_more_than_three_are_replayed(
    stand: Stand, tmp_path: Path
) -> None:
    other = f"sqlite:///{tmp_path / 'other.db'}"
    make_empty(other)
    stand.publish(*EVENTS)
    stand.died(len(EVENTS))
    stand.receive()
    ran = stand.reconcile("--inbox", other)
    assert (ran.code, ran.data["stopped"]) == (1, "inbox_is_not_the_endpoints")
    assert len(stand.replays()) == 3


def test_what_the_receiver_may_have_forgotten_is_refused(stand: Stand) -> None:
    stand.publish("evt_old")
    stand.died(1)
    stand.receive()
    age = 8 * 86_400_000
    older(stand, age)
    ran = stand.reconcile("--horizon", "9")
    assert (ran.code, ran.data["letters"]["too_old"], ran.data["left"]) == (1, 1, 1)
    assert stand.replays() == []
    assert stand.reconcile("--horizon", "10").code == 0
    stand.handles("evt_old")


def make_empty(url: str) -> None:
    import asyncio

    async def opened() -> None:
        inbox = open_inbox(url)
        await inbox.open()
        await inbox.close()

    asyncio.run(opened())


def older(stand: Stand, ms: int) -> None:
    """Their time is in their ids: as if they had been made earlier, in every table."""
    import sqlite3

    with sqlite3.connect(stand.folder / "kirimhook-sender.db", timeout=10) as connection:
        connection.execute("UPDATE deliveries SET created_at = created_at - ?", (ms,))
    connection.close()
