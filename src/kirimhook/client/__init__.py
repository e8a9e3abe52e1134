"""The REST API as a client sees it, sync and async over one request/response core. Contract section 5.

    from kirimhook.client import Kirim

    with Kirim() as kirim:  # $KIRIM_KEY, and $KIRIM_API_URL where it is not the hosted API
        made = kirim.webhook_subscriptions.create(url="https://…", events=["message.received"])

`calls` (what is sent and how the answer is read), `exchange` (when to try again) and `budget` (rate limits) do no
I/O; `drivers` carry out what they say, over httpx (the extra "client").
"""

from kirimhook.client.account import HOSTED
from kirimhook.client.answers import Page
from kirimhook.client.calls import UNSET
from kirimhook.client.clients import AsyncKirim, Kirim
from kirimhook.client.errors import (
    ArgumentError,
    Conflict,
    Forbidden,
    InvalidRequest,
    NotFound,
    RateLimited,
    Refused,
    ServiceFailed,
    Unauthenticated,
    UnexpectedAnswer,
    Unreachable,
)
from kirimhook.client.listing import AsyncListing, Listing
from kirimhook.contract.errors import ApiError

__all__ = [
    "HOSTED",
    "UNSET",
    "ApiError",
    "ArgumentError",
    "AsyncKirim",
    "AsyncListing",
    "Conflict",
    "Forbidden",
    "InvalidRequest",
    "Kirim",
    "Listing",
    "NotFound",
    "Page",
    "RateLimited",
    "Refused",
    "ServiceFailed",
    "Unauthenticated",
    "UnexpectedAnswer",
    "Unreachable",
]
