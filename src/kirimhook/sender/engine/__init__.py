"""Delivers: leases what is due, posts it, and settles what came of it.

`engine` is the whole; `source` says what to lease and settle, `dispatch` who goes next, `attempt` makes one,
`decide` says what it came to, `record` how it is kept, `endpoints` who they go to, `pacing` how many at a time,
`budget` how many bytes of bodies are in memory, `minutes` what came of attempts by the minute, `notify` who is told.
"""

from __future__ import annotations

from kirimhook.sender.engine.engine import Engine
from kirimhook.sender.engine.notify import Notifier

__all__ = ["Engine", "Notifier"]
