"""A body is never buffered past its limit, whole or in parts, announced or not; all together are bounded; nothing is
read from who has no key. Its type is checked. Whatever the bytes are, the answer is one of the contract's, below 500.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sender.api import URL, Answer, Api, World, deliveries, publish, subscribe, world
from tests.sender.databases import Databases

LIMIT = 1000
EVENT_LIMIT = 3000
SUBSCRIPTIONS = "/webhook_subscriptions"
GOOD = json.dumps({"url": URL, "events": ["contact.created"]}).encode()
EVENT = json.dumps({"type": "contact.created", "data": {"contact": {"id": "con_1"}}}).encode()
RAW = {"X-Kirim-Source": "meta", "X-Kirim-Event": "message.received", "X-Kirim-Event-Id": "wamid.1"}


@pytest.fixture
def lite(sqlite_url: str) -> Databases:
    """For what does not depend on the database."""
    return Databases(sqlite_url)


def run(lite: Databases, use: Any, **chosen: Any) -> Any:
    async def main() -> Any:
        async with world(lite, max_request=LIMIT, max_event=EVENT_LIMIT, **chosen) as here:
            return await use(here)

    return asyncio.run(main())


class Tap:
    """A client that sends parts for as long as it is read from."""

    def __init__(self, part: bytes, parts: int) -> None:
        self.part = part
        self.left = parts
        self.taken = 0

    async def receive(self) -> dict[str, Any]:
        self.taken += 1
        self.left -= 1
        return {"type": "http.request", "body": self.part, "more_body": self.left > 0}


async def pour(api: Api, path: str, tap: Tap, headers: dict[str, str]) -> Answer:
    """A request that is read from `tap`."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    given = {"authorization": f"Bearer {api.key}", "content-type": "application/json", **headers}
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1" + path,
        "query_string": b"",
        "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in given.items()],
    }
    await api.app(scope, tap.receive, send)
    return Answer(sent[0]["status"], {}, sent[1]["body"])


@pytest.mark.parametrize(("path", "limit"), [(SUBSCRIPTIONS, LIMIT), ("/events", EVENT_LIMIT)])
def test_a_body_is_read_to_its_limit_and_not_a_part_further(path: str, limit: int, lite: Databases) -> None:
    async def use(here: World) -> tuple[Answer, int]:
        tap = Tap(b" " * 100, 1_000_000)
        return await pour(here.api, path, tap, {}), tap.taken

    answer, taken = run(lite, use)
    assert (answer.status, answer.code) == (413, "payload_too_large")
    assert taken == limit // 100 + 1


@pytest.mark.parametrize("announced", ["3001", "9" * 400])
def test_a_body_that_announces_too_much_is_not_read(announced: str, lite: Databases) -> None:
    async def use(here: World) -> tuple[Answer, int]:
        tap = Tap(b" ", 1)
        return await pour(here.api, "/events", tap, {"content-length": announced}), tap.taken

    answer, taken = run(lite, use)
    assert (answer.status, taken) == (413, 0)


def test_nothing_is_read_from_who_has_no_key(lite: Databases) -> None:
    async def use(here: World) -> tuple[Answer, int]:
        tap = Tap(b" ", 1000)
        return await pour(here.api.with_key("kdv_live_" + "x" * 24), "/events", tap, {}), tap.taken

    answer, taken = run(lite, use)
    assert (answer.status, taken) == (401, 0)


@pytest.mark.parametrize(("path", "good", "limit"), [(SUBSCRIPTIONS, GOOD, LIMIT), ("/events", EVENT, EVENT_LIMIT)])
def test_a_body_at_its_limit_is_taken_whole_or_in_parts(path: str, good: bytes, limit: int, lite: Databases) -> None:
    body = good.ljust(limit)

    async def use(here: World) -> list[int]:
        forms: list[Any] = [body, [body[:7], body[7:]], [bytes([byte]) for byte in body], [b"", body, b""]]
        return [(await here.api.call("POST", path, body=form)).status for form in forms]

    assert set(run(lite, use)) <= {201, 202}


