"""Telling the operator of parked events: `progress` what has been told, as an inbox's bookmark, `look` what is new
among all that is parked, `notifier` when to look and who tells."""

from kirimhook.receiver.telling.notifier import Notifier

__all__ = ["Notifier"]
