"""Why a rotation does not go on."""

from __future__ import annotations


class RotationError(Exception):
    """One line that says what to do. What was done so far stays, and is written down."""


class RefusedError(RotationError):
    """It cannot begin, or cannot be what was asked for. Nothing was changed."""


class LateError(RotationError):
    """What it waits for did not come in time."""
