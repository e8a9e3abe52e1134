"""A sender of several processes: on one socket and one file, or API and engine apart on one PostgreSQL. What is
published is delivered once, whichever process took it; the admin port totals them; all end together.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from sqlalchemy import make_url

from kirimhook import migrations
from kirimhook.observe import Observer
from kirimhook.sender.database import open_database
from kirimhook.serving.options import ServeError
from kirimhook.serving.sending.storing import open_up_to_date
from kirimhook.testing.endpoint import Hold
from kirimhook.testing.postgres import PostgresServer
from tests.sender.databases import administer
from tests.serving.senders import Sending, consumer

BATCHES, EACH = 24, 5


def publish_many(sending: Sending) -> list[str]:
    """Over connections of their own, so that every process gets some; the ids."""
    ids = [f"evt_{number}" for number in range(BATCHES * EACH)]
    batches = [ids[at : at + EACH] for at in range(0, len(ids), EACH)]
    assert sending.key  # made by the first who asks
    with ThreadPoolExecutor(4) as pool:
        receipts = itertools.chain.from_iterable(pool.map(lambda batch: sending.publish(*batch), batches))
        assert all(receipt["deliveries"] == 1 for receipt in receipts)
    return ids


def test_two_processes_on_one_file_deliver_every_event_once(tmp_path: Path) -> None:
    with consumer() as somebody, Sending(tmp_path, "--workers", "2", *somebody.trusting) as sending:
        assert sending.started()["processes"] == 2
        sending.subscribe(somebody.url)
        ids = publish_many(sending)
        assert Counter(somebody.ids(len(ids))) == Counter(ids)
        status = sending.status()
        assert {process["pid"] for process in status["processes"]} == {
            child.pid for child in psutil.Process(sending.pid).children()
        }
        assert sending.metrics()["kirimhook_processes"] == 2
        answered = [sum(one["counters"]["kirimhook_sender_requests_total"].values()) for one in status["processes"]]
        assert all(answered)  # both have taken some, or this proves nothing
        assert sending.metrics()["kirimhook_sender_requests_total"] >= BATCHES
        assert sending.terminate() == 0
        code, ledger = sending.ledger()
        assert (code, ledger["subscriptions"][0]["succeeded"]) == (0, len(ids))


def test_a_process_that_dies_is_replaced_and_what_it_held_is_delivered(tmp_path: Path) -> None:
    until = asyncio.Event()
    arguments = ("--workers", "2", "--set", "lease=0.5")
    with consumer(Hold(until)) as somebody, Sending(tmp_path, *arguments, *somebody.trusting) as sending:
        sending.subscribe(somebody.url)
        sending.publish("evt_1")
        somebody.received(1)
        children = psutil.Process(sending.pid).children()
        for child in children:
            child.kill()
        for child in children:
            sending.logged("process_ended", child=child.pid)
        assert somebody.ids(2) == ["evt_1", "evt_1"]  # an attempt in flight at a kill is made again
        somebody.do(until.set)
        sending.publish("evt_2")
        assert somebody.ids(3)[2] == "evt_2"
        assert sending.terminate() == 0
        assert sending.ledger()[0] == 0


def test_api_and_engine_apart_on_one_postgresql(tmp_path: Path, postgres_url: str) -> None:
    shared = ("--database", postgres_url, "--master-key-file", str(tmp_path / "master.key"))
    with (
        consumer() as somebody,
        Sending(tmp_path, "--api-only", *shared, *somebody.trusting) as api,
        Sending(tmp_path, "--engine-only", *shared, *somebody.trusting) as one,
        Sending(tmp_path, "--engine-only", "--workers", "2", *shared, *somebody.trusting) as others,
    ):
        assert (api.started()["engine"], "url" in one.started()) == (False, False)
        others.started()
        api.subscribe(somebody.url)
        ids = publish_many(api)
        assert Counter(somebody.ids(len(ids))) == Counter(ids)
        assert [process["delivers"] for process in api.status()["processes"]] == [False]
        for sending in (api, one, others):
            assert sending.problems() == []
            assert sending.terminate() == 0
        code, ledger = api.ledger()
        assert (code, ledger["subscriptions"][0]["succeeded"]) == (0, len(ids))


def test_a_postgresql_that_is_behind_is_refused_with_what_to_do(tmp_path: Path, postgres: PostgresServer) -> None:
    asyncio.run(administer(postgres, "CREATE DATABASE nothing_in_it"))
    url = postgres.url("nothing_in_it")
    with Sending(tmp_path, "--database", url, "--master-key-file", "master.key") as refused:
        assert refused.wait() == 1
    at = f"the database is at revision none, this version needs {migrations.needed()}"
    shown = make_url(url).render_as_string()
    assert refused.said == [f"kirimhook: {at}: run kirimhook migrate --database {shown}"]


def test_a_postgresql_that_is_not_there_is_said(tmp_path: Path) -> None:
    url = f"postgresql://nobody@/nothing?host={tmp_path}"
    with pytest.raises(ServeError, match="the database cannot be used: "):
        asyncio.run(open_up_to_date(open_database(url), url, Observer()))


def test_what_is_wrong_is_said_once_whatever_the_number_of_processes(tmp_path: Path) -> None:
    (tmp_path / "bad.key").write_text("no key\n")
    (tmp_path / "bad.key").chmod(0o600)
    with Sending(tmp_path, "--workers", "3", "--master-key-file", "bad.key") as refused:
        assert refused.wait() == 1
    assert len(refused.said) == 2
    assert "no key" not in refused.said[0]
    assert "bad.key" in refused.said[0]
    assert refused.said[1] == "kirimhook: a process could not start; what it said is above"
