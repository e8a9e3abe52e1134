"""Who sends: subscriptions, secrets, signed deliveries, dead letters and replay. Needs the extra `sender`.

    async with open_sender("postgresql://…") as sender:
        organisation = await sender.organisation("acme")
        await sender.publish(organisation, [KirimEvent("contact.created", {...})], connection=connection)

What is named in `__all__` is public, and imported on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kirimhook.sender.model import NewEvent
    from kirimhook.sender.opened import open_sender
    from kirimhook.sender.service import KirimEvent, Sender

__all__ = ["KirimEvent", "NewEvent", "Sender", "open_sender"]

_HOME = {
    "KirimEvent": "kirimhook.sender.service",
    "NewEvent": "kirimhook.sender.model",
    "Sender": "kirimhook.sender.service",
    "open_sender": "kirimhook.sender.opened",
}


if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Import the module that holds a public name and keep the name here (PEP 562)."""
        home = _HOME.get(name)
        if home is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(home), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted(__all__)
