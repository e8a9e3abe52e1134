"""How an answer is judged, the same way wherever it is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kirimhook.operating.doctor.finding import Finding, failed, passed

if TYPE_CHECKING:
    from kirimhook.operating.doctor.wire import Answer

_NOT_FOR_GOOD = {408, 429}
_GONE = 410
_SHOWN = 60


def told(answer: Answer) -> str:
    """The status and the beginning of the text."""
    text = answer.body[:_SHOWN].decode("utf-8", "replace").strip()
    return f"{answer.status} {''.join(c if c.isprintable() else '?' for c in text)}".strip()


def accepted(answer: Answer) -> Finding:
    """Any 2xx. Contract section 4."""
    return passed(told(answer)) if answer.is_success else failed(told(answer))


def refused(answer: Answer) -> Finding:
    """401, or another 4xx that is for good. Contract section 6."""
    if 400 <= answer.status <= 499 and answer.status not in {*_NOT_FOR_GOOD, _GONE}:
        return passed(told(answer))
    return failed(f"{told(answer)}: it must be refused")
