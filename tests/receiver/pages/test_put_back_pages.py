"""Putting back by the pages: one, those that were picked, or all that match, on all three kinds of inbox.

How many is said first; a form sent twice does it once; what cannot be put back is refused or counted, never lost.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kirimhook.receiver.model import Done, EventState, Parked, Unhandled
from kirimhook.receiver.pages.runs import RunState
from tests.receiver.pages.stock import end_all, ended, in_state
from tests.receiver.pages.visiting import House, visiting
from tests.receiver.working import inbound, until
from tests.sender.dashboard.visiting import Page

FORM = "/inbox/put-back"


async def run_over(house: House, answer: Page) -> Page:
    """The page of the run that the answer leads to, when that has ended."""
    assert answer.status == 303
    path = answer.place.removeprefix("/inbox")

    async def is_over() -> bool:
        run = house.pages._parts.runs.get(path.rpartition("/")[2])
        return run is not None and run.state is not RunState.RUNNING

    await until(is_over)
    return await house.me.get(path)


def test_one_is_put_back_and_its_page_says_so(inbox_url: str) -> None:
    async def main() -> None:
        async with visiting(inbox_url) as house:
            [number] = await ended(house.inbox, Parked("p"), inbound())
            page = await house.me.get(f"/events/{number}")
            form = page.form(f"/inbox/events/{number}/put-back")
            for _ in range(2):  # a double click
                answer = await house.me.post(f"/events/{number}/put-back", form)
                assert (answer.status, answer.place) == (303, f"/inbox/events/{number}")
            assert "Waiting for a worker." in (await house.me.get(f"/events/{number}")).text
            assert await in_state(house.inbox, EventState.WAITING) == [number]
            assert [event["number"] for event in house.log.named("event_put_back")] == [number]
            assert await end_all(house.inbox, Done()) == [number]

    asyncio.run(main())


def test_one_without_a_body_is_refused(inbox_url: str) -> None:
    async def main() -> None:
        async with visiting(inbox_url) as house:
            [number] = await ended(house.inbox, Parked("p"), inbound())
            await house.inbox.erase([number])
            answer = await house.me.post(f"/events/{number}/put-back")
            assert answer.status == 409
            assert "cannot be put back" in answer.text
            assert (await house.me.post("/events/999999/put-back")).status == 404
            assert await in_state(house.inbox, EventState.PARKED) == [number]

    asyncio.run(main())


def test_those_that_were_picked_are_put_back_and_no_others(inbox_url: str) -> None:
    async def main() -> None:
        async with visiting(inbox_url) as house:
            parked = await ended(house.inbox, Parked("p"), *(inbound() for _ in range(5)))
            listed = await house.me.get("/events")
            boxes = [tags["value"] for _, tags in listed.tags if tags.get("name") == "number"]
            assert sorted(map(int, boxes)) == parked
            form = listed.form(f"{FORM}/selected") | {"number": [str(parked[0]), str(parked[3])]}
            page = await run_over(house, await house.me.post("/put-back/selected", form))
            assert f"Events picked by hand: {parked[0]}, {parked[3]}." in page.text
            assert "Put back 2" in page.text
            assert await in_state(house.inbox, EventState.WAITING) == [parked[0], parked[3]]
            again = await house.me.post("/put-back/selected", form)
            assert again.place == f"{FORM}/{form['run']}"
            other = await run_over(
                house, await house.me.post("/put-back/selected", form | {"number": [str(parked[1])]})
            )
            assert "Put back 1" in other.text, "another choice, sent from the same page, is another run"

    asyncio.run(main())


def test_all_that_match_are_counted_first_and_then_put_back(inbox_url: str) -> None:
    async def main() -> None:
        async with visiting(inbox_url) as house:
            parked = await ended(house.inbox, Parked("p"), *(inbound(kind="order.created") for _ in range(7)))
            others = await ended(house.inbox, Unhandled(), *(inbound() for _ in range(3)))
            await house.inbox.erase(parked[:1])
            query = {"state": ["parked", "unhandled"], "type": "order.*", "received_after": "9999d"}
            link = next(link for link in (await house.me.get("/events", query)).links if "/put-back/new" in link)
            asked = await house.me.get(link.removeprefix("/inbox"))
            assert "7 parked or unhandled events of the type order.* received at or after" in asked.text
            assert await in_state(house.inbox, EventState.PARKED) == parked, "asking changes nothing"
            form = asked.form(FORM)
            first = await house.me.post("/put-back", form)
            assert (await house.me.post("/put-back", form)).place == first.place
            page = await run_over(house, first)
            for words in (
                "All that matched were gone through",
                "Matched at first 7",
                "Put back 6",
                "No body any more 1",
            ):
                assert words in page.text
            assert await in_state(house.inbox, EventState.WAITING) == parked[1:]
            assert await in_state(house.inbox, EventState.UNHANDLED) == others
            assert first.place in (await house.me.get("/put-back")).links

    asyncio.run(main())


def test_none_that_match_are_said_and_done_ones_are_warned_of(sqlite_url: str) -> None:
    async def main() -> None:
        async with visiting(sqlite_url) as house:
            empty = await house.me.get("/put-back/new", {"state": "parked"})
            assert "No event matches" in empty.text
            assert FORM not in empty.actions
            await ended(house.inbox, Done(), inbound())
            asked = await house.me.get("/put-back/new", {"state": "done"})
            assert "1 done event." in asked.text
            assert "handled a second time" in asked.text

    asyncio.run(main())


def test_a_run_can_be_stopped_and_only_one_goes_at_a_time(sqlite_url: str) -> None:
    async def main() -> None:
        async with visiting(sqlite_url) as house:
            await ended(house.inbox, Parked("p"), *(inbound() for _ in range(3)))
            reached, may = asyncio.Event(), asyncio.Event()
            put_back = house.inbox.put_back

            async def held(where: Any) -> int:
                reached.set()
                await may.wait()
                return await put_back(where)

            house.inbox.put_back = held  # type: ignore[method-assign]  # the real one, at a time of our choice
            first = await house.me.post("/put-back", (await house.me.get("/put-back/new")).form(FORM))
            await asyncio.wait_for(reached.wait(), 20)
            page = await house.me.get(first.place.removeprefix("/inbox"))
            assert "running" in page.text
            asked = await house.me.get("/put-back/new")
            assert "Another put-back is under way" in asked.text
            assert FORM not in asked.actions
            refused = await house.me.post("/put-back", {"state": "parked", "run": "f" * 16})
            assert refused.status == 409
            stopped = await house.me.post(f"{first.place.removeprefix('/inbox')}/stop")
            assert stopped.place == first.place
            may.set()
            over = await run_over(house, stopped)
            assert f"{first.place}/stop" not in over.actions
            assert over.status == 200

    asyncio.run(main())


@pytest.mark.parametrize(
    ("path", "fields", "status"),
    [
        ("/put-back/selected", {}, 400),
        ("/put-back/selected", {"number": "x"}, 400),
        ("/put-back/selected", {"number": [str(number) for number in range(1, 300)]}, 400),
        ("/put-back", {"state": "waiting"}, 400),
        ("/put-back", {"state": "dead"}, 400),
        ("/put-back", {"state": "parked", "received_after": "never"}, 400),
        ("/put-back", {"state": "parked", "colour": "red"}, 400),
        (f"/put-back/{'0' * 16}/stop", {}, 404),
    ],
)
def test_what_no_page_of_ours_sends_changes_nothing(
    sqlite_url: str, path: str, fields: dict[str, Any], status: int
) -> None:
    async def main() -> None:
        async with visiting(sqlite_url) as house:
            parked = await ended(house.inbox, Parked("p"), inbound())
            await house.put(inbound())
            assert (await house.me.post(path, fields)).status == status
            assert await in_state(house.inbox, EventState.PARKED) == parked
            assert not house.log.named("put_back_started")

    asyncio.run(main())


def test_what_is_not_finished_cannot_be_asked_for(sqlite_url: str) -> None:
    async def main() -> None:
        async with visiting(sqlite_url) as house:
            for query in ({"state": "waiting"}, {"event_id": "evt_1"}):
                page = await house.me.get("/put-back/new", query)
                assert page.status == 400
                assert "Only finished events can be put back" in page.text
            assert (await house.me.get(f"/put-back/{'0' * 16}")).status == 404

    asyncio.run(main())
