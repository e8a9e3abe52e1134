"""An HTTPS server for tests that can answer anything, well and badly. Needs the extra `cli` (trustme).

    async with Endpoint(Respond(503, retry_after=2), Respond()) as endpoint:
        settings = SenderSettings(ca_bundle=str(endpoint.ca), allow_networks=("127.0.0.0/8",))
        ...                                  # let something post to endpoint.url
        await endpoint.received(2)
        assert endpoint.requests[1].header("X-Kirim-Attempt") == "2"

The TLS is real and the bytes are real: what passes here was really sent.
"""

from __future__ import annotations

from kirimhook.testing.endpoint.answers import (
    Answer,
    Drip,
    Endless,
    EndlessHead,
    Flood,
    GzipBomb,
    Hang,
    Hold,
    Hurl,
    Informed,
    Raw,
    Redirect,
    Reset,
    Respond,
    Truncated,
)
from kirimhook.testing.endpoint.authority import Authority, Certificate
from kirimhook.testing.endpoint.line import Line, Request
from kirimhook.testing.endpoint.server import Door, Endpoint

__all__ = [
    "Answer",
    "Authority",
    "Certificate",
    "Door",
    "Drip",
    "Endless",
    "EndlessHead",
    "Endpoint",
    "Flood",
    "GzipBomb",
    "Hang",
    "Hold",
    "Hurl",
    "Informed",
    "Line",
    "Raw",
    "Redirect",
    "Request",
    "Reset",
    "Respond",
    "Truncated",
]
