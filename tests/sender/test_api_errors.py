"""Every code of the contract is answered where it should be, with its status and type, in the envelope, with its
`param` where it is about a field; a defect of ours shows the caller nothing, and the log everything.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kirimhook.contract.customers import number
from kirimhook.contract.errors import CODES
from kirimhook.contract.ids import make
from kirimhook.observe import Meter, Observer
from kirimhook.sender.api import create_app
from kirimhook.sender.api.front import Front, Watch
from kirimhook.sender.sealing import Sealer
from kirimhook.sender.service import Sender
from kirimhook.settings import SenderSettings
from tests.sender.api import MASTER_KEY, URL, Answer, Api, Document, World, deliveries, subscribe, world
from tests.sender.databases import Databases, done

NOBODY = make("wbs_", 1, b"0123456789")
GOOD = {"url": URL, "events": ["contact.created"]}
SUBSCRIPTIONS = "/webhook_subscriptions"


@pytest.fixture
def lite(sqlite_url: str) -> Databases:
    """For what does not depend on the database."""
    return Databases(sqlite_url)


Make = Callable[[World], Awaitable[Answer]]


async def expired(world: World) -> Answer:
    ends = datetime.fromtimestamp(world.clock(), UTC) + timedelta(hours=1)
    key = await world.sender.create_organisation_key(world.name, ends)
    api = world.api.with_key(key.key.reveal())
    assert (await api.call("GET", "/me")).status == 200
    world.clock.advance(3601)
    return await api.call("GET", "/me")


async def revoked(world: World) -> Answer:
    key = await world.sender.create_organisation_key(world.name)
    await world.sender.revoke_key(world.name, key.id)
    return await world.api.with_key(key.key.reveal()).call("GET", "/me")


async def last_secret(world: World) -> Answer:
    made = await subscribe(world.api)
    return await world.api.call("DELETE", f"{SUBSCRIPTIONS}/{made['id']}/secrets/{made['secrets'][0]['id']}")


async def too_many_secrets(world: World) -> Answer:
    path = f"{SUBSCRIPTIONS}/{(await subscribe(world.api))['id']}/secrets"
    for _ in range(4):
        assert (await world.api.call("POST", path)).status == 201
    return await world.api.call("POST", path)


async def replay_to_nobody(world: World) -> Answer:
    made = await subscribe(world.api)
    delivery = (await world.api.call("POST", f"{SUBSCRIPTIONS}/{made['id']}/test")).data
    assert (await world.api.call("DELETE", f"{SUBSCRIPTIONS}/{made['id']}")).status == 204
    return await world.api.call("POST", f"/webhook_deliveries/{delivery['id']}/replay")


async def replay_of_nothing(world: World) -> Answer:
    await subscribe(world.api)
    event = {"type": "contact.created", "data": {"contact": {"phone_number": "+6281234567890"}}}
    assert (await world.api.call("POST", "/events", event)).status == 202
    (delivery,) = await deliveries(world.api)
    await world.sender.context.database.write(done("UPDATE deliveries SET status = 'succeeded', finished_at = 1"))
    await world.sender.erase(number("+6281234567890"))
    return await world.api.call("POST", f"/webhook_deliveries/{delivery['id']}/replay")


async def reused(world: World) -> Answer:
    key = {"Idempotency-Key": "k"}
    assert (await world.api.call("POST", SUBSCRIPTIONS, GOOD, headers=key)).status == 201
    return await world.api.call("POST", SUBSCRIPTIONS, {**GOOD, "description": "another"}, headers=key)


async def too_often(world: World) -> Answer:
    answers = [await world.api.call("GET", "/me") for _ in range(11)]
    return answers[-1]


TABLE: dict[str, tuple[int, str, str | None, Make]] = {
    "invalid_webhook_url": (
        400,
        "invalid_request_error",
        "url",
        lambda w: w.api.call("POST", SUBSCRIPTIONS, {**GOOD, "url": "http://receiver.example.com"}),
    ),
    "unknown_event_type": (
        400,
        "invalid_request_error",
        "events",
        lambda w: w.api.call("POST", SUBSCRIPTIONS, {**GOOD, "events": ["order.created"]}),
    ),
    "missing_required_field": (
        400,
        "invalid_request_error",
        "url",
        lambda w: w.api.call("POST", SUBSCRIPTIONS, {"events": ["contact.created"]}),
    ),
    "invalid_field_value": (
        400,
        "invalid_request_error",
        "colour",
        lambda w: w.api.call("POST", SUBSCRIPTIONS, {**GOOD, "colour": "red"}),
    ),
    "invalid_json": (
        400,
        "invalid_request_error",
        None,
        lambda w: w.api.call("POST", SUBSCRIPTIONS, body=b'{"url": '),
    ),
    "invalid_limit": (
        400,
        "invalid_request_error",
        "limit",
        lambda w: w.api.call("GET", SUBSCRIPTIONS, query="limit=101"),
    ),
    "invalid_cursor": (
        400,
        "invalid_request_error",
        "cursor",
        lambda w: w.api.call("GET", SUBSCRIPTIONS, query="cursor=abc"),
    ),
    "missing_api_key": (
        401,
        "authentication_error",
        None,
        lambda w: w.api.call("GET", "/me", headers={"authorization": None}),
    ),
    "invalid_api_key": (
        401,
        "authentication_error",
        None,
        lambda w: w.api.with_key("kdv_live_" + "x" * 24).call("GET", "/me"),
    ),
    "expired_api_key": (401, "authentication_error", None, expired),
    "revoked_api_key": (401, "authentication_error", None, revoked),
    "resource_not_found": (404, "not_found", None, lambda w: w.api.call("GET", f"{SUBSCRIPTIONS}/{NOBODY}")),
    "method_not_allowed": (405, "invalid_request_error", None, lambda w: w.api.call("PUT", SUBSCRIPTIONS, GOOD)),
    "last_active_secret": (409, "conflict", None, last_secret),
    "too_many_secrets": (409, "conflict", None, too_many_secrets),
    "subscription_deleted": (409, "conflict", None, replay_to_nobody),
    "event_erased": (409, "conflict", None, replay_of_nothing),
    "idempotency_key_reuse": (422, "invalid_request_error", None, reused),
    "payload_too_large": (
        413,
        "invalid_request_error",
        None,
        lambda w: w.api.call("POST", SUBSCRIPTIONS, body=b" " * (64 * 1024 + 1)),
    ),
    "unsupported_media_type": (
        415,
        "invalid_request_error",
        None,
        lambda w: w.api.call("POST", SUBSCRIPTIONS, GOOD, headers={"content-type": "text/plain"}),
    ),
    "rate_limit_exceeded": (429, "rate_limit_error", None, too_often),
}

ELSEWHERE = {
    "internal_error": "test_a_defect_of_ours_is_500_and_in_the_log_alone",
    "service_unavailable": "test_storage_that_is_away_is_503_with_retry_after",
    "idempotency_in_progress": "tests.sender.test_api_idempotency",
}


def test_the_table_has_every_code() -> None:
    assert set(TABLE) | set(ELSEWHERE) == set(CODES)


def test_every_code_is_answered_where_it_should_be(databases: Databases) -> None:
    async def main() -> dict[str, Answer]:
        found = {}
        async with world(databases, reads_per_minute=10) as here:
            counted = here.meter.counter("kirimhook_sender_requests_total")
            for code, (_, _, _, provoke) in TABLE.items():
                found[code] = await provoke(await here.another(code))
                assert counted[code] == 1
        return found

    for code, answer in asyncio.run(main()).items():
        status, kind, param, _ = TABLE[code]
        assert (answer.status, answer.error["type"], answer.code) == (status, kind, code)
        assert answer.error.get("param") == param
        assert set(answer.error) <= {"type", "code", "message", "param", "request_id"}
        assert list(answer.json) == ["error"]
        assert answer.headers.get("www-authenticate") == ("Bearer" if status == 401 else None)
        assert ("retry-after" in answer.headers) == (status == 429)


def test_a_defect_of_ours_is_500_and_in_the_log_alone(databases: Databases, caplog: pytest.LogCaptureFixture) -> None:
    async def broken(url: str) -> None:
        raise RuntimeError(f"a defect with {url} in it")

    async def main() -> Answer:
        async with databases.opened() as database:
            sender = Sender(database, SenderSettings(), Sealer([MASTER_KEY]), check_url=broken)
            app = create_app(sender)
            key = (await sender.create_organisation_key("acme")).key.reveal()
            api = Api(app, sender, Document(app.openapi()), key)
            answer = await api.call("POST", SUBSCRIPTIONS, GOOD)
            assert (await api.call("GET", "/me")).status == 200
            return answer

    with caplog.at_level(logging.WARNING, "kirimhook"):
        answer = asyncio.run(main())
    assert (answer.status, answer.code, answer.error["type"]) == (500, "internal_error", "api_error")
    assert b"defect" not in answer.body
    assert b"Traceback" not in answer.body
    (line,) = caplog.records
    shown: Any = line
    assert shown.kirimhook["event"] == "request_failed"
    assert shown.kirimhook["request_id"] == answer.error["request_id"]
    assert shown.kirimhook["path"] == "/v1/webhook_subscriptions"
    assert line.exc_info is not None
    assert "a defect with" in str(line.exc_info[1])


def test_storage_that_is_away_is_503_with_retry_after(databases: Databases, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> list[Answer]:
        async with world(databases) as here:
            assert (await here.api.call("GET", "/me")).status == 200
            await here.sender.context.database.close()
            health = await here.api.call("GET", "/health")
            assert health.status == 200
            return [
                await here.api.call("GET", SUBSCRIPTIONS),
                await here.api.call("POST", SUBSCRIPTIONS, GOOD),
                await here.api.call("POST", "/events", {"type": "contact.created", "data": {}}),
            ]

    with caplog.at_level(logging.WARNING, "kirimhook"):
        answers = asyncio.run(main())
    for answer in answers:
        assert (answer.status, answer.code, answer.error["type"]) == (503, "service_unavailable", "api_error")
        assert int(answer.headers["retry-after"]) >= 1
    logged: list[Any] = [record for record in caplog.records if record.getMessage().startswith("request_unserved")]
    assert [line.kirimhook["request_id"] for line in logged] == [answer.error["request_id"] for answer in answers]
    assert not any(record.exc_info for record in caplog.records)


WHERE: dict[str, tuple[str, str, Any, str, str]] = {
    "a field missing": ("POST", SUBSCRIPTIONS, {"url": URL}, "missing_required_field", "events"),
    "null where a value must be": ("POST", SUBSCRIPTIONS, {**GOOD, "url": None}, "invalid_field_value", "url"),
    "a number for a text": ("POST", SUBSCRIPTIONS, {**GOOD, "url": 5}, "invalid_field_value", "url"),
    "a text for a list": (
        "POST",
        SUBSCRIPTIONS,
        {**GOOD, "events": "contact.created"},
        "invalid_field_value",
        "events",
    ),
    "an empty list": ("POST", SUBSCRIPTIONS, {**GOOD, "events": []}, "invalid_field_value", "events"),
    "a type twice": (
        "POST",
        SUBSCRIPTIONS,
        {**GOOD, "events": ["contact.created"] * 2},
        "invalid_field_value",
        "events",
    ),
    "a number in a list": ("POST", SUBSCRIPTIONS, {**GOOD, "events": [1]}, "invalid_field_value", "events.0"),
    "no event type": ("POST", SUBSCRIPTIONS, {**GOOD, "events": ["\0"]}, "unknown_event_type", "events.0"),
    "a NUL": ("POST", SUBSCRIPTIONS, {**GOOD, "description": "a\0"}, "invalid_field_value", "description"),
    "too long": ("POST", SUBSCRIPTIONS, {**GOOD, "description": "a" * 1001}, "invalid_field_value", "description"),
    "a URL too long": ("POST", SUBSCRIPTIONS, {**GOOD, "url": URL + "a" * 2048}, "invalid_webhook_url", "url"),
    "a URL with a NUL": ("POST", SUBSCRIPTIONS, {**GOOD, "url": URL + "\0"}, "invalid_webhook_url", "url"),
    "held alone": ("PATCH", "{subscription}", {"held": "deliver"}, "invalid_field_value", "held"),
    "held while disabling": (
        "PATCH",
        "{subscription}",
        {"status": "disabled", "held": "discard"},
        "invalid_field_value",
        "held",
    ),
    "a status that is none": ("PATCH", "{subscription}", {"status": "deleted"}, "invalid_field_value", "status"),
    "a null that cannot be": ("PATCH", "{subscription}", {"events": None}, "invalid_field_value", "events"),
    "no hours": ("POST", "{subscription}/secrets", {"expires_in_hours": 0}, "invalid_field_value", "expires_in_hours"),
    "absurd hours": (
        "POST",
        "{subscription}/secrets",
        {"expires_in_hours": 10**30},
        "invalid_field_value",
        "expires_in_hours",
    ),
    "true hours": (
        "POST",
        "{subscription}/secrets",
        {"expires_in_hours": True},
        "invalid_field_value",
        "expires_in_hours",
    ),
    "an option of nothing": ("POST", "/webhook_deliveries/{}/replay", {"a": 1}, "invalid_field_value", "a"),
    "another's sample": ("POST", "{subscription}/test", {"event": "order.created"}, "unknown_event_type", "event"),
    "a moment without offset": (
        "POST",
        "/webhook_deliveries/bulk_replay",
        {"subscription_id": NOBODY, "created_after": "2026-05-20T00:00:00"},
        "invalid_field_value",
        "created_after",
    ),
    "a moment as a number": (
        "POST",
        "/webhook_deliveries/bulk_replay",
        {"subscription_id": NOBODY, "created_after": 1_779_000_000},
        "invalid_field_value",
        "created_after",
    ),
    "ids beside a type": (
        "POST",
        "/webhook_deliveries/bulk_replay",
        {"subscription_id": NOBODY, "ids": [f"wbd_{'0' * 26}"], "event_type": "contact.created"},
        "invalid_field_value",
        "ids",
    ),
    "no delivery's id": (
        "POST",
        "/webhook_deliveries/bulk_replay",
        {"subscription_id": NOBODY, "ids": ["x"]},
        "invalid_field_value",
        "ids.0",
    ),
    "no id": (
        "POST",
        "/webhook_deliveries/bulk_replay",
        {"subscription_id": "x"},
        "invalid_field_value",
        "subscription_id",
    ),
    "an event without data": ("POST", "/events", {"type": "contact.created"}, "missing_required_field", "data"),
    "one event of several": (
        "POST",
        "/events",
        {"events": [{"type": "contact.created", "data": {}}, {"type": "contact.created", "data": []}]},
        "invalid_field_value",
        "events.1.data",
    ),
    "one type of several": (
        "POST",
        "/events",
        {"events": [{"type": "contact.created", "data": {}}, {"type": "order.created", "data": {}}]},
        "unknown_event_type",
        "events.1.type",
    ),
    "no events": ("POST", "/events", {"events": []}, "invalid_field_value", "events"),
    "too many events": (
        "POST",
        "/events",
        {"events": [{"type": "contact.created", "data": {}}] * 101},
        "invalid_field_value",
        "events",
    ),
    "an id that no header carries": (
        "POST",
        "/events",
        {"type": "contact.created", "data": {}, "id": "a b"},
        "invalid_field_value",
        "id",
    ),
    "both forms at once": (
        "POST",
        "/events",
        {"events": [{"type": "contact.created", "data": {}}], "type": "contact.created"},
        "invalid_field_value",
        "type",
    ),
}

QUERIES = {
    "limit=0": ("invalid_limit", "limit"),
    "limit=101": ("invalid_limit", "limit"),
    "limit=-1": ("invalid_limit", "limit"),
    "limit=": ("invalid_limit", "limit"),
    "limit=2.0": ("invalid_limit", "limit"),
    "limit=%2B2": ("invalid_limit", "limit"),
    "limit=1_0": ("invalid_limit", "limit"),
    "limit=%D9%A1": ("invalid_limit", "limit"),
    "limit=" + "9" * 5000: ("invalid_limit", "limit"),
    "limit=5&limit=6": ("invalid_field_value", "limit"),
    "cursor=": ("invalid_cursor", "cursor"),
    "cursor=" + "a" * 2000: ("invalid_cursor", "cursor"),
    "cursor=%00": ("invalid_cursor", "cursor"),
    "statuss=dead": ("invalid_field_value", "statuss"),
    "status=Dead": ("invalid_field_value", "status"),
    "kind=": ("invalid_field_value", "kind"),
    "unreplayed=1": ("invalid_field_value", "unreplayed"),
    "subscription_id=wbs_1": ("invalid_field_value", "subscription_id"),
    "event_id=%00": ("invalid_field_value", "event_id"),
    "event_type=%00": ("unknown_event_type", "event_type"),
    "created_after=yesterday": ("invalid_field_value", "created_after"),
    "created_after=2026-05-20T00:00:00": ("invalid_field_value", "created_after"),
    "created_before=2026-13-20T00:00:00Z": ("invalid_field_value", "created_before"),
    "created_before=0000-01-01T00:00:00Z": ("invalid_field_value", "created_before"),
    "created_before=0001-01-01T00:00:00%2B10:00": ("invalid_field_value", "created_before"),
}


def test_a_field_that_is_wrong_is_named(databases: Databases) -> None:
    async def main() -> dict[str, tuple[int, str | None, Any]]:
        async with world(databases) as here:
            made = await subscribe(here.api)
            sample = (await here.api.call("POST", f"{SUBSCRIPTIONS}/{made['id']}/test")).data
            found = {}
            for name, (method, path, value, _, _) in WHERE.items():
                path = path.replace("{subscription}", f"{SUBSCRIPTIONS}/{made['id']}").replace("{}", sample["id"])
                answer = await here.api.call(method, path, value)
                found[name] = (answer.status, answer.code, answer.error.get("param"))
            return found

    assert asyncio.run(main()) == {name: (400, code, param) for name, (_, _, _, code, param) in WHERE.items()}


def test_a_parameter_that_is_wrong_is_named(databases: Databases) -> None:
    async def main() -> dict[str, tuple[str | None, Any]]:
        async with world(databases) as here:
            found = {}
            for query in QUERIES:
                answer = await here.api.call("GET", "/webhook_deliveries", query=query)
                assert answer.status == 400, query
                found[query] = (answer.code, answer.error.get("param"))
            return found

    assert asyncio.run(main()) == QUERIES


@pytest.mark.parametrize(
    "query",
    [
        "created_after=0001-01-01T00:00:00Z",
        "created_before=0001-01-01T00:00:00Z",
        "created_after=9999-12-31T23:59:59.999999999Z",
        "created_before=9999-12-31T23:59:59Z",
        "created_after=1969-12-31t23:59:59z&created_before=2026-05-20T00:00:00%2B07:00",
        "event_id=wamid.%25%27%22&event_type=was.once",
        "limit=007",
    ],
)
def test_a_window_at_the_edge_of_time_is_only_empty_or_full(query: str, databases: Databases) -> None:
    async def main() -> Answer:
        async with world(databases) as here:
            return await here.api.call("GET", "/webhook_deliveries", query=query)

    assert asyncio.run(main()).data == []


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("PUT", "/webhook_subscriptions", "GET, POST"),
        ("HEAD", "/webhook_subscriptions", "GET, POST"),
        ("POST", f"/webhook_subscriptions/{NOBODY}", "DELETE, GET, PATCH"),
        ("OPTIONS", "/events", "POST"),
        ("GET", "/webhook_deliveries/bulk_replay", "POST"),
        ("TRACE", "/health", "GET"),
        ("GET", f"/webhook_deliveries/{NOBODY}/replay", "POST"),
        ("BREW", "/me", "GET"),
    ],
)
def test_another_method_is_told_which_there_are(method: str, path: str, allow: str, lite: Databases) -> None:
    async def main() -> Answer:
        async with world(lite) as here:
            return await here.api.call(method, path)

    answer = asyncio.run(main())
    assert (answer.status, answer.code, answer.headers["allow"]) == (405, "method_not_allowed", allow)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/events/",
        "/webhook_subscriptions/",
        "//me",
        "/webhook_subscriptions/a/b/c",
        "/docs",
        "/../me",
        "/me\0",
    ],
)
def test_where_nothing_is_nothing_is_found(path: str, lite: Databases) -> None:
    async def main() -> Answer:
        async with world(lite) as here:
            return await here.api.call("GET", path)

    answer = asyncio.run(main())
    assert (answer.status, answer.code) == (404, "resource_not_found")


def test_an_id_that_is_none_is_not_found(databases: Databases) -> None:
    ids = [
        "\0",
        "wbs_\0" + "0" * 25,
        "wbs_" + "é" * 26,
        NOBODY.lower(),
        NOBODY + "0",
        NOBODY + "\n",
        "a" * 900,
        "'",
        "%",
    ]
    calls = [
        ("GET", f"{SUBSCRIPTIONS}/{{}}", None),
        ("PATCH", f"{SUBSCRIPTIONS}/{{}}", {"description": "a"}),
        ("DELETE", f"{SUBSCRIPTIONS}/{{}}", None),
        ("POST", f"{SUBSCRIPTIONS}/{{}}/test", None),
        ("POST", f"{SUBSCRIPTIONS}/{{}}/secrets", None),
        ("DELETE", f"{SUBSCRIPTIONS}/{NOBODY}/secrets/{{}}", None),
        ("GET", "/webhook_deliveries/{}", None),
        ("POST", "/webhook_deliveries/{}/replay", None),
    ]

    async def main() -> set[tuple[int, str | None]]:
        async with world(databases) as here:
            answers = [await here.api.call(verb, path.format(id_), body) for verb, path, body in calls for id_ in ids]
            return {(answer.status, answer.code) for answer in answers}

    assert asyncio.run(main()) == {(404, "resource_not_found")}


def test_a_defect_in_the_middle_of_an_answer_is_logged_and_left_to_the_server(caplog: pytest.LogCaptureFixture) -> None:
    """Half an answer cannot be mended: the server, which sees the exception, cuts the connection."""

    async def half(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError("a defect")

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def main() -> None:
        nobody: Any = None
        await Front(half, Watch(Observer(), Meter()))({"type": "http", "method": "GET", "path": "/"}, nobody, send)

    with caplog.at_level(logging.ERROR, "kirimhook"), pytest.raises(RuntimeError, match="a defect"):
        asyncio.run(main())
    assert [message["type"] for message in sent] == ["http.response.start"]
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    "said",
    ["Basic abc", "Bearer", "Bearer ", "Bearer  x", "bearer kdv_live_é", "Bearer kdv_live_" + "a" * 9000, "kdv_live_x"],
)
def test_a_header_that_holds_no_key_is_refused(said: str, lite: Databases) -> None:
    async def main() -> Answer:
        async with world(lite) as here:
            return await here.api.call("GET", "/me", headers={"authorization": said})

    assert asyncio.run(main()).code == "invalid_api_key"


def test_a_key_counts_in_its_header_alone(lite: Databases) -> None:
    async def main() -> tuple[Answer, Answer, Answer]:
        async with world(lite) as here:
            key, nothing = here.api.key, {"authorization": None}
            header = (b"authorization", f"Bearer {key}".encode())
            return (
                await here.api.call("GET", "/me", headers=nothing, query=f"api_key={key}&access_token={key}"),
                await here.api.send("GET", "/v1/me", [header, header], []),
                await here.api.call("GET", "/me", headers={"authorization": f"bEaReR {key}"}),
            )

    asked, twice, spelt = asyncio.run(main())
    assert (asked.code, twice.code, spelt.status) == ("missing_api_key", "invalid_api_key", 200)


def test_nothing_that_is_said_without_a_key_tells_whether_a_thing_exists(lite: Databases) -> None:
    async def main() -> list[Answer]:
        async with world(lite) as here:
            made = await subscribe(here.api)
            stranger = here.api.with_key("kdv_live_" + "x" * 24)
            return [
                await stranger.call("GET", f"{SUBSCRIPTIONS}/{made['id']}"),
                await stranger.call("GET", f"{SUBSCRIPTIONS}/{NOBODY}"),
                await stranger.call("GET", SUBSCRIPTIONS, query="limit=x&nope=1"),
                await stranger.call("POST", SUBSCRIPTIONS, body=b"{", headers={"content-type": "text/plain"}),
            ]

    assert {answer.code for answer in asyncio.run(main())} == {"invalid_api_key"}


def test_a_line_for_every_request_is_there_for_who_wants_it(lite: Databases, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> tuple[Answer, Answer]:
        async with world(lite) as here:
            caplog.clear()
            return await here.api.call("GET", "/me"), await here.api.call("GET", "/nope")

    with caplog.at_level(logging.DEBUG, "kirimhook"):
        found, lost = asyncio.run(main())
    lines: list[Any] = [record for record in caplog.records if record.getMessage().startswith("request_answered")]
    shown = [line.kirimhook for line in lines]
    assert [line["request_id"] for line in shown] == [found.headers["x-request-id"], lost.headers["x-request-id"]]
    assert [line["status"] for line in shown] == [200, 404]
    assert shown[1]["code"] == "resource_not_found"
    assert shown[0]["organisation_id"] == found.data["id"]
    assert not any("kdv_live_" in json.dumps(line) for line in shown)


def test_two_applications_count_for_themselves() -> None:
    first, second = Meter(), Meter()
    sender: Any = None
    for meter in (first, second):
        create_app(sender, SenderSettings(), meter=meter, observer=Observer())
    assert first.counter("kirimhook_sender_requests_total") == {}
