"""The client works against an API that has only what the guide and the provider's documentation say; what it does not
say is None.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple

import pytest

from kirimhook.client import InvalidRequest, NotFound, Unauthenticated
from kirimhook.contract.resources import DeliveryStatus, SubscriptionStatus
from tests.client.asking import Ask, Server, answering, asking
from tests.client.recorded import EVENTS, Recorded


class Hosted(NamedTuple):
    ask: Ask
    server: Server
    state: Recorded


@pytest.fixture(params=["sync", "async"])
def hosted(request: pytest.FixtureRequest) -> Iterator[Hosted]:
    state = Recorded()
    with (
        answering(choose=state.choose) as server,
        asking(request.param, server.url, verify=server.trust, retries=0) as ask,
    ):
        yield Hosted(ask, server, state)


def test_the_guide_from_subscription_to_rotation(hosted: Hosted) -> None:
    ask = hosted.ask
    made = ask(
        lambda kirim: kirim.webhook_subscriptions.create(
            url="https://your-server.example.com/kirim-webhook", events=EVENTS, description="Production handler"
        )
    )
    assert made.initial_secret.reveal() == "whsec_first"
    assert (made.status, made.events, made.created_at) == (SubscriptionStatus.ACTIVE, tuple(EVENTS), None)
    new = ask(lambda kirim: kirim.webhook_subscriptions.secrets.create(made.id))
    assert (new.id, new.secret.reveal()) == ("sec_2", "whsec_second")
    (old, _) = ask(lambda kirim: kirim.webhook_subscriptions.get(made.id)).secrets
    assert ask(lambda kirim: kirim.webhook_subscriptions.secrets.delete(made.id, old.id)) is None
    (found,) = ask(lambda kirim: kirim.webhook_subscriptions.list())
    assert [secret.id for secret in found.secrets] == ["sec_2"]
    changed = ask(lambda kirim: kirim.webhook_subscriptions.update(made.id, status="disabled"))
    assert (changed.status, changed.disabled_reason) == (SubscriptionStatus.DISABLED, None)
    assert ask(lambda kirim: kirim.webhook_subscriptions.delete(made.id)) is None
    with pytest.raises(NotFound):
        ask(lambda kirim: kirim.webhook_subscriptions.get(made.id))


def test_the_dead_letters_over_all_pages_an_empty_one_among_them(hosted: Hosted) -> None:
    dead = hosted.ask(lambda kirim: kirim.webhook_deliveries.list(subscription_id="wbs_1", status="dead", limit=2))
    assert [letter.id for letter in dead] == [f"wbd_{number}" for number in range(5)]
    first = dead[0]
    assert first.status is DeliveryStatus.DEAD
    assert first.created_at == datetime(2026, 5, 23, 10, tzinfo=UTC)
    ours = (first.source, first.kind, first.attempt_count, first.max_attempts, first.replayed_by, first.attempts)
    assert set(ours) == {None}
    pages = hosted.ask(lambda kirim: kirim.webhook_deliveries.list(status="dead").pages())
    assert [(len(page.items), page.next_cursor) for page in pages] == [(2, "c1"), (0, "c2"), (2, "c3"), (1, None)]
    rest = hosted.ask(lambda kirim: kirim.webhook_deliveries.list(status="dead", cursor="c2"))
    assert len(rest) == 3


def test_replays_one_and_in_bulk(hosted: Hosted) -> None:
    again = hosted.ask(lambda kirim: kirim.webhook_deliveries.replay("wbd_1"))
    assert (again.id, again.replayed_from, again.status) == ("wbd_new", "wbd_1", DeliveryStatus.PENDING)
    many = hosted.ask(
        lambda kirim: kirim.webhook_deliveries.bulk_replay(
            subscription_id="wbs_1", created_after=datetime(2026, 5, 20, tzinfo=UTC)
        )
    )
    assert (many.enqueued, many.capped, many.last_created_at) == (5, False, None)


def test_its_refusals_have_their_class_code_and_param(hosted: Hosted) -> None:
    with pytest.raises(InvalidRequest) as caught:
        hosted.ask(lambda kirim: kirim.webhook_subscriptions.create(url="http://a", events=EVENTS))
    error = caught.value
    assert (error.code, error.param, error.request_id, error.status) == ("invalid_webhook_url", "url", "req_2", 400)
    with pytest.raises(InvalidRequest, match="invalid_cursor"):
        hosted.ask(lambda kirim: kirim.webhook_deliveries.list(cursor="mine"))
    with pytest.raises(NotFound):
        hosted.ask(lambda kirim: kirim.webhook_subscriptions.test("wbs_1"))


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_wrong_key_is_unauthenticated(kind: str) -> None:
    with (
        answering(choose=Recorded().choose) as server,
        asking(kind, server.url, "kdv_live_wrong", verify=server.trust) as ask,
        pytest.raises(Unauthenticated, match="invalid_api_key"),
    ):
        ask(lambda kirim: kirim.webhook_deliveries.list())
