"""`Receiver.accept` decides, without I/O, what contract section 6 says, in this order: method, content type,
size, secrets, signature, id and type, identity. It never raises, and never says why in its reply.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kirimhook.backends import open_inbox
from kirimhook.contract.events import Identity
from kirimhook.receiver.endpoint import Answer, Receiver
from kirimhook.receiver.hooks import Hooks
from kirimhook.receiver.model import InboundEvent
from kirimhook.receiver.secrets import Keyring
from kirimhook.settings import ReceiverSettings
from tests.receiver.deliveries import NOW, OTHER, SECRET, Delivery, Log, delivery, envelope, signature, status


class Now:
    """A clock that stands still until it is set."""

    def __init__(self, at: float = NOW) -> None:
        self.at = at

    def __call__(self) -> float:
        return self.at


def receiver(
    *secrets: str,
    settings: ReceiverSettings | None = None,
    hooks: Hooks | None = None,
    clock: Now | None = None,
    log: Log | None = None,
) -> Receiver:
    return Receiver(
        open_inbox("sqlite:///:memory:"),
        Keyring.static(*secrets),
        settings=settings,
        hooks=hooks,
        clock=clock or Now(),
        observer=(log or Log()).observer,
    )


def accept(asked: Receiver, made: Delivery) -> InboundEvent | Answer:
    return asked.accept(made.method, made.headers, made.body)


def accepted(asked: Receiver, made: Delivery) -> InboundEvent:
    event = accept(asked, made)
    assert isinstance(event, InboundEvent), event
    return event


def refused(asked: Receiver, made: Delivery) -> Answer:
    answer = accept(asked, made)
    assert isinstance(answer, Answer), answer
    return answer


SMALL = ReceiverSettings(max_body=200)
WRONG = delivery(b"x" * 201, signed=b"t=1,v1=00", content_type="text/plain", x_kirim_event_id=None, x_kirim_event=None)
"""Everything is wrong with it. The checks below take one fault after the other away."""


def without_faults() -> Iterator[tuple[str, Delivery, tuple[str, ...], int]]:
    plain = dict(WRONG.headers)
    yield "method", WRONG._replace(method="PUT"), (), 405
    yield "content type", WRONG, (), 415
    typed = WRONG._replace(headers=list({**plain, b"content-type": b"application/json"}.items()))
    yield "size", typed, (), 413
    small = typed._replace(body=b"x" * 200)
    yield "secrets", small, (), 503
    yield "signature", small, (SECRET,), 401
    signed = small._replace(
        headers=list({**dict(small.headers), b"x-kirim-signature": signature(SECRET, small.body, NOW)}.items())
    )
    yield "event id", signed, (SECRET,), 400
    named = signed._replace(headers=[*signed.headers, (b"x-kirim-event-id", b"evt_1")])
    yield "event type", named, (SECRET,), 400


@pytest.mark.parametrize(
    ("made", "secrets", "code"), [row[1:] for row in without_faults()], ids=[row[0] for row in without_faults()]
)
def test_the_first_fault_decides(made: Delivery, secrets: tuple[str, ...], code: int) -> None:
    assert refused(receiver(*secrets, settings=SMALL), made).status == code


def test_what_has_no_fault_left_is_accepted_even_if_it_is_no_json() -> None:
    *_, (_, last, _, _) = without_faults()
    made = last._replace(headers=[*last.headers, (b"x-kirim-event", b"contact.created")])
    event = accepted(receiver(SECRET, settings=SMALL), made)
    assert event.problem is not None
    assert event.body == b"x" * 200


def test_answers_are_those_of_the_contract() -> None:
    asked = receiver(SECRET)
    assert refused(asked, delivery()._replace(method="GET"))[:3] == (
        405,
        b"method not allowed",
        ((b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"18"), (b"allow", b"POST")),
    )
    assert refused(asked, delivery(secret=OTHER))[:2] == (401, b"invalid signature")
    unready = refused(receiver(), delivery())
    assert (unready.status, dict(unready.headers)[b"retry-after"]) == (503, b"5")


@pytest.mark.parametrize(
    "made",
    [
        delivery(secret=OTHER),
        delivery(at=NOW - 301),
        delivery(at=NOW + 301),
        delivery(signed=b""),
        delivery(signed=b"t=1"),
        delivery(signed=b"v1=" + b"0" * 64),
        delivery(signed=b"t=1800000000,v1=zz"),
        delivery()._replace(headers=delivery().headers[:-1]),
        delivery()._replace(body=envelope() + b" "),
    ],
)
def test_a_reply_to_what_is_not_authentic_never_says_why(made: Delivery) -> None:
    answer = refused(receiver(SECRET), made)
    assert answer[:3] == refused(receiver(SECRET), delivery(secret=OTHER))[:3]
    assert answer.status == 401


def test_reasons_are_told_apart_for_the_log() -> None:
    asked = receiver(SECRET)
    made = [delivery(secret=OTHER), delivery(at=NOW - 301), delivery(at=NOW + 301), delivery(signed=b"t=1")]
    assert [refused(asked, one).reason for one in made] == ["no_match", "stale", "future", "no_signature"]
    assert refused(asked, made[1]).detail == "our clock is +301 s from the signature's"


@pytest.mark.parametrize(
    "content_type", ["application/json", "Application/JSON", "application/json; charset=utf-8", "application/json;x"]
)
def test_json_content_types(content_type: str) -> None:
    accepted(receiver(SECRET), delivery(content_type=content_type))


@pytest.mark.parametrize(
    "content_type", [None, "", "text/json", "application/jsonp", "application/problem+json", "json"]
)
def test_other_content_types(content_type: str | None) -> None:
    assert refused(receiver(SECRET), delivery(content_type=content_type)).status == 415


def test_an_event_is_what_headers_and_body_say() -> None:
    event = accepted(receiver(SECRET, clock=Now(NOW + 0.25)), delivery())
    assert event[1:] == (
        "evt_1",
        "contact.created",
        "kirim",
        "contact:con_7",
        True,
        None,
        "wbd_1",
        NOW * 1000 + 250,
        envelope(),
    )
    assert len(event.dedupe_key) == 16


def test_any_source_is_stored_as_it_came_and_an_absent_one_is_derived() -> None:
    asked = receiver(SECRET)
    assert accepted(asked, delivery(x_kirim_source="elsewhere")).source == "elsewhere"
    assert accepted(asked, delivery(x_kirim_source=None)) == accepted(asked, delivery())
    assert accepted(asked, delivery(status("sent"), x_kirim_source=None)).source == "meta"
    assert accepted(asked, delivery(b"[]", x_kirim_source=None)).source == ""


@pytest.mark.parametrize("padding", [0, 100_000])
def test_a_large_body_reads_like_a_small_one(padding: int) -> None:
    body = envelope(padding=[{"a": 1, "b": [1.5, None]}] * (padding // 20), livemode=False)
    event = accepted(receiver(SECRET), delivery(body[:-1] + b', "id": "evt_2", "data": {"conversation": {"id": "c"}}}'))
    assert (event.ordering_key, event.livemode, event.problem) == ("conversation:c", False, None)
    assert accepted(receiver(SECRET), delivery(body[:-1])).problem == "not JSON"
    assert accepted(receiver(SECRET), delivery(body[:-1] + b', "x": 1e999}')).problem == "a number too large to hold"


def test_a_test_delivery_is_accepted_as_one() -> None:
    assert not accepted(receiver(SECRET), delivery(envelope(livemode=False))).livemode


def test_the_three_statuses_of_a_message_are_three_events_and_a_retry_is_none() -> None:
    asked = receiver(SECRET)

    def key(state: str, at: int) -> bytes:
        made = delivery(status(state), at=at, x_kirim_event="message.status", x_kirim_event_id="wamid.1")
        return accepted(asked, made).dedupe_key

    keys = [key(state, NOW) for state in ("sent", "delivered", "read")]
    assert len(set(keys)) == 3
    assert [key(state, NOW + 60) for state in ("sent", "delivered", "read")] == keys


def test_ordering_is_off_where_its_handler_says_so() -> None:
    hooks = Hooks()

    @hooks.on("contact.created", ordered=False)
    def unordered(event: object) -> None: ...

    @hooks.on("contact.*")
    def ordered(event: object) -> None: ...

    asked = receiver(SECRET, hooks=hooks)
    assert accepted(asked, delivery()).ordering_key is None
    assert accepted(asked, delivery(x_kirim_event="contact.updated")).ordering_key == "contact:con_7"
    assert accepted(asked, delivery(x_kirim_event="order.created")).ordering_key == "contact:con_7"


class TestSignedIdentity:
    """The id, the type and the source that the headers give must be those of the signed body."""

    asked = receiver(SECRET, settings=ReceiverSettings(identity=Identity.SIGNED))

    @pytest.mark.parametrize(
        "made",
        [
            delivery(x_kirim_event_id="evt_2"),
            delivery(x_kirim_event="contact.updated"),
            delivery(x_kirim_source="meta"),
            delivery(b"not json"),
            delivery(b"{}"),
        ],
    )
    def test_refused(self, made: Delivery) -> None:
        answer = refused(self.asked, made)
        assert (answer.status, answer.body, answer.reason) == (401, b"invalid signature", "identity")
        accepted(receiver(SECRET), made)

    def test_accepted_and_the_source_is_the_bodys(self) -> None:
        assert accepted(self.asked, delivery()) == accepted(receiver(SECRET), delivery())
        assert accepted(self.asked, delivery(x_kirim_source=None)).source == "kirim"

    def test_a_body_of_several_ids_is_one_event_under_each_of_them(self) -> None:
        items = [{"id": name, "from": "628111"} for name in ("wamid.1", "wamid.2")]
        value = {"metadata": {"phone_number_id": "15550001"}, "messages": items}
        body = repr({"entry": [{"changes": [{"value": value}]}]}).replace("'", '"').encode()
        made = [
            delivery(body, x_kirim_source="meta", x_kirim_event="message.received", x_kirim_event_id=name)
            for name in ("wamid.1", "wamid.2")
        ]
        assert accepted(self.asked, made[0]) == accepted(self.asked, made[1])
        assert accepted(receiver(SECRET), made[0]) != accepted(receiver(SECRET), made[1])


class TestClock:
    """Our clock is off when several authentic signatures, and all of the last ones, were out of time."""

    def out_of_time(self, asked: Receiver, skew: int, *names: str) -> None:
        for name in names:
            assert refused(asked, delivery(envelope(name), at=NOW - skew)).reason in ("stale", "future")

    def test_three_say_how_far(self) -> None:
        asked = receiver(SECRET)
        self.out_of_time(asked, 900, "evt_1", "evt_2")
        assert asked.clock_offset() is None
        self.out_of_time(asked, 901, "evt_3")
        assert asked.clock_offset() == 900

    def test_a_slow_clock_is_negative(self) -> None:
        asked = receiver(SECRET)
        self.out_of_time(asked, -900, "evt_1", "evt_2", "evt_3")
        assert asked.clock_offset() == -900

    def test_one_in_time_clears_it(self) -> None:
        asked = receiver(SECRET)
        self.out_of_time(asked, 900, "evt_1", "evt_2", "evt_3")
        accepted(asked, delivery())
        assert asked.clock_offset() is None

    def test_a_captured_request_sent_again_and_again_proves_nothing(self) -> None:
        asked = receiver(SECRET)
        self.out_of_time(asked, 900, *["evt_1"] * 10)
        assert asked.clock_offset() is None

    def test_forged_ones_prove_nothing(self) -> None:
        asked = receiver(SECRET)
        for name in ("evt_1", "evt_2", "evt_3"):
            refused(asked, delivery(envelope(name), at=NOW - 900, secret=OTHER))
        assert asked.clock_offset() is None

    def test_it_is_forgotten_after_five_minutes(self) -> None:
        clock = Now()
        asked = receiver(SECRET, clock=clock)
        self.out_of_time(asked, 900, "evt_1", "evt_2", "evt_3")
        clock.at += 300
        assert asked.clock_offset() == 900
        clock.at += 1
        assert asked.clock_offset() is None


def test_secrets_know_when_they_matched_last_and_a_stale_match_is_none() -> None:
    keyring = Keyring.static(SECRET, OTHER)
    clock = Now()
    asked = Receiver(open_inbox("sqlite:///:memory:"), keyring, clock=clock)
    accepted(asked, delivery())
    clock.at = NOW + 5
    accepted(asked, delivery())
    refused(asked, delivery(at=NOW - 900, secret=OTHER))
    assert [(use["last_matched_at"], use["matches"]) for use in keyring.status()] == [(NOW + 5, 2), (None, 0)]


def test_a_defect_of_ours_is_a_503_with_a_traceback() -> None:
    log = Log()
    answer = refused(receiver(SECRET, clock=Now(math.inf), settings=None, log=log), delivery(at=NOW))
    assert answer.status == 401  # an infinite clock is out of time, not a defect

    class Broken(Hooks):
        def ordered(self, event_type: str) -> bool:
            raise LookupError("broken")

    answer = refused(receiver(SECRET, hooks=Broken(), log=log), delivery())
    assert (answer.status, answer.reason) == (503, "receiver_failed")
    assert "LookupError: broken" in log.text


NAMES = st.sampled_from([name for name, _ in delivery().headers]) | st.binary(max_size=20)
VALUES = st.sampled_from(
    [b"application/json", signature(SECRET, b"{}", NOW), b"contact.created", b"t=,v1="]
) | st.binary(max_size=600)


@given(
    st.text(max_size=8) | st.just("POST"), st.lists(st.tuples(NAMES, VALUES), max_size=12), st.binary() | st.just(b"{}")
)
def test_nothing_leaves_accept_for_any_request(method: str, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    log = Log()
    found = receiver(SECRET, log=log).accept(method, headers, body)
    assert isinstance(found, InboundEvent | Answer)
    assert not log.named("receiver_failed")
    if isinstance(found, Answer):
        assert found.status in (400, 401, 405, 413, 415, 503)


@given(
    st.binary()
    | st.sampled_from([b"[" * 5000, b'{"a":' * 5000, b'{"n":' + b"9" * 5000 + b"}", b'"\\ud800"', b"\xff", b"NaN"]),
    st.sampled_from(["contact.created", "message.status", "x" * 600, "é\x7f", "  "]),
    st.sampled_from(list(Identity)),
)
def test_nothing_leaves_accept_for_any_signed_body(body: bytes, named: str, identity: Identity) -> None:
    log = Log()
    asked = receiver(SECRET, settings=ReceiverSettings(identity=identity), log=log)
    found = accept(asked, delivery(body, x_kirim_event=named))
    assert not log.named("receiver_failed")
    if isinstance(found, InboundEvent):
        assert found.body == body
    else:
        assert found.status in ({400} if identity is Identity.HEADER else {400, 401})
