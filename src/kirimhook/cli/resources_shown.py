"""Subscriptions and deliveries as text. Never a secret: the commands that reveal one do that themselves."""

from __future__ import annotations

import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

from kirimhook.cli import output
from kirimhook.cli.moments import span

if TYPE_CHECKING:
    from kirimhook.contract.resources import Attempt, Delivery, SecretInfo, Subscription

SUBSCRIPTION_COLUMNS = ("ID", "STATUS", "SECRETS", "AGE", "EVENTS", "URL")
SUBSCRIPTION_LONG = ("EVENTS", "URL")
DELIVERY_COLUMNS = ("ID", "STATUS", "KIND", "TYPE", "EVENT ID", "AGE", "TRIES", "ANSWER", "WHY")
DELIVERY_LONG = ("EVENT ID", "WHY")
ATTEMPT_COLUMNS = ("ATTEMPT", "STARTED", "MS", "ANSWER", "ADDRESS", "WHAT CAME OF IT")
ATTEMPT_LONG = ("WHAT CAME OF IT",)
SECRET_COLUMNS = ("ID", "CREATED", "EXPIRES")


def without_secret(subscription: Subscription) -> dict[str, Any]:
    """As JSON, without `initial_secret`."""
    shown = subscription.to_json()
    shown.pop("initial_secret", None)
    return shown


def subscription_row(one: Subscription) -> tuple[object, ...]:
    status = f"{one.status.value} ({one.disabled_reason})" if one.disabled_reason else one.status.value
    return one.id, status, len(one.secrets), age(one.created_at), " ".join(one.events), one.url


def subscription_pairs(one: Subscription) -> None:
    """All of it, one field a line; a line for each secret."""
    shown = without_secret(one)
    secrets = "\n".join(_secret_line(secret) for secret in one.secrets)
    rows = {**shown, "events": " ".join(one.events), "secrets": secrets}
    output.pairs((name.replace("_", " "), value) for name, value in rows.items() if name != "object")


def secret_row(secret: SecretInfo) -> tuple[object, ...]:
    return secret.id, when(secret.created_at), when(secret.expires_at) or "never"


def _secret_line(secret: SecretInfo) -> str:
    expires = f", expires {when(secret.expires_at)}" if secret.expires_at else ""
    return f"{secret.id} created {when(secret.created_at)}{expires}"


def delivery_row(one: Delivery) -> tuple[object, ...]:
    return (
        one.id,
        f"{one.status.value}, replayed" if one.replayed_by else one.status.value,
        one.kind.value if one.kind else None,
        one.event_type,
        one.event_id,
        age(one.created_at),
        one.attempt_count,
        one.response_status,
        one.dead_reason or one.last_error,
    )


def delivery_shown(one: Delivery) -> None:
    """All of it: its fields one a line, then its attempts."""
    fields = {name: value for name, value in one.to_json().items() if name not in {"object", "attempts"}}
    output.pairs((name.replace("_", " "), value) for name, value in fields.items())
    if one.attempts:
        output.text("")
        output.table(ATTEMPT_COLUMNS, [_attempt_row(attempt) for attempt in one.attempts], ATTEMPT_LONG)


def _attempt_row(attempt: Attempt) -> tuple[object, ...]:
    came = ": ".join(part for part in (attempt.error, attempt.why_next) if part)
    answer = attempt.response_status if attempt.response_status is not None else "none"
    return attempt.number, when(attempt.started_at), round(attempt.duration_ms), answer, attempt.address, came


def when(moment: datetime | None) -> str | None:
    """ISO 8601 in UTC, to the second."""
    return None if moment is None else moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def age(moment: datetime | None) -> str | None:
    return None if moment is None else span(max(0.0, time.time() - moment.timestamp()))
