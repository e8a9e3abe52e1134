"""A type checker sees the same methods on both clients: blocking on one, awaited on the other. Checked by mypy; what
runs here is that their names and signatures are the same.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Iterator
from typing import assert_type

import kirimhook
from kirimhook.client import AsyncKirim, AsyncListing, Kirim, Listing, Page
from kirimhook.client.method import listed, method
from kirimhook.contract.resources import BulkReplay, Delivery, EventReceipt, NewSecret, ReplayReceipt, Subscription


def blocking(kirim: Kirim) -> None:
    assert_type(kirim.webhook_subscriptions.create(url="https://a", events=["a.b"]), Subscription)
    assert_type(kirim.webhook_subscriptions.list(), Listing[Subscription])
    assert_type(kirim.webhook_subscriptions.update("wbs_1", status="active"), Subscription)
    assert_type(kirim.webhook_subscriptions.test("wbs_1"), Delivery)
    assert_type(kirim.webhook_subscriptions.secrets.create("wbs_1"), NewSecret)
    assert_type(kirim.webhook_deliveries.list(status="dead").pages(), Iterator[Page[Delivery]])
    assert_type(kirim.webhook_deliveries.replay("wbd_1"), ReplayReceipt)
    assert_type(kirim.webhook_deliveries.bulk_replay(subscription_id="wbs_1"), BulkReplay)
    assert_type(kirim.events.publish(type="a.b", data={}), EventReceipt)
    kirim.webhook_subscriptions.create(urls="https://a")  # type: ignore[call-arg]  # a misspelt name is found


async def awaited(kirim: AsyncKirim) -> None:
    assert_type(await kirim.webhook_subscriptions.create(url="https://a", events=["a.b"]), Subscription)
    assert_type(kirim.webhook_subscriptions.list(), AsyncListing[Subscription])
    assert_type(await kirim.webhook_subscriptions.secrets.create("wbs_1"), NewSecret)
    assert_type(kirim.webhook_deliveries.list(status="dead").pages(), AsyncIterator[Page[Delivery]])
    assert_type(await kirim.webhook_deliveries.bulk_replay(subscription_id="wbs_1"), BulkReplay)
    await kirim.webhook_deliveries.replay(7)  # type: ignore[arg-type]  # a wrong kind of argument is found


def test_every_method_is_one_declaration_with_a_docstring() -> None:
    with Kirim("key", base_url="http://127.0.0.1:1") as kirim:
        other = AsyncKirim("key", base_url="http://127.0.0.1:1")
        for path in ("", "webhook_subscriptions", "webhook_subscriptions.secrets", "webhook_deliveries", "events"):
            one, two = kirim, other
            for name in filter(None, path.split(".")):
                one, two = getattr(one, name), getattr(two, name)
            declared = {name for name in dir(type(one)) if isinstance(getattr(type(one), name), method | listed)}
            assert declared
            assert declared == {
                name for name in dir(type(two)) if isinstance(getattr(type(two), name), method | listed)
            }
            for name in declared:
                first, second = getattr(one, name), getattr(two, name)
                assert inspect.signature(first) == inspect.signature(second)
                assert inspect.getdoc(first) == inspect.getdoc(second)
                assert inspect.getdoc(first)


def test_the_door_opens_the_client() -> None:
    assert (kirimhook.Kirim, kirimhook.AsyncKirim) == (Kirim, AsyncKirim)
