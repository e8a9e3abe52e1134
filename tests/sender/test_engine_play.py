"""All of a delivery's life, with time injected: eight attempts over 31 hours in under a second, never early, never
again after the end, `Retry-After` never undercut, one terminal state, and each attempt recorded as it was.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kirimhook.contract.resources import Attempt
from kirimhook.observe import Meter
from kirimhook.sender.database import Database
from kirimhook.testing.clock import Clock
from kirimhook.testing.endpoint import Endpoint, Request, Reset, Respond
from tests.sender.databases import Databases
from tests.sender.engines import BODY, NOW, SECRET, Stage, counted, play, running, settings_for, stage

WAITS = [0, 10, 30, 120, 600, 3600, 21_600, 86_400]
"""Contract section 4, row "at most 8 attempts"."""
JITTER = 0.2


class Heard:
    """What arrived, when, by delivery."""

    def __init__(self, clock: Clock, scripts: dict[str, list[Any]] | None = None, default: Any = None) -> None:
        self._clock = clock
        self._default = default or Respond(500)
        self.scripts = scripts or {}
        self.times: dict[str, list[float]] = {}
        self.requests: dict[str, list[Request]] = {}

    def choose(self, request: Request) -> Any:
        id_ = request.header("X-Kirim-Delivery-Id") or ""
        self.times.setdefault(id_, []).append(self._clock.now)
        self.requests.setdefault(id_, []).append(request)
        script = self.scripts.get(id_, [])
        number = len(self.times[id_])
        return script[number - 1] if number <= len(script) else self._default


def test_thirty_one_hours_in_a_second(databases: Databases) -> None:
    async def main() -> None:
        clock = Clock(NOW)
        heard = Heard(clock)
        async with stage(databases, clock) as played, Endpoint(choose=heard.choose) as endpoint:
            subscription = await played.subscribe(endpoint.url)
            (id_,) = await played.publish(subscription)
            meter = Meter()
            async with running(played, settings_for(endpoint.ca), meter=meter) as engine:
                begun = time.process_time()
                await play(played, engine, clock)
                took = time.process_time() - begun
            check_times(heard.times[id_])
            assert heard.times[id_][-1] - NOW > 0.8 * sum(WAITS)
            assert took < 1.0
            assert [request.header("X-Kirim-Attempt") for request in heard.requests[id_]] == list("12345678")
            ((status, reason, attempts, due, finished),) = await played.rows(
                "SELECT status, dead_reason, attempt_count, next_attempt_at, finished_at FROM deliveries"
            )
            assert (status, reason, attempts, due) == ("dead", "attempts_exhausted", 8, None)
            assert abs(finished / 1000 - clock.now) < 0.01
            assert await played.rows("SELECT number FROM attempts ORDER BY number") == [(n,) for n in range(1, 9)]
            assert await played.rows("SELECT failures FROM subscriptions") == [(1,)]
            assert counted(meter, "attempts_total") == {"failed": 7, "dead": 1}
            assert counted(meter, "finished_total") == {"dead": 1}

    asyncio.run(main())


def check_times(times: list[float]) -> None:
    """No attempt is earlier or, since nothing else is to do, later than the schedule with its jitter says."""
    assert len(times) <= len(WAITS)
    for (before, at), wait in zip(pairwise(times), WAITS[1:], strict=False):
        assert wait * (1 - JITTER) - 1e-6 <= at - before <= wait * (1 + JITTER) + 0.01


ENDINGS = {"ok": "succeeded", "reject": "dead", "gone": "dead"}
ANSWERS = {
    "ok": Respond(204),
    "reject": Respond(422),
    "500": Respond(500),
    "redirect": Respond(302, headers=(("Location", "https://localhost:1/"),)),
    "408": Respond(408),
    "wait": Respond(429, retry_after=700),
    "wait 503": Respond(503, retry_after=40),
    "reset": Reset(),
}


def test_any_outcomes(databases: Databases) -> None:
    scripts = st.lists(st.lists(st.sampled_from(sorted(ANSWERS)), max_size=8), min_size=1, max_size=6)

    @settings(max_examples=8)
    @given(scripts)
    def check(drawn: list[list[str]]) -> None:
        asyncio.run(playing(drawn))

    async def playing(drawn: list[list[str]]) -> None:
        clock = Clock(NOW)
        heard = Heard(clock)
        async with databases.opened() as database, Endpoint(choose=heard.choose) as endpoint:
            played = await anew(database, clock)
            subscription = await played.subscribe(endpoint.url)
            made = await played.publish(subscription, len(drawn))
            heard.scripts = {id_: [ANSWERS[name] for name in names] for id_, names in zip(made, drawn, strict=True)}
            async with running(played, settings_for(endpoint.ca)) as engine:
                await play(played, engine, clock)
            states = await played.states()
            for id_, names in zip(made, drawn, strict=True):
                said = ([*names] + ["500"] * 8)[:8]
                check_one(said, states[id_], heard.times[id_])
                numbers = await played.rows("SELECT number FROM attempts WHERE delivery_id = :i ORDER BY 1", i=id_)
                assert [number for (number,) in numbers] == list(range(1, len(heard.times[id_]) + 1))
            assert await played.rows("SELECT * FROM queue") == []

    async def anew(database: Database, clock: Clock) -> Stage:
        made = Stage(database, clock)
        for table in ("attempts", "queue", "deliveries", "events", "secrets", "subscriptions", "organisations"):
            await made.change(f"DELETE FROM {table}")
        await made.begin()
        return made

    check()


def check_one(said: list[str], status: str, times: list[float]) -> None:
    """The oracle: the first answer that ends it, or all eight."""
    ends = next((number for number, name in enumerate(said) if name in ENDINGS), None)
    expected = "dead" if ends is None else ENDINGS[said[ends]]
    assert status == expected
    assert len(times) == (8 if ends is None else ends + 1), "never after the end"
    asked = {"wait": 700, "wait 503": 40}
    for (before, at), name, wait in zip(pairwise(times), said, WAITS[1:], strict=False):
        assert at - before >= max(wait * (1 - JITTER), asked.get(name, 0)) - 1e-6


@pytest.mark.parametrize(("asked", "least", "most"), [("5", 8, 12.1), ("90000", 86_400, 86_401), ("x", 8, 12.1)])
def test_retry_after_is_never_undercut_and_never_more_than_a_day(
    databases: Databases, asked: str, least: float, most: float
) -> None:
    async def main() -> None:
        clock = Clock(NOW)
        heard = Heard(clock, default=Respond(200))
        async with stage(databases, clock) as played, Endpoint(choose=heard.choose) as endpoint:
            (id_,) = await played.publish(await played.subscribe(endpoint.url))
            heard.scripts = {id_: [Respond(429, retry_after=asked)]}
            async with running(played, settings_for(endpoint.ca)) as engine:
                await play(played, engine, clock)
            first, second = heard.times[id_]
            assert least - 1e-6 <= second - first <= most

    asyncio.run(main())


def test_what_was_sent_is_what_is_recorded(databases: Databases) -> None:
    async def main() -> None:
        clock = Clock(NOW)
        heard = Heard(clock, default=Respond(200, body=b"thanks \xff\x00", headers=(("X-Their", "own"),)))
        async with stage(databases, clock) as played, Endpoint(choose=heard.choose) as endpoint:
            subscription = await played.subscribe(endpoint.url)
            await played.add_secret(subscription, "whsec_another", expires_at=NOW + 5)
            (id_,) = await played.publish(subscription)
            heard.scripts = {id_: [Respond(503)]}
            async with running(played, settings_for(endpoint.ca)) as engine:
                await play(played, engine, clock)
            records = await played.rows("SELECT record FROM attempts ORDER BY number")
            failed, succeeded = (Attempt.from_json(json.loads(record)) for (record,) in records)
            for number, attempt in enumerate((failed, succeeded)):
                request = heard.requests[id_][number]
                sent = dict(request.headers)
                signature = sent.pop("X-Kirim-Signature")
                shown = dict(attempt.request_headers)
                masked = shown.pop("X-Kirim-Signature")
                assert shown == sent
                check_signature(signature, request.body, [SECRET, "whsec_another"][: 2 - number])
                assert masked == ",".join([signature.split(",")[0], *["v1=" + "*" * 64] * (2 - number)])
                assert SECRET not in json.dumps(attempt.to_json())
                assert abs(attempt.started_at.timestamp() - heard.times[id_][number]) < 0.01
            assert heard.requests[id_][0].body == BODY
            assert (failed.response_status, failed.error) == (503, None)
            assert failed.next_attempt_at is not None
            assert 8 <= (failed.next_attempt_at - failed.started_at).total_seconds() <= 12.1
            assert "attempt 2 of 8" in failed.why_next
            assert succeeded.response_body == "thanks \N{REPLACEMENT CHARACTER}\0"
            assert succeeded.response_headers["X-Their"] == "own"
            assert succeeded.address
            assert succeeded.next_attempt_at is None
            assert succeeded.duration_ms > 0

    asyncio.run(main())


def check_signature(header: str, body: bytes, secrets: list[str]) -> None:
    """Contract section 1, by hand."""
    stamp, *macs = header.split(",")
    message = stamp.removeprefix("t=").encode() + b"." + body
    assert sorted(macs) == sorted(
        "v1=" + hmac.new(secret.encode(), message, hashlib.sha256).hexdigest() for secret in secrets
    )
