"""Rotating the secret of a subscription without a moment in which a delivery would be refused. Contract section 7.

At any moment the subscription's secrets and the receivers' lists have one in common with which everything is signed:
the new one reaches every list before the old ones leave the subscription, and the old ones leave the lists after that.

`steps` the table of steps, `journal` what is kept to go on, `lines` which lines of the file are the subscription's,
`receivers` what receivers say of their lists, `stage` what the steps work with; the steps: `adding`, `proving`,
`retiring`, `undoing`; `course` goes through them.
"""

from __future__ import annotations

from kirimhook.operating.rotation.course import Outcome, abort, planned, rotate
from kirimhook.operating.rotation.errors import LateError, RefusedError, RotationError
from kirimhook.operating.rotation.journal import Journal, JournalFile
from kirimhook.operating.rotation.receivers import AdminPorts, Look, Receivers, Use
from kirimhook.operating.rotation.stage import Pace, Stage
from kirimhook.operating.rotation.steps import Move, Step, can_abort

__all__ = [
    "AdminPorts",
    "Journal",
    "JournalFile",
    "LateError",
    "Look",
    "Move",
    "Outcome",
    "Pace",
    "Receivers",
    "RefusedError",
    "RotationError",
    "Stage",
    "Step",
    "Use",
    "abort",
    "can_abort",
    "planned",
    "rotate",
]
