"""Invariant: for any method, headers and body `Receiver.accept` returns, it never raises; and what it returns is

- an event only for a POST of JSON whose signature a known secret made, with an id, a type and a dedupe key;
- else an answer: 400, 401, 405, 413 or 415; 503 only where no secret is loaded, and never for a defect of ours.

    python fuzz/fuzz_accept.py -runs=200000
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
with atheris.instrument_imports(include=["kirimhook"]):
    from kirimhook.backends import open_inbox
    from kirimhook.contract.events import MESSAGE_STATUS, Identity
    from kirimhook.contract.signature import Secret
    from kirimhook.receiver.endpoint import Answer, Receiver
    from kirimhook.receiver.model import InboundEvent
    from kirimhook.receiver.secrets import Keyring
    from kirimhook.settings import ReceiverSettings

from fuzz import wire

METHODS = ("POST", "GET", "", "post")
OTHER_METHOD, SIGNED_IDENTITY, NO_SECRETS = 4, 8, 64
REFUSALS = {400, 401, 405, 413, 415}


def receiver(identity: Identity, *secrets: str) -> Receiver:
    keyring = Keyring.static(*(Secret(value) for value in secrets))
    settings = ReceiverSettings(identity=identity, max_body=7500)
    return Receiver(open_inbox("sqlite:///:memory:"), keyring, settings=settings, clock=lambda: wire.CLOCK)


BY_HEADER = receiver(Identity.HEADER, *wire.SECRETS)
BY_BODY = receiver(Identity.SIGNED, *wire.SECRETS)
WITHOUT_SECRETS = receiver(Identity.HEADER)


def check_event(event: InboundEvent, method: str, request: wire.Request) -> None:
    if method != "POST" or not (event.event_id and event.type) or event.body != request.body:
        raise wire.BrokenInvariantError(f"an event of {method}: {event}")
    if len(event.dedupe_key) != (32 if event.type == MESSAGE_STATUS else 16):
        raise wire.BrokenInvariantError(f"dedupe key of {len(event.dedupe_key)} bytes")
    made = {wire.mac(secret, b"%d" % wire.NOW, request.body) for secret in wire.SECRETS}
    arrived = b",".join(value for _, value in request.headers).lower()
    if not any(one in arrived for one in made):
        raise wire.BrokenInvariantError("an event that no secret signed")


def check_answer(answer: Answer, allowed: set[int]) -> None:
    if answer.status not in allowed or answer.reason == "receiver_failed":
        raise wire.BrokenInvariantError(f"{answer.status} {answer.reason}")


def one_input(data: bytes) -> None:
    request = wire.request(data)
    method = METHODS[request.flags >> 4 & 3] if request.flags & OTHER_METHOD else "POST"
    allowed = REFUSALS | {503} if request.flags & NO_SECRETS else REFUSALS
    target = BY_BODY if request.flags & SIGNED_IDENTITY else BY_HEADER
    result = (WITHOUT_SECRETS if request.flags & NO_SECRETS else target).accept(method, request.headers, request.body)
    if isinstance(result, Answer):
        check_answer(result, allowed)
    elif isinstance(result, InboundEvent):
        check_event(result, method, request)
    else:
        raise wire.BrokenInvariantError(f"neither event nor answer: {result!r}")


if __name__ == "__main__":
    wire.fuzz(one_input)
