"""The vectors hold at the receiver's front door too: `Receiver.accept` comes to the same events and refusals."""

from __future__ import annotations

from typing import Any

import pytest

from kirimhook.backends import open_inbox
from kirimhook.contract import headers
from kirimhook.contract.events import Identity
from kirimhook.contract.signature import Reason, Secret, sign
from kirimhook.receiver.endpoint import Answer, Receiver
from kirimhook.receiver.model import InboundEvent
from kirimhook.receiver.secrets import Keyring
from kirimhook.settings import ReceiverSettings
from tests.contract.table import cases, content, header

NOW = 1779530400
SECRET = Secret("whsec_door")


def accepted(
    body: bytes,
    said: dict[str, str],
    signature: bytes | None,
    *,
    secrets: list[Secret],
    now: float = NOW,
    identity: Identity = Identity.HEADER,
) -> InboundEvent | Answer:
    """What a receiver with these secrets comes to, at this time."""
    settings = ReceiverSettings(identity=identity)
    keyring = Keyring.static(*secrets)
    receiver = Receiver(open_inbox("sqlite:///:memory:"), keyring, settings=settings, clock=lambda: now)
    sent = [(b"content-type", b"application/json"), *((name.encode(), value.encode()) for name, value in said.items())]
    if signature is not None:
        sent.append((b"x-kirim-signature", signature))
    return receiver.accept("POST", sent, body)


@pytest.mark.parametrize("case", cases("signatures", "accepted", "refused"))
def test_signature_vector(case: dict[str, Any]) -> None:
    said = {headers.EVENT: "contact.created", headers.EVENT_ID: "evt_1"}
    secrets = [Secret(value) for value in case["secrets"]]
    result = accepted(content(case["body"]), said, header(case["header"]), secrets=secrets, now=case["now"])
    refused = case["expect"].get("refused")
    if refused is None:
        assert isinstance(result, InboundEvent)
        assert result.body == content(case["body"])
    else:
        assert isinstance(result, Answer)
        assert result.status == (503 if refused == Reason.NO_SECRETS else 401)
        assert result.reason == refused


@pytest.mark.parametrize("case", cases("identities"))
def test_identity_vector(case: dict[str, Any]) -> None:
    body, given_as = content(case["body"]), case["headers"]
    said = {headers.EVENT: given_as["event_type"], headers.EVENT_ID: given_as["event_id"]}
    if given_as["source"]:
        said[headers.SOURCE] = given_as["source"]
    signature = sign([SECRET], body, NOW).encode()
    result = accepted(body, said, signature, secrets=[SECRET], identity=Identity(case["identity"]))
    if "refused" in case["expect"]:
        assert isinstance(result, Answer)
        assert result.status == 401
    else:
        assert isinstance(result, InboundEvent)
        assert result.dedupe_key.hex() == case["expect"]["dedupe_key"]


@pytest.mark.parametrize("case", cases("readings"))
def test_reading_vector(case: dict[str, Any]) -> None:
    body, expect = content(case["body"]), case["expect"]
    said = {headers.EVENT: "contact.created", headers.EVENT_ID: "evt_1"}
    result = accepted(body, said, sign([SECRET], body, NOW).encode(), secrets=[SECRET])
    assert isinstance(result, InboundEvent)
    assert result.ordering_key == expect["ordering_key"]
    assert (result.source, result.livemode, result.problem) == (expect["source"], expect["livemode"], expect["problem"])
