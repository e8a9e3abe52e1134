"""Events are counted by type where they are stored and where they end: a hundred types in a process, then `other`.

What is counted agrees with what was sent, whichever way a delivery comes in, and Prometheus reads both labels.
"""

from __future__ import annotations

import asyncio
import http.client
from collections import Counter
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from kirimhook.backends import open_inbox
from kirimhook.observe import MOST_TYPES, OTHER_TYPES, Meter
from kirimhook.receiver.endpoint import Receiver
from kirimhook.receiver.event import Event
from kirimhook.receiver.hooks import Hooks
from kirimhook.receiver.model import InboundEvent
from kirimhook.receiver.secrets import Keyring
from tests.receiver.deliveries import NOW, SECRET, delivery
from tests.receiver.fleets import call, fleet, report
from tests.receiver.working import inbound, working
from tests.serving.running import serving

RECEIVED = "kirimhook_received_types_total"
ENDED = "kirimhook_ended_types_total"
KINDS = [f"noun.verb{number}" for number in range(MOST_TYPES + 20)]


def test_stored_events_are_counted_by_type_and_the_hundred_and_first_type_is_other() -> None:
    async def main() -> Meter:
        receiver = Receiver(open_inbox("sqlite:///:memory:"), Keyring.static(SECRET), clock=lambda: float(NOW))
        async with receiver:
            for number, kind in enumerate(KINDS + KINDS[:3] + KINDS[-3:]):
                sent = delivery(x_kirim_event=kind, x_kirim_event_id=f"evt_{number}")
                assert (await receiver.receive(sent.method, sent.headers, sent.body)).status == 200
            again = delivery(x_kirim_event=KINDS[0], x_kirim_event_id="evt_0")
            assert (await receiver.receive(again.method, again.headers, again.body)).body == b"duplicate-ack"
            forged = delivery(x_kirim_event="forged.type", x_kirim_event_id="evt_f", signed=b"t=1,v1=00")
            assert (await receiver.receive(forged.method, forged.headers, forged.body)).status == 401
        return receiver.meter

    counts = asyncio.run(main()).counter(RECEIVED)
    expected = Counter(KINDS[:MOST_TYPES] + KINDS[:3]) + Counter({OTHER_TYPES: 20 + 3})
    assert dict(counts) == dict(expected)


@pytest.mark.parametrize("length", ["announced", "chunked"])
def test_the_short_way_and_the_long_way_count_the_same(length: str) -> None:
    receiver = Receiver(
        open_inbox("sqlite:///:memory:"), Keyring.static(SECRET), clock=lambda: float(NOW), path="/kirim-webhook"
    )
    with serving(receiver) as (host, port):
        for number in range(3):
            sent = delivery(x_kirim_event_id=f"evt_{number}")
            connection = http.client.HTTPConnection(host, port, timeout=20)
            headers = {name.decode(): value.decode() for name, value in sent.headers}
            chunked = length == "chunked"
            body = iter([sent.body]) if chunked else sent.body
            connection.request(sent.method, "/kirim-webhook", body, headers, encode_chunked=chunked)
            assert connection.getresponse().status == 200
            connection.close()
    assert dict(receiver.meter.counter(RECEIVED)) == {"contact.created": 3}


def test_how_events_ended_is_counted_by_type_and_outcome(tmp_path: Path) -> None:
    hooks = Hooks()

    @hooks.on("noun.verb0")
    async def fine(event: Event) -> None: ...

    @hooks.on("noun.verb1", attempts=1)
    async def fails(event: Event) -> None:
        raise ValueError

    async def main() -> Meter:
        async with working(hooks, folder=tmp_path) as works:
            events: list[InboundEvent] = [inbound("one-key", kind=KINDS[number % 2]) for number in range(10)]
            await works.handle(*events, inbound(kind=KINDS[2]), inbound(kind="with blank"), inbound(livemode=False))
            return works.meter

    meter = asyncio.run(main())
    assert dict(meter.counter(ENDED)) == {
        f"{KINDS[0]} done": 5,
        f"{KINDS[1]} parked": 5,
        f"{KINDS[2]} unhandled": 1,
        "with blank unhandled": 1,
        "contact.updated skipped": 1,
    }
    assert sum(meter.counter(ENDED).values()) == sum(meter.counter("kirimhook_handled_total").values())
    page = call(fleet(report(snapshot=meter.snapshot())), "/metrics").body.decode()
    family = next(each for each in text_string_to_metric_families(page) if each.name == ENDED.removesuffix("_total"))
    read = {(sample.labels["type"], sample.labels["outcome"]): sample.value for sample in family.samples}
    assert read == {tuple(label.rsplit(" ", 1)): count for label, count in meter.counter(ENDED).items()}


def test_types_that_ended_are_bounded_too() -> None:
    async def main() -> Meter:
        async with working(Hooks()) as works:
            await works.handle(*(inbound(kind=kind) for kind in KINDS))
            return works.meter

    counts = asyncio.run(main()).counter(ENDED)
    assert counts[f"{OTHER_TYPES} unhandled"] == 20
    assert len(counts) == MOST_TYPES + 1
