"""What it makes of events: bytes as they come, events it has seen, events it does not know, statuses."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from kirimhook.operating.doctor.check import Check
from kirimhook.operating.doctor.checks.judging import accepted, refused, told
from kirimhook.operating.doctor.finding import Finding, failed, passed, warned

if TYPE_CHECKING:
    from kirimhook.operating.doctor.visit import Visit
    from kirimhook.operating.doctor.wire import Answer


async def _raw_body(visit: Visit) -> Finding:
    return accepted(await visit.ask(visit.letters.signed(visit.letters.oddly_written())))


async def _header_case(visit: Visit) -> Finding:
    request = visit.letters.signed(visit.letters.event())
    lower = [(name.lower(), value) for name, value in request.headers]
    return accepted(await visit.ask(replace(request, headers=lower)))


async def _duplicate(visit: Visit) -> Finding:
    event = visit.letters.event()
    first = await visit.ask(visit.letters.signed(event))
    again = await visit.ask(visit.letters.signed(event, attempt=2))
    return accepted(again if first.is_success else first)


async def _unknown_type(visit: Visit) -> Finding:
    return accepted(await visit.ask(visit.letters.signed(visit.letters.unknown())))


async def _statuses(visit: Visit) -> Finding:
    """Tells a new event from a duplicate by how it answers both: the first status is sent twice."""
    sent, delivered, read = visit.letters.statuses()
    fresh = await visit.ask(visit.letters.signed(sent))
    duplicate = await visit.ask(visit.letters.signed(sent, attempt=2))
    others = [(what, await visit.ask(visit.letters.signed(what))) for what in (delivered, read)]
    names = [what.name.rpartition(".")[2] for what, answer in others if _same(answer, duplicate)]
    refusals = [told(answer) for answer in (fresh, *(answer for _, answer in others)) if not answer.is_success]
    if refusals:
        return failed(f"a new status is answered {refusals[0]}")
    if _same(fresh, duplicate):
        return warned(
            f"it answers new and old alike ({told(fresh)}): look whether all three of {sent.event_id} are stored"
        )
    if names:
        return failed(f"{' and '.join(names)} of a message are answered as duplicates of its sent: {told(duplicate)}")
    return passed(f"new: {told(fresh)}; again: {told(duplicate)}; the other two: new")


def _same(one: Answer, other: Answer) -> bool:
    return (one.status, one.body) == (other.status, other.body)


async def _not_json(visit: Visit) -> Finding:
    answer = await visit.ask(visit.letters.signed(visit.letters.with_body(b'{"livemode":false,"cut off')))
    return passed(told(answer)) if answer.is_success else refused(answer)


async def _content_type(visit: Visit) -> Finding:
    request = visit.letters.signed(visit.letters.event())
    named = [(name, b"text/plain" if name == b"Content-Type" else value) for name, value in request.headers]
    answer = await visit.ask(replace(request, headers=named))
    return warned(f"{told(answer)}: it was accepted") if answer.is_success else refused(answer)


ROWS = (
    Check(
        id="raw_body",
        tries="Delivers valid JSON with odd blanks, escapes, numbers and Unicode.",
        right="2xx: the bytes are verified as they came, before any parsing.",
        section="1 [seed]",
        cost="Some deliveries, by what customers write, do not verify: they are dead at once.",
        run=_raw_body,
        needs="good",
    ),
    Check(
        id="header_case",
        tries="Writes the names of the headers in lower case.",
        right="2xx: their case means nothing (RFC 9110).",
        section="2 [docs]",
        cost="Behind another proxy, or after an update of the provider's, every delivery is dead at once.",
        run=_header_case,
        needs="good",
    ),
    Check(
        id="duplicate",
        tries="Delivers one event twice, as a retry does.",
        right="2xx both times.",
        section="4, 6 [seed]",
        cost="A retry after a lost answer is dead or retried in vain; enough of them disable the subscription.",
        run=_duplicate,
        needs="good",
    ),
    Check(
        id="unknown_type",
        tries="Delivers a test event of a type that is in no catalogue.",
        right="2xx: stored, whether anything handles it or not.",
        section="3 [ours]",
        cost="On the day the provider sends a new type, it is dead at once; 20 in a row disable the subscription.",
        run=_unknown_type,
        needs="good",
    ),
    Check(
        id="statuses",
        tries="Delivers sent (twice), delivered and read of one message.",
        right="Each status is new; only the second sent is a duplicate.",
        section="3 [ours]",
        cost="All three have one event id. Deduped by it alone, two of three statuses of every message are thrown "
        "away, acknowledged, never to come again.",
        run=_statuses,
        needs="duplicate",
        probes=True,
    ),
    Check(
        id="not_json",
        tries="Delivers a body that is no JSON, rightly signed.",
        right="2xx, or a 4xx; no 5xx.",
        section="6 [ours]",
        cost="It is retried for 31 hours, in vain, and an error is raised each time.",
        run=_not_json,
        needs="good",
        probes=True,
    ),
    Check(
        id="content_type",
        tries="Delivers a test event as text/plain.",
        right="415 (another 4xx will do).",
        section="6 [ours]",
        cost="Nothing is lost; what stands in front of it may treat such a body in its own way. 5xx: anybody can cause "
        "it.",
        run=_content_type,
        needs="good",
    ),
)
