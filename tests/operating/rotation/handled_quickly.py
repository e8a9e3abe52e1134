"""The same, in receivers that look at their file ten times a second, and take it at its word soon after it changed."""

from __future__ import annotations

from kirimhook.receiver.secrets import sources
from tests.operating.rotation.handled import hooks

__all__ = ["hooks"]

sources.FileSource.interval = 0.1
sources.SETTLED_AFTER = 0.2
