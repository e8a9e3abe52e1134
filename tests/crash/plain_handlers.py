"""Handlers that every inbox can serve: one on the event loop, one in a thread, both leaving their trace."""

from __future__ import annotations

from kirimhook import Hooks
from tests.crash.handlers import in_a_thread, on_the_loop

hooks = Hooks()
hooks.on("contact.updated")(on_the_loop)
hooks.on("contact.created")(in_a_thread)
