"""Bodies by size and by speed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from kirimhook.operating.doctor.check import Check
from kirimhook.operating.doctor.checks.judging import accepted, refused
from kirimhook.operating.doctor.finding import Finding, warned
from kirimhook.operating.doctor.wire import Late

if TYPE_CHECKING:
    from kirimhook.operating.doctor.visit import Visit

_LARGEST = 3_000_000
_PIECES = 4
_MIB = 1 << 20


async def _large(visit: Visit) -> Finding:
    return accepted(await visit.ask(visit.letters.signed(visit.letters.large(_LARGEST))))


async def _too_large(visit: Visit) -> Finding:
    """Not signed by anybody it knows, and never sent whole: what is to be refused is the announcement."""
    bounds = visit.bounds
    letters = visit.letters
    event = letters.with_body(b" " * bounds.sent_of_it)
    request = replace(letters.signed(event, secret=letters.forger), announced=bounds.announced)
    try:
        return refused(await visit.ask(request, bounds.patience))
    except Late as error:  # Express reads and drops all of it, then refuses; another would keep it
        sent, announced = bounds.sent_of_it // _MIB, bounds.announced // _MIB
        return warned(f"{error} to {sent} MiB of {announced}: it waits for the rest")


async def _slow(visit: Visit) -> Finding:
    request = visit.letters.signed(visit.letters.event())
    return accepted(await visit.ask(replace(request, pieces=_PIECES, pause=visit.bounds.pause)))


ROWS = (
    Check(
        id="slow_body",
        tries=f"Delivers a test event in {_PIECES} pieces, with pauses.",
        right="2xx: it reads to the announced end.",
        section="4 [seed]",
        cost="Deliveries over a slow or lossy network do not verify: they are dead at once.",
        run=_slow,
        needs="good",
    ),
    Check(
        id="large_body",
        tries="Delivers a test event of 3 MB.",
        right="2xx: Meta sends such bodies.",
        section="3, 6 [docs]",
        cost="413 is for ever: the messages of a busy moment, in one body, are dead at once.",
        run=_large,
        needs="good",
    ),
    Check(
        id="too_large_body",
        tries="Announces 1 GiB and sends the beginning of it, signed by nobody.",
        right="413 (another 4xx will do) at once, that can be read: no reset, no waiting for the rest.",
        section="6 [ours]",
        cost="Where it keeps what it reads, anybody can fill its memory; where it does not, its time. A reset in place "
        "of an answer is retried 8 times.",
        run=_too_large,
        needs="good",
    ),
)
