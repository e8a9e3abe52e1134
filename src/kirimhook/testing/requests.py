"""A signed delivery as the provider sends it, for tests of your own endpoint."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass

from kirimhook.contract import ids
from kirimhook.contract.headers import build
from kirimhook.contract.samples import Sample, load
from kirimhook.contract.signature import Secret, sign

TEST_SECRET = Secret("whsec_for_tests_only_and_never_for_production_00")


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """`client.post(url, content=request.body, headers=request.headers)`, with whatever client you use."""

    headers: dict[str, str]
    body: bytes

    @property
    def raw_headers(self) -> list[tuple[bytes, bytes]]:
        """As ASGI and `Receiver.receive` take them."""
        return [(name.lower().encode(), value.encode()) for name, value in self.headers.items()]


def signed_request(
    sample: Sample | str,
    *secrets_in_use: Secret,
    now: float | None = None,
    attempt: int = 1,
    delivery_id: str | None = None,
) -> SignedRequest:
    """The delivery of a sample (or the name of one), signed by every secret given, `TEST_SECRET` by default.

    `now` is the time of signing in unix seconds. Raises LookupError for an unknown name.
    """
    sent = load(sample) if isinstance(sample, str) else sample
    moment = time.time() if now is None else now
    headers = build(
        source=sent.source,
        event_type=sent.type,
        event_id=sent.event_id,
        delivery_id=delivery_id or ids.make("wbd_", int(moment * 1000), secrets.token_bytes(ids.RANDOM_BYTES)),
        attempt=attempt,
        signature=sign(secrets_in_use or (TEST_SECRET,), sent.body, int(moment)),
    )
    return SignedRequest(headers, sent.body)
