"""`reconcile --watch` heals an outage by itself, tells of it once, keeps its budget, stops and starts without a loss.
Between a real sender and a real receiver over TLS."""

from __future__ import annotations

import json
import signal
import stat
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from kirimhook.operating.reconciling.verdicts import MOST_ROUNDS
from tests.crash.waiting import until
from tests.operating.reconciling.stand import MAX_BODY, Stand, lines, standing

EVENTS = tuple(f"evt_{serial}" for serial in range(30))
OFTEN = ("--watch", "--every", "0.2")


@pytest.fixture
def teller(tmp_path: Path) -> tuple[str, Path]:
    """A command for --notify, and where it leaves what it was told."""
    told, script = tmp_path / "told", tmp_path / "tell"
    script.write_text(f"#!/bin/sh\ncat >> {told}\n")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return str(script), told


def notices(told: Path) -> list[dict[str, Any]]:
    if not told.exists():
        return []
    return [notice for line in told.read_text().splitlines() for notice in json.loads(line)["notices"]]


def stopped(process: subprocess.Popen[str]) -> int:
    process.send_signal(signal.SIGTERM)
    for _ in lines(process):
        pass
    return process.wait(30)


def test_an_outage_heals_while_everybody_sleeps(stand: Stand, teller: tuple[str, Path]) -> None:
    command, told = teller
    stand.publish(*EVENTS)
    stand.died(len(EVENTS))
    file = stand.folder / "watch.prom"
    with stand.reconciling(*OFTEN, "--notify", command, "--metrics-file", str(file)) as process:
        saying = lines(process)
        assert next(said for said in saying if said["state"] == "unhealthy")["trouble"] == "unhealthy"
        until(lambda: len(stand.replays()) >= 3, "it is tried again")
        stand.receive()
        stand.handles(*EVENTS)
        until(lambda: not stand.letters(), "nothing is left")
        until(lambda: 'state="resting"} 1' in file.read_text(), "it rests")
        stand.lose()
        stand.publish("evt_late")
        until(lambda: len(notices(told)) == 2, "the next outage is told")
        stand.receive()
        stand.handles(*EVENTS, "evt_late")
        assert stopped(process) == 0
    assert [notice["kind"] for notice in notices(told)] == ["not_reconciled"] * 2
    assert {notice["subscription_id"] for notice in notices(told)} == {stand.id}
    assert 'state="stopped"} 1' in file.read_text()
    stand.settled()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_it_goes_on_where_it_was_ended(stand: Stand, number: signal.Signals) -> None:
    stand.publish(*EVENTS)
    stand.died(len(EVENTS))
    stand.receive()
    with stand.reconciling(*OFTEN, "--rate", "2") as process:
        until(lambda: len(stand.replays()) > 1, "some are replayed")
        process.send_signal(number)
        process.communicate(timeout=30)
        assert process.returncode == (0 if number is signal.SIGTERM else -number)
    assert 0 < len(stand.letters()) < len(EVENTS)
    with stand.reconciling(*OFTEN) as process:
        assert next(lines(process))["replayed"]
        stand.handles(*EVENTS)
        until(lambda: not stand.letters(), "nothing is left")
        assert stopped(process) == 0
    assert Counter(replay.event_id for replay in stand.replays()) == Counter(EVENTS)
    stand.settled()


def test_an_hour_has_no_more_replays_than_its_budget(stand: Stand, teller: tuple[str, Path]) -> None:
    command, told = teller
    stand.publish(*EVENTS)
    stand.died(len(EVENTS))
    stand.receive()
    with stand.reconciling(*OFTEN, "--budget", "10", "--notify", command) as process:
        said = next(said for said in lines(process) if said["state"] == "out_of_budget")
        assert said["letters"] == {"missing": len(EVENTS) - 10}
        assert stopped(process) == 0
    assert len(stand.replays()) == 10
    [notice] = notices(told)
    assert "--budget" in notice["reason"]
    assert notice["count"] == len(EVENTS) - 10
    with stand.reconciling(*OFTEN, "--budget", "10", "--notify", command) as process:  # a restart has no new hour
        assert next(said for said in lines(process) if said["state"] == "out_of_budget")
        assert stopped(process) == 0
    assert len(stand.replays()) == 10
    assert len(notices(told)) == 1


def test_what_is_refused_for_ever_is_given_up_and_told(stand: Stand, teller: tuple[str, Path]) -> None:
    command, told = teller
    stand.publish("evt_large", size=MAX_BODY)
    stand.publish("evt_small")
    stand.died(2)
    stand.receive()
    with stand.reconciling(*OFTEN, "--notify", command) as process:
        stand.handles("evt_small")
        until(lambda: any(notice["examples"] for notice in notices(told)), "it is told")
        assert stopped(process) == 0
    replayed = Counter(replay.event_id for replay in stand.replays())
    assert replayed == Counter({"evt_large": MOST_ROUNDS, "evt_small": 1})
    [letter] = stand.letters()
    assert [notice["examples"] for notice in notices(told) if notice["examples"]] == [[letter.id]]


@pytest.mark.parametrize("enable", [(), ("--enable",)])
def test_a_subscription_that_failures_disabled_is_enabled_only_where_that_was_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, teller: tuple[str, Path], enable: tuple[str, ...]
) -> None:
    command, told = teller
    with standing(tmp_path, "--set", "disable_after=3") as stand:
        for name, value in stand.environment.items():
            monkeypatch.setenv(name, value)
        stand.publish(*EVENTS[:6])
        until(lambda: stand.api.webhook_subscriptions.get(stand.id).status == "disabled", "it is disabled")
        admin = stand.receive().started()["admin_url"]
        once = stand.reconcile("--admin", admin)
        assert (once.code, once.data["stopped"], once.data["detail"]) == (
            1,
            "subscription_disabled",
            "consecutive_failures",
        )
        with stand.reconciling(*OFTEN, *enable, "--admin", admin, "--notify", command) as process:
            if enable:
                stand.handles(*EVENTS[:6])
            else:
                until(lambda: notices(told), "it is told")
                assert stand.handled() == Counter()
            assert stopped(process) == 0
        assert len(notices(told)) == (0 if enable else 1)


def test_what_a_person_disabled_stays_so(stand: Stand) -> None:
    stand.publish("evt_1")
    stand.died(1)
    stand.receive()
    stand.api.webhook_subscriptions.update(stand.id, status="disabled")
    ran = stand.reconcile("--enable")
    assert (ran.code, ran.data["stopped"], ran.data["detail"]) == (1, "subscription_disabled", "manual")
    assert stand.api.webhook_subscriptions.get(stand.id).status == "disabled"
    assert stand.replays() == []


def test_a_receiver_that_is_not_ready_gets_nothing(stand: Stand) -> None:
    stand.publish("evt_1")
    stand.died(1)
    stand.receive()
    ran = stand.reconcile("--admin", "http://127.0.0.1:1")
    assert (ran.code, ran.data["stopped"]) == (1, "receiver_not_ready")
    assert stand.replays() == []
