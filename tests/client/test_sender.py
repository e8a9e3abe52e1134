"""Both clients drive our real sender over TLS through all that its API does; what it loses or refuses on the way is
made good: nothing is done twice, nothing that was done is forgotten.
"""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from kirimhook.client import Conflict, InvalidRequest, NotFound, Unauthenticated, Unreachable
from kirimhook.contract import samples
from kirimhook.contract.resources import DeliveryKind, DeliveryStatus
from tests.client.asking import BOTH, Ask, answering, asking, trusting
from tests.client.losing import Losing
from tests.serving.senders import Consumer, Sending, consumer, is_signed

TYPES = ["contact.created", "message.received"]
SOON = 30.0


class Api(NamedTuple):
    sending: Sending
    consumer: Consumer
    trust: ssl.SSLContext


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    folder = tmp_path_factory.mktemp("sender")
    with consumer() as receiving, Sending(folder, "--tls", *receiving.trusting) as sending:
        assert sending.url.startswith("https://")
        yield Api(sending, receiving, trusting(folder / "kirimhook-sender-tls" / "ca.pem"))


@pytest.fixture(params=["sync", "async"])
def ask(request: pytest.FixtureRequest, api: Api) -> Iterator[Ask]:
    with asking(request.param, api.sending.url, api.sending.key, verify=api.trust) as asked:
        yield asked


def _publish(event_id: str) -> Callable[[Any], Any]:
    return lambda kirim: kirim.events.publish(type="contact.created", data={}, id=event_id)


def until_done(ask: Ask, delivery_id: str) -> Any:
    """The delivery, once it is done. Another process brings it about."""
    end = time.monotonic() + SOON
    while time.monotonic() < end:
        found = ask(lambda kirim: kirim.webhook_deliveries.get(delivery_id))
        if found.finished_at is not None:
            return found
        time.sleep(0.05)
    raise AssertionError(f"{delivery_id} is not done after {SOON:g} s")


def test_subscribe_publish_receive_replay(api: Api, ask: Ask) -> None:
    made = ask(lambda kirim: kirim.webhook_subscriptions.create(url=api.consumer.url, events=TYPES, description="d"))
    before = len(api.consumer.received(0))
    sample = samples.load("message.received.text")
    one = ask(lambda kirim: kirim.events.publish(type="contact.created", data={"contact": {"id": "con_1"}}))
    two = ask(
        lambda kirim: kirim.events.publish_raw(
            sample.body, source=sample.source, type=sample.type, event_id=f"wamid.{made.id}"
        )
    )
    assert one.deliveries >= 1
    assert not two.duplicate
    requests = api.consumer.received(before + 2)[before:]
    assert sample.body in [request.body for request in requests]
    assert all(is_signed(request, made.initial_secret.reveal()) for request in requests)
    (delivery,) = ask(lambda kirim: kirim.webhook_deliveries.list(subscription_id=made.id, event_id=one.id))
    done = until_done(ask, delivery.id)
    assert (done.status, done.kind, done.response_status) == (DeliveryStatus.SUCCEEDED, DeliveryKind.ORIGINAL, 200)
    assert [attempt.number for attempt in done.attempts] == [1]
    again = ask(lambda kirim: kirim.webhook_deliveries.replay(delivery.id))
    assert again.replayed_from == delivery.id
    assert until_done(ask, again.id).kind is DeliveryKind.REPLAY
    ask(lambda kirim: kirim.webhook_subscriptions.delete(made.id))


def test_a_subscription_from_beginning_to_end(api: Api, ask: Ask) -> None:
    made = ask(lambda kirim: kirim.webhook_subscriptions.create(url=api.consumer.url, events=TYPES, description="d"))
    tried = ask(lambda kirim: kirim.webhook_subscriptions.test(made.id, event="contact.created"))
    assert until_done(ask, tried.id).kind is DeliveryKind.TEST
    new = ask(lambda kirim: kirim.webhook_subscriptions.secrets.create(made.id, expires_in_hours=1))
    assert new.expires_at > new.created_at
    ask(lambda kirim: kirim.webhook_subscriptions.secrets.delete(made.id, made.secrets[0].id))
    with pytest.raises(Conflict) as caught:
        ask(lambda kirim: kirim.webhook_subscriptions.secrets.delete(made.id, new.id))
    assert caught.value.code == "last_active_secret"
    changed = ask(
        lambda kirim: kirim.webhook_subscriptions.update(
            made.id, description=None, events=["contact.created"], status="disabled"
        )
    )
    assert (not changed.description, changed.events, changed.disabled_reason) == (True, ("contact.created",), "manual")
    ask(lambda kirim: kirim.webhook_subscriptions.update(made.id, status="active", held="discard"))
    assert made.id in [one.id for one in ask(lambda kirim: kirim.webhook_subscriptions.list(limit=1))]
    ask(lambda kirim: kirim.webhook_subscriptions.delete(made.id))
    with pytest.raises(NotFound):
        ask(lambda kirim: kirim.webhook_subscriptions.delete(made.id))


