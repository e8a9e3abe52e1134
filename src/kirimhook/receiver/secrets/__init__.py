"""Where the receiver's secrets come from, and how the list is kept while it changes. Contract section 7."""

from __future__ import annotations

from kirimhook.receiver.secrets.keyring import Keyring
from kirimhook.receiver.secrets.sources import ENVIRONMENT_VARIABLE

__all__ = ["ENVIRONMENT_VARIABLE", "Keyring"]
