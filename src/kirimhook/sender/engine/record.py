"""An attempt as it is kept: `contract.resources.Attempt` as JSON, put together by hand because it is made often.

The body is not in it: it is the event's. A signature shows its time and how many secrets made it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from json.encoder import encode_basestring_ascii as quoted
from typing import NamedTuple

from kirimhook.contract.headers import CONTENT_LENGTH, SIGNATURE
from kirimhook.sender.transport.exchange import Exchange

MASK = ",v1=" + 64 * "*"


class Sent(NamedTuple):
    """What attempt `number` sent."""

    number: int
    host: str
    headers: Mapping[str, str]
    size: int
    """Of the body, in bytes."""

    def shown(self) -> dict[str, str]:
        """All headers as they went out, but for the signatures."""
        if not self.headers:
            return {}
        signature = masked(self.headers[SIGNATURE])
        return {"Host": self.host, **self.headers, SIGNATURE: signature, CONTENT_LENGTH: str(self.size)}


def masked(signature: str) -> str:
    """With its time, and a row of stars for each secret that made it."""
    return signature.partition(",")[0] + signature.count(",v1=") * MASK


def record(sent: Sent, exchange: Exchange, due_at: int | None, why: str) -> str:
    """`due_at`: when the next attempt is due, in milliseconds; None where there is none."""
    timing = exchange.timing
    status = exchange.status
    return (
        f'{{"number":{sent.number},"started_at":"{moment(int(exchange.started_at * 1000))}",'
        f'"duration_ms":{_number(exchange.duration_ms)},"timing":{{"dns":{_number(timing.dns)},'
        f'"connect":{_number(timing.connect)},"tls":{_number(timing.tls)},"first_byte":{_number(timing.first_byte)}}},'
        f'"address":{_text(exchange.address)},"request_headers":{_object(sent.shown())},'
        f'"response_status":{"null" if status is None else status},"response_headers":{_object(exchange.headers)},'
        f'"response_body":{"null" if status is None else quoted(exchange.body.decode("utf-8", "replace"))},'
        f'"error":{_text(exchange.error)},'
        f'"next_attempt_at":{"null" if due_at is None else quoted(moment(due_at))},"why_next":{quoted(why)}}}'
    )


def _object(texts: Mapping[str, str]) -> str:
    return f"{{{','.join([f'{quoted(name)}:{quoted(text)}' for name, text in texts.items()])}}}"


def _text(value: str | None) -> str:
    return "null" if value is None else quoted(value)


def _number(value: float | None) -> str:
    return "null" if value is None else f"{value:.3f}"


def moment(ms: int) -> str:
    """Milliseconds since the epoch as ISO 8601 in UTC."""
    seconds, thousandths = divmod(ms, 1000)
    return f"{_second(seconds)}.{thousandths:03d}Z"


@lru_cache(64)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()[:-6]
