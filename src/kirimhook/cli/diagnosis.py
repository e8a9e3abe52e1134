"""Why a signature verifies or does not. Never holds a secret: only fingerprints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from typing import Any

from kirimhook.cli.alterations import Signed, find
from kirimhook.cli.moments import span, stamp
from kirimhook.contract import events
from kirimhook.contract.headers import DeliveryHeaders, parse
from kirimhook.contract.signature import TOLERANCE, Reason, Secret, SignatureError, verify
from kirimhook.receiver.admission import Admission
from kirimhook.receiver.answers import Answer
from kirimhook.settings import ReceiverSettings

MALFORMED = {
    Reason.MISSING: "there is no X-Kirim-Signature header: something on the way dropped it, or Kirim did not send this",
    Reason.TOO_LONG: "the signature header is longer than 4 KiB",
    Reason.TOO_MANY_PARTS: "the signature header has more than 32 parts",
    Reason.NO_TIMESTAMP: "the signature header has no t=<unix seconds> part",
    Reason.MANY_TIMESTAMPS: "the signature header has more than one t= part",
    Reason.BAD_TIMESTAMP: "t= in the signature header is not a plain decimal integer",
    Reason.NO_SIGNATURE: "the signature header has no v1=<64 hex digits> part",
    Reason.BAD_SIGNATURE: "a v1= part of the signature header is not 64 hex digits",
    Reason.NO_SECRETS: "there is no secret to verify with",
}


MILLISECONDS_DIGITS = 13


@dataclass(frozen=True, slots=True)
class Known:
    """A secret, by its fingerprint, and whether it made the signature."""

    fingerprint: str
    matches: bool


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """`reason` is `verified` or one of `contract.signature.Reason`; `explanation` and `hints` are sentences."""

    verifies: bool
    reason: str
    explanation: str
    hints: list[str]
    secrets: list[Known]
    signed_at: str | None
    skew_seconds: float | None
    """Our clock minus the time of signing."""
    receiver_answers: str
    headers: dict[str, Any]
    body: dict[str, Any]
    identity: dict[str, Any] = field(default_factory=dict)
    ordering_key: str | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def diagnose(raw: Sequence[tuple[bytes, bytes]], body: bytes, secrets: Sequence[Secret], now: float) -> Diagnosis:
    """`now` in unix seconds: when it is, or was, verified. Total: says something of any input."""
    headers = parse(raw)
    reading = events.read(body)
    matched: tuple[Secret, ...] = ()
    skew: float | None = None
    hints: list[str] = []
    try:
        verified = verify(secrets, headers.signature, body, now)
        matched, skew = verified.matched, now - verified.timestamp
        reason, explanation = "verified", "the signature holds"
    except SignatureError as error:
        matched, skew, reason = error.matched, error.skew, error.reason.value
        explanation, hints = _why_not(error, headers, body, secrets, now)
    return Diagnosis(
        reason == "verified",
        reason,
        explanation,
        [*hints, *_about_headers(headers)],
        [Known(secret.fingerprint, secret in matched) for secret in secrets],
        stamp(int((now - skew) * 1000)) if skew is not None and abs(now - skew) < 1e11 else None,
        None if skew is None else round(skew, 3),
        _answer(headers, body, secrets, now),
        _headers(headers),
        {
            "bytes": len(body),
            "sha256": sha256(body).hexdigest(),
            "problem": reading.problem,
            "source": reading.source,
            "types": list(reading.types),
            "ids": list(reading.ids)[:20],
            "livemode": reading.livemode,
        },
        _identity(headers, reading, body),
        reading.ordering_key,
    )


def _why_not(
    error: SignatureError, headers: DeliveryHeaders, body: bytes, secrets: Sequence[Secret], now: float
) -> tuple[str, list[str]]:
    match error.reason:
        case Reason.STALE:
            return f"authentic, but signed {_off(error)} ago, and {TOLERANCE} s are accepted", [
                "every attempt is signed afresh, so a retry is never stale",
                "it was captured earlier (give --now the time it arrived), it waited on its way, or a clock is wrong",
            ]
        case Reason.FUTURE:
            return f"authentic, but signed {_off(error)} in the future, and {TOLERANCE} s are accepted", [
                "the clock of this machine is behind the sender's: check its time synchronisation"
            ]
        case Reason.NO_MATCH:
            return _no_match(error, headers, body, secrets, now)
    return MALFORMED[error.reason], []


def _off(error: SignatureError) -> str:
    seconds = abs(error.skew or 0)
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds:.0f} s ({span(seconds)})"


def _no_match(
    error: SignatureError, headers: DeliveryHeaders, body: bytes, secrets: Sequence[Secret], now: float
) -> tuple[str, list[str]]:
    timestamp = b"%d" % round(now - (error.skew or 0))
    found = find(secrets, Signed(timestamp, headers.event_id.encode(), body, headers.signature or b""))
    if found is not None:
        return found
    hints = ["t looks like milliseconds: it is unix seconds"] if len(timestamp) >= MILLISECONDS_DIGITS else []
    return "none of the secrets made this signature over this body, nor over any usual alteration of it", [
        *hints,
        "most likely a wrong secret: compare fingerprints with /status; the signature can also be of another body",
    ]


def _about_headers(headers: DeliveryHeaders) -> list[str]:
    needed = (("X-Kirim-Event-Id", headers.event_id), ("X-Kirim-Event", headers.event_type))
    return [
        f"{name} is missing or unusable: a receiver answers 400 to an authentic request without it"
        for name, value in needed
        if not value
    ]


def _answer(headers: DeliveryHeaders, body: bytes, secrets: Sequence[Secret], now: float) -> str:
    """By the very code that the receiver runs."""
    admission = Admission(ReceiverSettings(), None)
    result = admission.refuse("POST", headers, len(body)) or admission.judge(headers, body, now, tuple(secrets))[0]
    return f"{result.status} {result.body.decode()}" if isinstance(result, Answer) else "200 ok, or duplicate-ack"


def _headers(headers: DeliveryHeaders) -> dict[str, Any]:
    return {
        "event_id": headers.event_id or None,
        "type": headers.event_type or None,
        "source": headers.source or None,
        "delivery_id": headers.delivery_id or None,
        "attempt": headers.attempt or None,
        "content_type": headers.content_type.decode("latin-1") or None,
    }


def _identity(headers: DeliveryHeaders, reading: events.Reading, body: bytes) -> dict[str, Any]:
    """What it is deduplicated by in either mode; None where that mode refuses it."""
    source = headers.source or reading.source
    named = {"header": headers.event_id or None, "signed": events.signed_identity(headers, reading)}
    sources = {"header": source, "signed": reading.source}
    return {
        mode: event_id
        and {
            "event_id": event_id,
            "dedupe_key": events.dedupe_key(sources[mode], event_id, headers.event_type, body).hex(),
        }
        for mode, event_id in named.items()
    }
