"""Telling the operator in time, for both halves: a command or a URL of his own, with a summary instead of a storm.

`tellers` who is told, `summary` what: one document, the same for both halves (docs/operating.md).
"""

from kirimhook.telling.summary import Kind, Notice, digest, document, merged
from kirimhook.telling.tellers import LEASE, LONGEST, Command, NotToldError, Teller, Url, again_in, teller_of

__all__ = [
    "LEASE",
    "LONGEST",
    "Command",
    "Kind",
    "NotToldError",
    "Notice",
    "Teller",
    "Url",
    "again_in",
    "digest",
    "document",
    "merged",
    "teller_of",
]
