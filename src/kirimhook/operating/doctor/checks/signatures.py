"""Whom it lets in: right signatures however they are written, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kirimhook.operating.doctor.check import Check
from kirimhook.operating.doctor.checks.judging import accepted, refused, told
from kirimhook.operating.doctor.finding import Finding, Verdict, failed, left_out, passed, warned
from kirimhook.operating.doctor.wire import NoAnswer

if TYPE_CHECKING:
    from kirimhook.contract.samples import Sample
    from kirimhook.operating.doctor.visit import Visit
    from kirimhook.operating.doctor.wire import Answer

_FAR = 600
"""Seconds: twice what a signature's time may be off."""


async def _missing(visit: Visit) -> Finding:
    return refused(await visit.ask(visit.letters.delivery(visit.letters.event())))


async def _forged(visit: Visit) -> Finding:
    letters = visit.letters
    return refused(await visit.ask(letters.signed(letters.event(), secret=letters.forger)))


async def _other_body(visit: Visit) -> Finding:
    letters = visit.letters
    event = letters.event()
    return refused(await visit.ask(letters.delivery(event, letters.signature(event.body + b" "))))


async def _other_time(visit: Visit) -> Finding:
    """What a captured request becomes when somebody freshens its time."""
    letters = visit.letters
    event = letters.event()
    mac = letters.signature(event.body, at=letters.now - _FAR).partition(b",")[2]
    return refused(await visit.ask(letters.delivery(event, b"t=%d,%b" % (letters.now, mac))))


async def _stale(visit: Visit) -> Finding:
    return await _signed_at(visit, -_FAR)


async def _future(visit: Visit) -> Finding:
    return await _signed_at(visit, _FAR)


async def _signed_at(visit: Visit, seconds: int) -> Finding:
    letters = visit.letters
    event = letters.event()
    signature = letters.signature(event.body, at=letters.now + seconds)
    return refused(await visit.ask(letters.delivery(event, signature)))


async def _malformed(visit: Visit) -> Finding:
    letters = visit.letters
    event = letters.event()
    stamp, _, mac = letters.signature(event.body).partition(b",")
    headers = {
        "an empty header": b"",
        "no t": mac,
        "no v1": stamp,
        "t is a word": b"t=now," + mac,
        "v1 of two digits": stamp + b",v1=00",
        "v1 is no hex, nor ASCII": stamp + b",v1=" + b"\xc3\xa9" * 32,
    }
    found = {what: await _answered(visit, event, header) for what, header in headers.items()}
    wrong = [f"{what}: {finding.saw}" for what, finding in found.items() if finding.verdict is not Verdict.PASSED]
    return failed("; ".join(wrong)) if wrong else passed(f"{len(found)} kinds, all refused")


async def _answered(visit: Visit, event: Sample, header: bytes) -> Finding:
    try:
        return refused(await visit.ask(visit.letters.delivery(event, header)))
    except NoAnswer as error:
        return failed(str(error))


async def _two_headers(visit: Visit) -> Finding:
    letters = visit.letters
    event = letters.event()
    forged = letters.signature(event.body, secret=letters.forger)
    answer = await visit.ask(letters.delivery(event, forged, letters.signature(event.body)))
    return warned(f"{told(answer)}: it goes by one of the two") if answer.is_success else refused(answer)


async def _two_v1(visit: Visit) -> Finding:
    unknown_first = await _with_another(visit, first=True)
    unknown_last = await _with_another(visit, first=False)
    if unknown_first.is_success != unknown_last.is_success:
        which, answer = ("last", unknown_first) if unknown_last.is_success else ("first", unknown_last)
        return failed(f"{told(answer)} where the v1 that matches is the {which} of the two")
    return accepted(unknown_first)


async def _with_another(visit: Visit, *, first: bool) -> Answer:
    """A v1 of a secret that it does not know, in front of the right one or behind it."""
    letters = visit.letters
    event = letters.event()
    stamp, _, mac = letters.signature(event.body).partition(b",")
    other = letters.signature(event.body, secret=letters.forger).partition(b",")[2]
    return await visit.ask(letters.delivery(event, b",".join((stamp, other, mac) if first else (stamp, mac, other))))


