"""The document says what the API answers: its schemas fit `contract.resources`, whatever is in them, and nothing else;
its examples fit its schemas; every call of contract section 5 is in it, with every error it can have.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import fields
from datetime import UTC, datetime
from types import NoneType
from typing import Any, get_args, get_origin, get_type_hints

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kirimhook.contract import ids, resources
from kirimhook.contract.codec import Resource
from kirimhook.contract.errors import CODES
from kirimhook.contract.events import DOCUMENTED_TYPES
from kirimhook.contract.resources import DeliveryKind, DeliveryStatus, SubscriptionStatus
from kirimhook.contract.signature import Secret
from kirimhook.sender.api import create_app
from kirimhook.settings import SenderSettings
from tests.sender.api import Answer, Document, world
from tests.sender.databases import Databases

# Contract section 5, by hand: every call with the status it succeeds with.
CALLS = {
    ("post", "/v1/webhook_subscriptions"): "201",
    ("get", "/v1/webhook_subscriptions"): "200",
    ("get", "/v1/webhook_subscriptions/{subscription_id}"): "200",
    ("patch", "/v1/webhook_subscriptions/{subscription_id}"): "200",
    ("delete", "/v1/webhook_subscriptions/{subscription_id}"): "204",
    ("post", "/v1/webhook_subscriptions/{subscription_id}/secrets"): "201",
    ("delete", "/v1/webhook_subscriptions/{subscription_id}/secrets/{secret_id}"): "204",
    ("post", "/v1/webhook_subscriptions/{subscription_id}/test"): "202",
    ("get", "/v1/webhook_deliveries"): "200",
    ("get", "/v1/webhook_deliveries/{delivery_id}"): "200",
    ("post", "/v1/webhook_deliveries/{delivery_id}/replay"): "202",
    ("post", "/v1/webhook_deliveries/bulk_replay"): "202",
    ("post", "/v1/events"): "202",
    ("get", "/v1/me"): "200",
    ("get", "/v1/health"): "200",
    ("get", "/v1/openapi.json"): "200",
}
PUBLIC = {"/v1/health", "/v1/openapi.json"}


def made(**settings: Any) -> dict[str, Any]:
    nobody: Any = None
    app = create_app(nobody, SenderSettings(**settings), server_url="https://api.example.com")
    return app.openapi()


DOCUMENT = made()
CHECK = Document(DOCUMENT)


def operations() -> list[tuple[str, str, dict[str, Any]]]:
    return [(method, path, call) for path, calls in DOCUMENT["paths"].items() for method, call in calls.items()]


def test_it_has_every_call_of_the_contract_and_no_other() -> None:
    found = {(method, path): min(call["responses"]) for method, path, call in operations()}
    assert found == CALLS
    names = [call["operationId"] for _, _, call in operations()]
    assert len(set(names)) == len(names)
    assert DOCUMENT["openapi"].startswith("3.1")
    assert DOCUMENT["servers"] == [{"url": "https://api.example.com"}]


def test_who_may_call_without_a_key_is_said() -> None:
    (scheme,) = DOCUMENT["components"]["securitySchemes"].values()
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")
    assert DOCUMENT["security"] == [{name: [] for name in DOCUMENT["components"]["securitySchemes"]}]
    assert {path for _, path, call in operations() if call.get("security") == []} == PUBLIC


def test_every_error_has_its_status_and_every_code_but_405_is_somewhere() -> None:
    seen = set()
    for method, path, call in operations():
        for status, response in call["responses"].items():
            assert "X-Request-Id" in response["headers"], (method, path, status)
            if status < "400":
                continue
            examples = response["content"]["application/json"]["examples"]
            assert examples
            for code, example in examples.items():
                assert CODES[code].status == int(status)
                assert example["value"]["error"]["code"] == code
                assert example["value"]["error"]["type"] == CODES[code].type
                seen.add(code)
    assert seen == set(CODES) - {"method_not_allowed"}


def test_what_every_call_with_a_key_can_be_answered_is_said() -> None:
    for method, path, call in operations():
        if path not in PUBLIC:
            assert {"401", "429", "500", "503"} <= set(call["responses"])
        if method == "post":
            assert {"400", "409", "413", "415", "422"} <= set(call["responses"])
            assert "Idempotency-Key" in [parameter["name"] for parameter in call["parameters"]]


def examples_of(schema_and_examples: dict[str, Any]) -> list[Any]:
    return [example["value"] for example in schema_and_examples.get("examples", {}).values()]


def test_its_examples_fit_its_schemas() -> None:
    checked = 0
    for method, path, call in operations():
        bodies = [body for response in call["responses"].values() for body in response.get("content", {}).values()]
        bodies += [body for kind, body in call.get("requestBody", {"content": {}})["content"].items() if "json" in kind]
        for body in bodies:
            for value in examples_of(body):
                CHECK.check_schema(body["schema"], value)
                checked += 1
        if method != "delete" and path != "/v1/openapi.json":
            success = call["responses"][CALLS[method, path]]
            assert examples_of(success["content"]["application/json"]), (method, path)
    assert checked > 150


def test_what_it_refers_to_is_there_and_what_is_there_is_referred_to() -> None:
    said = json.dumps(DOCUMENT)
    for section in ("schemas", "headers"):
        for name in DOCUMENT["components"][section]:
            assert f'"#/components/{section}/{name}"' in said, name
    for part in said.split('"$ref": "')[1:]:
        where: Any = DOCUMENT
        for step in part.partition('"')[0].removeprefix("#/").split("/"):
            where = where[step]


def test_its_event_types_are_the_catalogue() -> None:
    assert DOCUMENT["components"]["schemas"]["EventType"]["enum"] == list(DOCUMENTED_TYPES)
    own = made(catalogue=("order.created", "order.paid"))
    assert own["components"]["schemas"]["EventType"]["enum"] == ["order.created", "order.paid"]


def test_it_is_served_to_anybody_as_it_is(sqlite_url: str) -> None:
    async def main() -> tuple[Answer, dict[str, Any]]:
        async with world(Databases(sqlite_url)) as here:
            answer = await here.api.call("GET", "/openapi.json", headers={"authorization": None})
            return answer, here.api.app.openapi()

    answer, document = asyncio.run(main())
    assert answer.json == document


moments = st.floats(0, 4_000_000_000).map(lambda second: datetime.fromtimestamp(second, UTC))
texts = st.text(max_size=20)
codes = st.binary(min_size=10, max_size=10)


def id_of(prefix: str) -> st.SearchStrategy[str]:
    return st.builds(lambda randomness: ids.make(prefix, 1_800_000_000_000, randomness), codes)


KNOWN: dict[Any, st.SearchStrategy[Any]] = {
    ids.SubscriptionId: id_of("wbs_"),
    ids.SecretId: id_of("sec_"),
    ids.DeliveryId: id_of("wbd_"),
    datetime: moments,
    str: texts,
    int: st.integers(0, 1000),
    float: st.floats(0, 10_000),
    bool: st.booleans(),
    Secret: st.just(Secret("whsec_" + "A" * 43)),
    SubscriptionStatus: st.sampled_from(SubscriptionStatus),
    DeliveryStatus: st.sampled_from(DeliveryStatus),
    DeliveryKind: st.sampled_from(DeliveryKind),
}
RESOURCES = [
    resources.Subscription,
    resources.SecretInfo,
    resources.NewSecret,
    resources.Delivery,
    resources.Attempt,
    resources.Timing,
    resources.ReplayReceipt,
    resources.BulkReplay,
    resources.EventReceipt,
]


def build(kind: type[Resource]) -> st.SearchStrategy[Any]:
    """Resources of this kind with anything in them that their annotations allow, of what our API says."""

    def of(hint: Any) -> st.SearchStrategy[Any]:
        if hint in KNOWN:
            return KNOWN[hint]
        if hint is NoneType:
            return st.none()
        if get_origin(hint) is tuple:
            return st.lists(of(get_args(hint)[0]), max_size=2).map(tuple)
        if get_origin(hint) is dict:
            return st.dictionaries(texts, texts, max_size=2)
        if isinstance(hint, type):
            return build(hint)
        return st.one_of([of(part) for part in get_args(hint)])

    hints = get_type_hints(kind)
    each: Any = kind
    drawn = {field.name: of(hints[field.name]) for field in fields(each)}
    said = {name: drawn[name].filter(lambda value: value is not None) for name in kind.OURS}
    return st.builds(kind, **drawn | said)


@pytest.mark.parametrize("kind", RESOURCES, ids=lambda kind: kind.__name__)
def test_a_resource_fits_its_schema_whatever_is_in_it_and_nothing_less_does(kind: type[Resource]) -> None:
    reference = {"$ref": f"#/components/schemas/{kind.__name__}"}

    @given(build(kind), st.data())
    def check(resource: Resource, data: st.DataObject) -> None:
        shown = json.loads(json.dumps(resource.to_json()))
        CHECK.check_schema(reference, shown)
        name = data.draw(st.sampled_from(DOCUMENT["components"]["schemas"][kind.__name__]["required"]))
        without = {other: value for other, value in shown.items() if other != name}
        for wrong in (without, {**shown, "surplus": 1}, {**shown, name: [{"of": "no such type"}, 1]}):
            with pytest.raises(jsonschema_rs.ValidationError):
                CHECK.check_schema(reference, wrong)

    check()


def test_every_resource_of_the_contract_is_there() -> None:
    of_contract = {
        name
        for name, value in vars(resources).items()
        if isinstance(value, type) and issubclass(value, Resource) and value is not Resource
    }
    assert of_contract == {kind.__name__ for kind in RESOURCES}
    assert of_contract <= set(DOCUMENT["components"]["schemas"])
