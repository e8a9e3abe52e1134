"""How long and how much an examination may take, and where its verdicts turn."""

from __future__ import annotations

from dataclasses import dataclass

_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Bounds:
    """Durations in seconds, sizes in bytes."""

    whole: float = 120.0
    """The whole examination; what is not done by then is not run."""
    requests: int = 100
    attempt: float = 10.0
    """One attempt of a delivery, from resolving the name to the last byte (contract section 4, [seed])."""
    slow: float = 2.0
    """An acknowledgement that takes longer waits for more than a commit."""
    patience: float = 5.0
    """For the refusal of a body that is announced as absurdly large."""
    pause: float = 0.05
    """Between the pieces of a body that arrives slowly."""
    certificate_days: int = 21
    """A certificate that ends earlier should have been renewed: those of 90 days are, 30 days before."""
    skew: float = 150.0
    """Half of what a signature's time may be off."""
    slight_skew: float = 30.0
    at_once: int = 16
    answer: int = 4096
    """Bytes of an answer that a sender reads."""
    announced: int = 1024 * _MIB
    """Bytes of the body that is announced and should be refused."""
    sent_of_it: int = 8 * _MIB


MOST_SECRETS = 16
"""Each is tried alone, within the bound on requests."""
MOST_ADMINS = 8
