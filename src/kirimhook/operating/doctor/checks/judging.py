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
    return f"{answer.status} {shown(answer.body.decode('utf-8', 'replace'))}".strip()


def shown(text: str) -> str:
    """The beginning of what a stranger says, on one line."""
    words = " ".join(text[:_SHOWN].split())
    return "".join(character if character.isprintable() else "?" for character in words)


def accepted(answer: Answer) -> Finding:
    """Any 2xx. Contract section 4."""
    return passed(told(answer)) if answer.is_success else failed(told(answer))


def refused(answer: Answer) -> Finding:
    """401, or another 4xx that is for good. Contract section 6."""
    if 400 <= answer.status <= 499 and answer.status not in {*_NOT_FOR_GOOD, _GONE}:
        return passed(told(answer))
    return failed(f"{told(answer)}: it must be refused")
