"""What a form makes is made once, however often the form is sent: a double click, a page loaded again.

The form carries a random text, and that text and all that was filled in are an idempotency key. So a second sending
gets the answer of the first one, a secret in it included; and what was filled in otherwise is another thing to make.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import TYPE_CHECKING, TypeVar

from kirimhook.contract.codec import Resource
from kirimhook.pages.csrf import FIELD as CSRF
from kirimhook.sender.service import AlreadyAnswered, Once, Tenant

if TYPE_CHECKING:
    from kirimhook.pages.forms import Form
    from kirimhook.sender.dashboard.visit import Visit

Made = TypeVar("Made", bound=Resource)

FIELD = "once"
"""The name of the input."""


def new() -> str:
    """What a new form carries."""
    return secrets.token_urlsafe(18)


async def once(visit: Visit, form: Form, kind: type[Made], make: Callable[[Tenant], Awaitable[Made]]) -> Made:
    """What `make` makes, or made when this form was first sent. What raises made nothing.

    A form without the text, which no page of ours sends, makes another one each time. Raises what `make` raises.
    """
    if not form.one(FIELD, default=""):
        return await make(visit.tenant)
    print_ = _fingerprint(visit.request.url.path, form)
    key = Once(f"dashboard {print_.hex()}", print_, 200, _rendered)
    try:
        return await make(visit.sender.tenant(visit.caller.organisation_id, key))
    except AlreadyAnswered as answered:
        return kind.from_json(json.loads(answered.body))


def _fingerprint(path: str, form: Form) -> bytes:
    filled_in = sorted((name, values) for name, values in form.typed().items() if name != CSRF)
    return sha256(json.dumps([path, filled_in]).encode()).digest()


def _rendered(resource: Resource) -> bytes:
    return json.dumps(resource.to_json()).encode()