def test_all_bodies_together_are_bounded_and_let_go(lite: Databases) -> None:
    async def use(here: World) -> tuple[list[Answer], Answer]:
        gate = asyncio.Event()
        reached: asyncio.Queue[None] = asyncio.Queue()

        async def slow(number: int) -> Answer:
            tap = Tap(b" " * (64 * 1024), 2)
            first = tap.receive

            async def receive() -> dict[str, Any]:
                if tap.taken:
                    reached.put_nowait(None)
                    await gate.wait()
                return await first()

            tap.receive = receive  # type: ignore[method-assign]  # a tap on one method, for this test
            return await pour(here.api, "/events", tap, {})

        waiting = [asyncio.create_task(slow(number)) for number in range(2)]
        for _ in waiting:
            await reached.get()
        over = await here.api.call("POST", "/events", body=EVENT)
        assert (over.status, over.code, over.headers["retry-after"]) == (503, "service_unavailable", "1")
        gate.set()
        answers = await asyncio.gather(*waiting)
        return answers, await here.api.call("POST", "/events", body=EVENT)

    async def main() -> Any:
        async with world(lite, max_event=4 * 1024 * 1024, max_buffered=128 * 1024) as here:
            return await use(here)

    answers, after = asyncio.run(main())
    assert sorted(answer.status for answer in answers) == [400, 503] or {answer.status for answer in answers} == {503}
    assert after.status == 202


def test_a_client_that_hangs_up_is_answered_nothing_and_counted(lite: Databases) -> None:
    async def use(here: World) -> tuple[list[Any], int]:
        sent: list[Any] = []
        messages = [{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}]

        async def receive() -> Any:
            return messages.pop(0)

        async def send(message: Any) -> None:
            sent.append(message)

        headers = [(b"authorization", f"Bearer {here.api.key}".encode()), (b"content-type", b"application/json")]
        scope = {
            "type": "http",
            "method": "POST",
            "path": "/v1/events",
            "query_string": b"",
            "root_path": "",
            "headers": headers,
        }
        await here.api.app(scope, receive, send)
        return sent, here.meter.counter("kirimhook_sender_requests_total")["hung_up"]

    assert run(lite, use) == ([], 1)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 201),
        ({"content-type": "application/json; charset=utf-8"}, 201),
        ({"content-type": 'Application/JSON;charset="UTF-8"'}, 201),
        ({"content-type": "application/json; charset=latin-1"}, 415),
        ({"content-type": "application/x-www-form-urlencoded"}, 415),
        ({"content-type": "application/json, text/plain"}, 415),
        ({"content-type": "text/json"}, 415),
        ({"content-type": ""}, 415),
        ({"content-type": None}, 415),
        ({"content-encoding": "identity"}, 201),
        ({"content-encoding": "gzip"}, 415),
    ],
)
def test_a_body_says_that_it_is_json(headers: dict[str, str | None], status: int, lite: Databases) -> None:
    assert run(lite, lambda here: here.api.call("POST", SUBSCRIPTIONS, body=GOOD, headers=headers)).status == status


def test_a_call_without_options_needs_neither_body_nor_type(lite: Databases) -> None:
    async def use(here: World) -> list[int]:
        path = f"{SUBSCRIPTIONS}/{(await subscribe(here.api))['id']}"
        sample = (await here.api.call("POST", f"{path}/test", headers={"content-type": "text/plain"})).data
        replay = f"/webhook_deliveries/{sample['id']}/replay"
        answers = [await here.api.call("POST", replay), await here.api.call("POST", replay, {})]
        answers += [await here.api.call("POST", f"{path}/secrets"), await here.api.call("POST", f"{path}/test", {})]
        return [answer.status for answer in answers]

    assert run(lite, use) == [202, 202, 201, 202]


def test_a_body_of_metas_travels_byte_for_byte(databases: Databases) -> None:
    body = b'{"object" : "whatsapp_business_account",\r\n "entry": [1, 1.0, "\\ud800", NaN]} \xff\x00'

    async def main() -> tuple[Answer, Answer, list[Any]]:
        async with world(databases) as here:
            await subscribe(here.api, "message.received")
            first = await here.api.call("POST", "/events", body=body, headers=RAW)
            plain = {**RAW, "content-type": "application/octet-stream"}
            return (
                first,
                await here.api.call("POST", "/events", body=body, headers=plain),
                await databases.rows("SELECT body, event_id, type, source FROM events"),
            )

    first, again, rows = asyncio.run(main())
    assert first.data == {"object": "event", "id": "wamid.1", "deliveries": 1, "duplicate": False}
    assert again.data == {**first.data, "duplicate": True}
    assert [(bytes(stored), *rest) for stored, *rest in rows] == [(body, "wamid.1", "message.received", "meta")]


