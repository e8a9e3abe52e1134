"""What can be asked of a sender. `Sender` is the door, `Tenant` what one organisation sees behind it.

`calls` what calls take and give, `context` what they all work with, `scope` the transactions of one organisation.
The SQL is in `sender.store`.
"""

from __future__ import annotations

from kirimhook.sender.database import StorageUnavailable
from kirimhook.sender.service.calls import (
    AlreadyAnswered,
    BulkReplayRequest,
    Caller,
    Changes,
    DeliveryFilter,
    KeyInfo,
    KirimEvent,
    Me,
    NewKey,
    Once,
    Page,
    Publishable,
    Rekeyed,
)
from kirimhook.sender.service.context import Context
from kirimhook.sender.service.erasing import Erasure
from kirimhook.sender.service.looking import Looked, Place, Siblings, StoredEvent, Target
from kirimhook.sender.service.overview import Busy, Overview, Step, Waiting
from kirimhook.sender.service.sender import Sender
from kirimhook.sender.service.sessions import SignedIn
from kirimhook.sender.service.tenant import Tenant
from kirimhook.sender.service.traffic import Traffic

__all__ = [
    "AlreadyAnswered",
    "BulkReplayRequest",
    "Busy",
    "Caller",
    "Changes",
    "Context",
    "DeliveryFilter",
    "Erasure",
    "KeyInfo",
    "KirimEvent",
    "Looked",
    "Me",
    "NewKey",
    "Once",
    "Overview",
    "Page",
    "Place",
    "Publishable",
    "Rekeyed",
    "Sender",
    "Siblings",
    "SignedIn",
    "Step",
    "StorageUnavailable",
    "StoredEvent",
    "Target",
    "Tenant",
    "Traffic",
    "Waiting",
]
