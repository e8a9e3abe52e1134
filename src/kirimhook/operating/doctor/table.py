"""All checks, in the order in which they are done: what others need comes before them."""

from __future__ import annotations

from kirimhook.operating.doctor.checks import (
    bodies,
    encryption,
    events,
    first,
    manners,
    reaching,
    receivers,
    signatures,
)

CHECKS = (
    *reaching.ROWS,
    *encryption.ROWS,
    *first.ROWS,
    *signatures.ROWS,
    *events.ROWS,
    *bodies.ROWS,
    *manners.ROWS,
    *receivers.ROWS,
)