async def _unknown_scheme(visit: Visit) -> Finding:
    letters = visit.letters
    event = letters.event()
    stamp, _, mac = letters.signature(event.body).partition(b",")
    answer = await visit.ask(letters.delivery(event, b",".join((stamp, b"v2=abc", mac))))
    return passed(told(answer)) if answer.is_success else warned(told(answer))


async def _every_secret(visit: Visit) -> Finding:
    letters = visit.letters
    secrets = visit.order.secrets
    if len(secrets) == 1:
        return left_out("one secret was given")
    answers = {secret: await visit.ask(letters.signed(letters.event(), secret=secret)) for secret in secrets}
    wrong = [f"{secret.fingerprint}: {told(answer)}" for secret, answer in answers.items() if not answer.is_success]
    return failed("; ".join(wrong)) if wrong else passed(f"{len(answers)} of {len(answers)} verify")


_FORGERIES = "Anybody who knows the URL can invent events: messages, assignments, contacts."

ROWS = (
    Check(
        id="no_signature",
        tries="Delivers a test event without a signature.",
        right="401 (another 4xx will do), and nothing stored.",
        section="1, 6 [seed]",
        cost=_FORGERIES,
        run=_missing,
        needs="good",
    ),
    Check(
        id="bad_signature",
        tries="Signs with a secret that nobody has.",
        right="401 (another 4xx will do), and nothing stored.",
        section="1, 6 [seed]",
        cost=_FORGERIES,
        run=_forged,
        needs="good",
    ),
    Check(
        id="other_body",
        tries="Delivers a test event with the signature of another body, one byte longer.",
        right="401 (another 4xx will do), and nothing stored.",
        section="1, 6 [seed]",
        cost="Whoever has seen one delivery can invent any other.",
        run=_other_body,
        needs="good",
    ),
    Check(
        id="other_time",
        tries="Puts the present time into an old signature.",
        right="401 (another 4xx will do): the time is part of what is signed.",
        section="1 [docs]",
        cost="A delivery that was captured once can be sent again for ever.",
        run=_other_time,
        needs="good",
    ),
    Check(
        id="stale",
        tries="Signs rightly, 10 minutes ago.",
        right="401 (another 4xx will do): 5 minutes are accepted.",
        section="1 [seed]",
        cost="A delivery that was captured once can be sent again for ever.",
        run=_stale,
        needs="good",
    ),
    Check(
        id="future",
        tries="Signs rightly, 10 minutes from now.",
        right="401 (another 4xx will do): 5 minutes are accepted.",
        section="1 [docs]",
        cost="A captured delivery whose time is ahead can be sent again until then; a wrong clock is not noticed.",
        run=_future,
        needs="good",
    ),
    Check(
        id="malformed",
        tries="Sends six kinds of header that are no signature.",
        right="401 (another 4xx will do) to each; no 5xx, no broken connection.",
        section="1, 6 [ours]",
        cost="Anybody can make it raise errors, as often as they like: alerts, logs, crashed processes.",
        run=_malformed,
        needs="good",
    ),
    Check(
        id="two_headers",
        tries="Sends two signature headers, a forged one in front.",
        right="401 (another 4xx will do): joined, as HTTP joins them, they have two times.",
        section="1 [ours]",
        cost="Nothing is let in by it; what stands in front may go by the other one. 5xx: anybody can cause it.",
        run=_two_headers,
        needs="good",
    ),
    Check(
        id="two_v1",
        tries="Signs with two secrets, one of which it does not know: once the first, once the last.",
        right="2xx: one v1 that matches is enough.",
        section="1, 7 [docs]",
        cost="From the first minute of a rotation every delivery is dead at once.",
        run=_two_v1,
        needs="good",
    ),
    Check(
        id="unknown_scheme",
        tries="Adds a v2 beside the right v1.",
        right="2xx: what it does not know it skips.",
        section="1 [ours]",
        cost="Nothing today. On the day the provider adds a scheme, every delivery is dead at once.",
        run=_unknown_scheme,
        needs="good",
    ),
    Check(
        id="secrets",
        tries="Signs with each of the secrets given, alone.",
        right="2xx to each: all active secrets count.",
        section="1, 7 [seed]",
        cost="The rotation cannot be ended, or begun: deliveries signed with that secret alone are dead at once.",
        run=_every_secret,
        needs="good",
    ),
)