@pytest.mark.parametrize(
    ("headers", "code", "param"),
    [
        ({"X-Kirim-Source": None}, "missing_required_field", "X-Kirim-Source"),
        ({"X-Kirim-Event": None}, "missing_required_field", "X-Kirim-Event"),
        ({"X-Kirim-Event-Id": None}, "missing_required_field", "X-Kirim-Event-Id"),
        ({"X-Kirim-Source": "kirim"}, "invalid_field_value", "X-Kirim-Source"),
        ({"X-Kirim-Event-Id": ""}, "invalid_field_value", "X-Kirim-Event-Id"),
        ({"X-Kirim-Event-Id": "é"}, "invalid_field_value", "X-Kirim-Event-Id"),
        ({"X-Kirim-Event-Id": "a" * 513}, "invalid_field_value", "X-Kirim-Event-Id"),
        ({"X-Kirim-Event": "order.created"}, "unknown_event_type", None),
        ({"content-type": "text/plain"}, "unsupported_media_type", None),
    ],
)
def test_a_body_of_metas_comes_with_its_headers(
    headers: dict[str, str | None], code: str, param: str | None, lite: Databases
) -> None:
    answer = run(lite, lambda here: here.api.call("POST", "/events", body=b"{}", headers={**RAW, **headers}))
    assert answer.code == code
    assert param is None or answer.error["param"] == param


def test_an_event_without_a_body_is_none(lite: Databases) -> None:
    async def use(here: World) -> list[str | None]:
        return [
            (await here.api.call("POST", "/events")).code,
            (await here.api.call("POST", "/events", headers={**RAW, "content-type": "application/json"})).code,
        ]

    assert run(lite, use) == ["invalid_json", "invalid_json"]


def test_an_event_of_kirim_travels_in_its_envelope(databases: Databases) -> None:
    data = {"contact": {"id": "con_1", "name": "Ayu 😀", "n": 10**40, "deep": [[[[]]]]}}

    async def main() -> tuple[list[Any], list[Any]]:
        async with world(databases) as here:
            await subscribe(here.api)
            given = await here.api.call("POST", "/events", {"type": "contact.created", "data": data, "id": "mine-1"})
            assert given.data == {"object": "event", "id": "mine-1", "deliveries": 1, "duplicate": False}
            again = await here.api.call("POST", "/events", {"type": "contact.created", "data": {}, "id": "mine-1"})
            assert again.data == {"object": "event", "id": "mine-1", "deliveries": 1, "duplicate": True}
            here.clock.advance(1)
            await publish(here.api, 3)
            return await databases.rows("SELECT body FROM events ORDER BY id"), await deliveries(here.api)

    rows, listed = asyncio.run(main())
    envelopes = [json.loads(bytes(body)) for (body,) in rows]
    assert envelopes[0]["data"] == data
    assert [envelope["id"] for envelope in envelopes] == [one["event_id"] for one in reversed(listed)]
    assert all(list(envelope) == ["id", "type", "created_at", "livemode", "data"] for envelope in envelopes)


PATHS = [
    ("POST", "/events"),
    ("POST", SUBSCRIPTIONS),
    ("PATCH", "{}"),
    ("POST", "{}/secrets"),
    ("POST", "{}/test"),
    ("POST", "/webhook_deliveries/bulk_replay"),
]
FIELDS = ["url", "events", "description", "status", "held", "expires_in_hours", "event", "type", "data", "id"]
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["contact.created", URL]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS) | st.text(), inner, max_size=4),
    max_leaves=12,
)
bodies = (
    st.binary(max_size=300)
    | anything.map(lambda value: json.dumps(value).encode())
    | st.dictionaries(st.sampled_from(FIELDS), anything, max_size=6).map(lambda value: json.dumps(value).encode())
    | st.text(alphabet='{}[]",:\\u0dD8eE1-+. \x00aé', max_size=60).map(str.encode)
)


def test_whatever_the_bytes_are_the_answer_is_one_of_the_contracts(databases: Databases) -> None:
    """Every answer is held to the document, in which no call has an undocumented one."""

    async def main() -> set[int]:
        async with world(databases, writes_per_minute=0) as here:
            made = f"{SUBSCRIPTIONS}/{(await subscribe(here.api))['id']}"
            loop, seen = asyncio.get_running_loop(), set()

            @settings(max_examples=150)
            @given(st.sampled_from(PATHS), bodies, st.booleans())
            def check(where: tuple[str, str], body: bytes, raw: bool) -> None:
                method, path = where[0], where[1].replace("{}", made)
                headers = RAW if raw and path == "/events" else {}
                call = here.api.call(method, path, body=body or None, headers=headers)
                answer = asyncio.run_coroutine_threadsafe(call, loop).result()
                assert answer.status < 500
                seen.add(answer.status)

            await asyncio.to_thread(check)
            return seen

    assert {400} <= asyncio.run(main())
