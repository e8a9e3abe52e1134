"""A sender that is killed in the middle of a replay of all that match: started again, it goes on; each is sent once.

The run is begun on the dashboard of a real process. A trigger makes its steps slow, so that SIGKILL comes between the
first and the last of them. Its deliveries are held, so that nothing but the run makes any.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from kirimhook.contract.resources import SubscriptionStatus
from kirimhook.sender.service import Changes
from kirimhook.testing.postgres import postgres_server
from tests.crash.processes import Processes
from tests.crash.waiting import until
from tests.sender.dashboard.visiting import Page
from tests.sender.databases import Databases, done
from tests.sender.stage import staged

DEAD = 3000
TAKEN_OVER = 60
"""Seconds until a run that was left alone has come to its end; it is left alone for ten before."""
DIE = "UPDATE deliveries SET status = 'dead', dead_reason = 'discarded', next_attempt_at = NULL, finished_at = :now"
MADE = "SELECT count(*), count(DISTINCT replayed_from) FROM deliveries WHERE kind = 'replay'"
ROWS = "SELECT status, enqueued, skipped FROM replay_runs"
_LONG = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000000) SELECT i FROM n"
_WAIT = "BEGIN PERFORM pg_sleep(0.3); RETURN NULL; END"
SLOW = {
    "sqlite": (
        f"CREATE VIEW long AS {_LONG}",
        "CREATE TRIGGER slow AFTER INSERT ON replay_steps BEGIN SELECT count(*) FROM long; END",
    ),
    "postgresql": (
        f"CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$ {_WAIT} $$",
        "CREATE TRIGGER slow AFTER INSERT ON replay_steps FOR EACH ROW EXECUTE FUNCTION wait()",
    ),
}
FAST = {"sqlite": "DROP TRIGGER slow", "postgresql": "DROP TRIGGER slow ON replay_steps"}


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'sender.db'}"
        return
    with postgres_server() as server:
        yield server.url()


async def prepared(databases: Databases) -> str:
    """Dead letters of a disabled subscription, and steps that take their time; a key of the organisation."""
    async with staged(databases) as stage:
        stage.clock.now = time.time()  # or the sender would purge them
        subscription = await stage.subscribe()
        await stage.publish(DEAD)
        await stage.run(DIE, now=int(stage.clock() * 1000))
        await stage.run("DELETE FROM queue")
        await stage.tenant.update_subscription(subscription, Changes(status=SubscriptionStatus.DISABLED))
        for statement in SLOW[stage.database.dialect]:
            await stage.run(statement)
        return (await stage.sender.create_organisation_key("acme")).key.reveal()


def begin(url: str, key: str) -> None:
    """As somebody would in a browser."""
    with httpx.Client(base_url=url, headers={"sec-fetch-site": "same-origin"}) as browser:
        form = Page(browser.get("/dashboard/sign-in")).form("/dashboard/sign-in")
        assert browser.post("/dashboard/sign-in", data={**form, "key": key}).status_code == 303
        asked = Page(browser.get("/dashboard/replays/new?status=dead"))
        assert "3 000 dead deliveries" in asked.text.replace("\N{NO-BREAK SPACE}", " ").replace("\u202f", " ")
        begun = browser.post("/dashboard/replays", data=asked.form("/dashboard/replays"))
        assert begun.status_code == 303, begun.text


def test_each_is_sent_once_whoever_was_killed(processes: Processes, database_url: str) -> None:
    processes.command("migrate", "--database", database_url)
    databases = Databases(database_url)
    key = asyncio.run(prepared(databases))

    def run() -> tuple[str, int, int]:
        (row,) = asyncio.run(databases.rows(ROWS))
        return (row[0], row[1], row[2])

    served = processes.start_sender(database=database_url)
    begin(served.started()["url"], key)
    until(lambda: run()[1], "the first step")
    served.kill()
    status, enqueued, _ = run()
    assert status == "running"
    assert 0 < enqueued < DEAD, "it was to be killed on the way"

    asyncio.run(faster(databases))
    processes.start_sender(database=database_url)
    until(lambda: run()[0] != "running", "the end of the run", TAKEN_OVER)
    assert run() == ("done", DEAD, 0)
    made = asyncio.run(databases.rows(MADE))
    assert made == [(DEAD, DEAD)]
    assert processes.ledger(database_url), "it balances, or this fails"


async def faster(databases: Databases) -> None:
    async with databases.opened() as database:
        await database.write(done(FAST[database.dialect]))
