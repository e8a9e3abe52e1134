"""Webhooks done properly: verify, store in one atomic write, ack in milliseconds, work later.

    from kirimhook import Hooks, Receiver, Keyring, open_inbox

    hooks = Hooks()

    @hooks.on("message.received")
    async def received(event): ...

    app = Receiver(open_inbox("sqlite:///inbox.db"), Keyring.from_environment(os.environ), hooks=hooks)

Everything named in `__all__` is public and imported on first use, so that `from kirimhook import verify`
costs the signature module and nothing else.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kirimhook.backends import open_inbox
    from kirimhook.client import AsyncKirim, Kirim
    from kirimhook.contract.signature import Secret, SignatureError, sign, verify
    from kirimhook.receiver.endpoint import Receiver
    from kirimhook.receiver.event import Event
    from kirimhook.receiver.hooks import Hooks, Park, Retry, Snooze
    from kirimhook.receiver.secrets import Keyring
    from kirimhook.receiver.worker import Worker

__version__ = "0.1.0"

__all__ = [
    "AsyncKirim",
    "Event",
    "Hooks",
    "Keyring",
    "Kirim",
    "Park",
    "Receiver",
    "Retry",
    "Secret",
    "SignatureError",
    "Snooze",
    "Worker",
    "__version__",
    "open_inbox",
    "sign",
    "verify",
]

_HOME = {
    "AsyncKirim": "kirimhook.client",
    "Event": "kirimhook.receiver.event",
    "Hooks": "kirimhook.receiver.hooks",
    "Keyring": "kirimhook.receiver.secrets",
    "Kirim": "kirimhook.client",
    "Park": "kirimhook.receiver.hooks",
    "Receiver": "kirimhook.receiver.endpoint",
    "Retry": "kirimhook.receiver.hooks",
    "Secret": "kirimhook.contract.signature",
    "SignatureError": "kirimhook.contract.signature",
    "Snooze": "kirimhook.receiver.hooks",
    "Worker": "kirimhook.receiver.worker",
    "open_inbox": "kirimhook.backends",
    "sign": "kirimhook.contract.signature",
    "verify": "kirimhook.contract.signature",
}


if not TYPE_CHECKING:  # a type checker that saw it would let every misspelt name pass

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
