"""The REST API of a sender, contract section 5: what every call passes, the calls, and their OpenAPI document."""

from __future__ import annotations

from kirimhook.sender.api.app import create_app

__all__ = ["create_app"]
