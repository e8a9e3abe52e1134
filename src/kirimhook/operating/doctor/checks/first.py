"""The first delivery, and what its answer tells besides."""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from kirimhook.contract.signature import TOLERANCE
from kirimhook.operating.doctor.check import Check
from kirimhook.operating.doctor.checks.judging import accepted, shown, told
from kirimhook.operating.doctor.finding import Finding, failed, left_out, passed, warned

if TYPE_CHECKING:
    from kirimhook.operating.doctor.visit import Visit
    from kirimhook.operating.doctor.wire import Answer

_TIMES = 3
_REFUSALS = {401, 403}


async def _answer(visit: Visit) -> Finding:
    visit.first = await visit.ask(visit.letters.signed(visit.letters.event()))
    visit.first_at = visit.order.clock()
    return passed(f"{visit.first.status} in {visit.first.seconds * 1000:.0f} ms")


async def _redirect(visit: Visit) -> Finding:
    first = _first(visit)
    if 300 <= first.status <= 399:
        return failed(f"{first.status} to {shown(first.header(b'location') or 'nowhere')}")
    return passed(str(first.status))


async def _good(visit: Visit) -> Finding:
    first = _first(visit)
    if first.status not in _REFUSALS:
        return accepted(first)
    then = moment_of(first.header(b"date") or "")
    if then is not None and abs(then - visit.first_at) > TOLERANCE:
        return failed(f"{told(first)}: its clock is {then - visit.first_at:+.0f} s from this machine's")
    return failed(f"{told(first)}: it has another secret, or the body is changed on its way")


async def _clock(visit: Visit) -> Finding:
    """Against ours, which may be the one that is off."""
    date = _first(visit).header(b"date")
    if date is None:
        return left_out("its answers have no Date")
    then = moment_of(date)
    if then is None:
        return warned(f"its Date cannot be read: {shown(date)}")
    skew, bounds = then - visit.first_at, visit.bounds
    saw = f"{skew:+.0f} s from the clock of this machine" if abs(skew) > 2 else "the same as on this machine"
    if abs(skew) >= bounds.skew:
        return failed(saw)
    return warned(saw) if abs(skew) > bounds.slight_skew else passed(saw)


def moment_of(date: str) -> float | None:
    """Unix seconds of an HTTP date; None for what is none."""
    try:
        return parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


async def _latency(visit: Visit) -> Finding:
    took = [await _delivered_in(visit) for _ in range(_TIMES)]
    saw = f"{min(took) * 1000:.0f} to {max(took) * 1000:.0f} ms, of {visit.bounds.attempt:g} s"
    return warned(saw) if max(took) > visit.bounds.slow else passed(saw)


async def _delivered_in(visit: Visit) -> float:
    """Seconds of one delivery, its connection and handshake included."""
    began = visit.now
    await visit.ask(visit.letters.signed(visit.letters.event()))
    return visit.now - began


async def _answer_size(visit: Visit) -> Finding:
    size = _first(visit).size
    return (warned if size > visit.bounds.answer else passed)(f"{size} bytes")


def _first(visit: Visit) -> Answer:
    if visit.first is None:
        raise LookupError("the table asks for the first answer before anything was sent")
    return visit.first


ROWS = (
    Check(
        id="answer",
        tries="Delivers a test event.",
        right="An HTTP answer within 10 s.",
        section="4 [seed]",
        cost="Every attempt fails; every delivery is dead after 8 of them, in 31 hours.",
        run=_answer,
        needs="name",
    ),
    Check(
        id="redirect",
        tries="Reads the answer to it.",
        right="No 3xx.",
        section="4 [seed]",
        cost="Redirects are never followed: every attempt fails; every delivery is dead after 8 of them.",
        run=_redirect,
        needs="answer",
    ),
    Check(
        id="good",
        tries="Reads the same answer.",
        right="2xx.",
        section="4 [seed]",
        cost="4xx: every delivery is dead at once. 5xx: after 8 attempts. 410: the subscription is disabled.",
        run=_good,
        needs="redirect",
    ),
    Check(
        id="clock",
        tries="Compares the Date of an answer with the clock of this machine.",
        right="Half a minute of difference at most.",
        section="1 [seed]",
        cost="Past 5 minutes every signature is stale or from the future: every delivery is dead at once.",
        run=_clock,
        needs="good",
    ),
    Check(
        id="latency",
        tries=f"Delivers {_TIMES} test events, each over a new connection.",
        right="Answered in 2 s: it persists, acknowledges, and works later.",
        section="4 [seed]",
        cost="Under load it passes 10 s: the attempt fails, the event comes again, and is handled twice or never.",
        run=_latency,
        needs="good",
    ),
    Check(
        id="answer_size",
        tries="Counts the bytes of an answer.",
        right="4 KiB at most.",
        section="4 [ours]",
        cost="Nobody reads more; its last byte counts towards the 10 s, and the connection is not used again.",
        run=_answer_size,
        needs="good",
    ),
)
