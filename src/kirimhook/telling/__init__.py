"""Telling the operator in time, for both halves: a command or a URL of his own, with a summary instead of a storm.

`port` what telling is, `summary` what is told: one document, the same for both halves (docs/operating.md); `tellers`
whom `--notify` names.
"""

from kirimhook.telling.port import LEASE, LONGEST, NotToldError, Teller, again_in
from kirimhook.telling.summary import Kind, Notice, digest, document, merged

__all__ = [
    "LEASE",
    "LONGEST",
    "Kind",
    "NotToldError",
    "Notice",
    "Teller",
    "again_in",
    "digest",
    "document",
    "merged",
]
