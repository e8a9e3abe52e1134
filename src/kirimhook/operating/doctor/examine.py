"""Goes through the table, row by row, within a bounded time and a bounded number of requests."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from kirimhook.operating.doctor.finding import Finding, Verdict, failed, left_out, not_run
from kirimhook.operating.doctor.report import Examined, Report
from kirimhook.operating.doctor.table import CHECKS
from kirimhook.operating.doctor.tls import strict
from kirimhook.operating.doctor.visit import Order, Spent, Visit
from kirimhook.operating.doctor.wire import NoAnswer, describe

if TYPE_CHECKING:
    from collections.abc import Callable

    from kirimhook.operating.doctor.check import Check

_BLOCKS = {Verdict.FAILED, Verdict.NOT_RUN}


async def examine(order: Order, url: str, tell: Callable[[Examined], None] = lambda _: None) -> Report:
    """All checks, in their order. Calls `tell` after each. Raises OSError for authorities that cannot be read."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    strict(order.authorities)
    visit = Visit(order)
    done: dict[str, Examined] = {}
    for check in CHECKS:
        finding = _not_now(check, order, done) or await _run(check, visit, began + order.bounds.whole)
        done[check.id] = Examined(check, finding)
        tell(done[check.id])
    return Report(url, tuple(done.values()), visit.requests, tuple(visit.letters.written), loop.time() - began)


def _not_now(check: Check, order: Order, done: dict[str, Examined]) -> Finding | None:
    """Why it is not done at all, if it is not."""
    if check.probes and not order.probe_events:
        return left_out("a live handler would act on what it sends: --probe-events")
    if check.needs and done[check.needs].finding.verdict in _BLOCKS:
        return not_run(f"it would say nothing: {_root(check.needs, done)} did not pass")
    return None


def _root(name: str, done: dict[str, Examined]) -> str:
    """The failed check that all this comes from."""
    needed = done[name].check.needs
    return _root(needed, done) if needed and done[needed].finding.verdict in _BLOCKS else name


async def _run(check: Check, visit: Visit, end: float) -> Finding:
    try:
        async with asyncio.timeout_at(end):
            return await check.run(visit)
    except NoAnswer as error:
        return failed(str(error))
    except Spent:
        return not_run(f"{visit.bounds.requests} requests were sent, the most that an examination sends")
    except OSError as error:
        if isinstance(error, TimeoutError) and visit.now >= end:
            return not_run(f"{visit.bounds.whole:g} s were over, the most that an examination takes")
        return failed(describe(error))
