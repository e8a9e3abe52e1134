"""What a newer kirimhook wrote into the streams is an outage here, with a reason: nothing of it may be guessed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from kirimhook.receiver.inbox import InboxUnavailable

T = TypeVar("T")


def understood(decode: Callable[[bytes], T], data: bytes) -> T:
    """What `decode` makes of it. Raises `InboxUnavailable` where that raises ValueError."""
    try:
        return decode(data)
    except ValueError as error:
        raise InboxUnavailable("newer_schema", str(error)) from error
