"""How it behaves as an HTTP server: methods, connections, many at once."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING

from kirimhook.operating.doctor.check import Check
from kirimhook.operating.doctor.checks.judging import refused, told
from kirimhook.operating.doctor.finding import Finding, failed, passed, warned
from kirimhook.operating.doctor.wire import NoAnswer, Request

if TYPE_CHECKING:
    from kirimhook.operating.doctor.visit import Visit
    from kirimhook.operating.doctor.wire import Connection


async def _get(visit: Visit) -> Finding:
    answer = await visit.ask(Request(method="GET"))
    return warned(told(answer)) if answer.status < 400 else refused(answer)


async def _keep_alive(visit: Visit) -> Finding:
    letters = visit.letters
    async with await visit.connected() as connection:
        first = await visit.ask_over(connection, letters.signed(letters.event()))
        if first.closes:
            return warned("it ends the connection after each answer, and says so")
        try:
            second = await visit.ask_over(connection, letters.signed(letters.event()))
        except NoAnswer as error:
            return failed(f"it does not say that the connection ends, but: {error}")
    return passed("two over one connection") if second.is_success else failed(f"{told(second)} to the second")


async def _at_once(visit: Visit) -> Finding:
    count = visit.bounds.at_once
    visit.count(count)
    connections: list[Connection] = []
    try:
        for _ in range(count):
            connections.append(await visit.connected())  # noqa: PERF401  # those open are closed if the next fails
        answers = Counter(await asyncio.gather(*(_answered(visit, connection) for connection in connections)))
    finally:
        await asyncio.gather(*(connection.close() for connection in connections))
    succeeded = answers.pop("", 0)
    if answers:
        return failed(f"{succeeded} of {count}; {', '.join(f'{times} x {what}' for what, times in answers.items())}")
    return passed(f"{succeeded} of {count}")


async def _answered(visit: Visit, connection: Connection) -> str:
    """What was answered, where that is not 2xx."""
    try:
        answer = await connection.ask(visit.letters.signed(visit.letters.event()), visit.bounds.attempt)
    except NoAnswer as error:
        return str(error)
    return "" if answer.is_success else told(answer)


ROWS = (
    Check(
        id="get",
        tries="Sends a GET.",
        right="405 (another 4xx will do).",
        section="6 [ours]",
        cost="Nothing is lost. Crawlers and link previews call it; a check of the URL in a browser proves nothing.",
        run=_get,
        needs="good",
    ),
    Check(
        id="keep_alive",
        tries="Delivers two test events over one connection.",
        right="Both are answered.",
        section="4 [ours]",
        cost="Each delivery pays for a TLS handshake; unannounced, deliveries that meet the farewell fail and are "
        "retried.",
        run=_keep_alive,
        needs="good",
    ),
    Check(
        id="at_once",
        tries="Delivers 16 test events at once, over as many connections.",
        right="2xx to each.",
        section="4 [seed]",
        cost="At every busy moment deliveries fail and come again later, out of order; 20 in a row disable the "
        "subscription.",
        run=_at_once,
        needs="good",
    ),
)
