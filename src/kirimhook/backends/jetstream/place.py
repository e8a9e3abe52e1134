"""What all parts of one handle share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from kirimhook.backends.jetstream.link import Link
from kirimhook.backends.jetstream.names import Names
from kirimhook.backends.jetstream.settings import JetStreamSettings


class Place(NamedTuple):
    link: Link
    names: Names
    settings: JetStreamSettings
    partitions: int
    replicated: bool
    """More than one server keeps the streams: one that is asked may lag behind."""
    now: Callable[[], int]
    """Milliseconds since the epoch."""
    pages: asyncio.Semaphore
    """Reads ahead that are on their way: more at a time only come later."""
    written: list[int]
    """Sequences of what this handle wrote into the journal's stream since it was last looked at."""
    handle: str
    """Unique; the ids of this handle's records begin with it."""