def test_a_walk_over_many_pages_sees_each_delivery_once(api: Api, ask: Ask) -> None:
    made = ask(lambda kirim: kirim.webhook_subscriptions.create(url=api.consumer.url, events=["contact.created"]))
    ask(lambda kirim: kirim.webhook_subscriptions.update(made.id, status="disabled"))
    told = [ask(_publish(f"{made.id}-{number}")) for number in range(7)]
    walked = ask(lambda kirim: kirim.webhook_deliveries.list(subscription_id=made.id, limit=2))
    assert [one.event_id for one in walked] == [one.id for one in reversed(told)]
    pages = ask(lambda kirim: kirim.webhook_deliveries.list(subscription_id=made.id, limit=3).pages())
    assert [len(page.items) for page in pages] == [3, 3, 1]
    rest = ask(
        lambda kirim: kirim.webhook_deliveries.list(subscription_id=made.id, limit=3, cursor=pages[0].next_cursor)
    )
    assert len(rest) == 4
    ask(lambda kirim: kirim.webhook_subscriptions.delete(made.id))


def test_the_same_idempotency_key_is_the_same_answer(api: Api, ask: Ask) -> None:
    def create(kirim: Any) -> Any:
        url = api.consumer.url
        return kirim.webhook_subscriptions.create(url=url, events=TYPES, idempotency_key=f"create-{key}")

    key = time.monotonic_ns()
    one, two = ask(create), ask(create)
    assert (one, one.initial_secret) == (two, two.initial_secret)
    ask(lambda kirim: kirim.webhook_subscriptions.delete(one.id))


def test_what_is_refused_names_the_field(api: Api, ask: Ask) -> None:
    with pytest.raises(InvalidRequest) as caught:
        ask(lambda kirim: kirim.webhook_subscriptions.create(url="http://plain.example.com", events=TYPES))
    error = caught.value
    assert (error.code, error.param, error.status) == ("invalid_webhook_url", "url", 400)
    assert str(error.request_id).startswith("req_")
    with pytest.raises(InvalidRequest, match="invalid_limit"):
        ask(lambda kirim: kirim.webhook_deliveries.list(limit=101))


def test_the_document_is_the_api_s_own(ask: Ask) -> None:
    document = ask(lambda kirim: kirim.document())
    assert "/v1/webhook_deliveries/bulk_replay" in document["paths"]
    json.dumps(document)


@BOTH
def test_lost_answers_do_nothing_twice(kind: str, api: Api) -> None:
    """Every request is carried out, and the answer to its first try is lost on the way back."""
    key, losing = api.sending.key, Losing(api.sending.url, api.trust)
    with (
        asking("sync", api.sending.url, key, verify=api.trust) as direct,
        answering(choose=losing.choose) as relay,
        asking(kind, relay.url, key, verify=relay.trust) as ask,
    ):
        made = ask(lambda kirim: kirim.webhook_subscriptions.create(url=api.consumer.url, events=TYPES))
        new = ask(lambda kirim: kirim.webhook_subscriptions.secrets.create(made.id))
        found = direct(lambda kirim: kirim.webhook_subscriptions.get(made.id))
        assert [one.id for one in found.secrets] == [made.secrets[0].id, new.id]
        assert new.secret.reveal().startswith("whsec_")
        ask(lambda kirim: kirim.webhook_subscriptions.secrets.delete(made.id, new.id))
        ask(lambda kirim: kirim.webhook_subscriptions.delete(made.id))
        assert made.id not in [one.id for one in direct(lambda kirim: kirim.webhook_subscriptions.list())]
    assert set(losing.seen.values()) == {2}
    assert len(losing.seen) == 4


@BOTH
def test_an_api_that_is_away_for_a_moment_is_waited_for(kind: str, tmp_path: Path) -> None:
    with Sending(tmp_path, "--api-only") as first:
        url, key = first.url, first.key
    again: list[Sending] = []
    port = url.rpartition(":")[2]
    starting = threading.Timer(0.3, lambda: again.append(Sending(tmp_path, "--api-only", "--port", port)))
    starting.start()
    try:
        with asking(kind, url, key, retries=12) as ask:
            made = ask(lambda kirim: kirim.webhook_subscriptions.create(url="https://a.example.com/h", events=TYPES))
            assert [one.id for one in ask(lambda kirim: kirim.webhook_subscriptions.list())] == [made.id]
    finally:
        starting.join()
        for sending in again:
            sending.__exit__(None, None, None)


@BOTH
def test_keys_and_protocols_that_do_not_fit(kind: str, api: Api, tmp_path: Path) -> None:
    with (
        asking(kind, api.sending.url, "kdv_live_wrong", verify=api.trust) as ask,
        pytest.raises(Unauthenticated, match="invalid_api_key"),
    ):
        ask(lambda kirim: kirim.webhook_subscriptions.list())
    plain = api.sending.url.replace("https://", "http://")
    with asking(kind, plain, api.sending.key, retries=0) as ask, pytest.raises(Unreachable):
        ask(lambda kirim: kirim.webhook_subscriptions.list())
    with asking(kind, api.sending.url, api.sending.key) as ask, pytest.raises(Unreachable, match="is not trusted"):
        ask(lambda kirim: kirim.webhook_subscriptions.list())
