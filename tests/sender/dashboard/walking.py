"""Every page there is, walked: the table of routes, with ids in the place of its parameters."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from kirimhook.contract.resources import DeliveryStatus
from kirimhook.sender.dashboard.routes import ROUTES, Route
from kirimhook.sender.schema import metadata
from kirimhook.sender.service import DeliveryFilter
from tests.sender.dashboard.visiting import House, Page, Visitor
from tests.sender.stage import FAIL, REJECT, SUCCEED

GETS = [route for route in ROUTES if route.method == "GET"]
POSTS = [route for route in ROUTES if route.method == "POST"]
_PARAMETER = re.compile(r"\{(\w+)\}")
_NOTED = frozenset(("sessions", "idempotency_keys"))
"""Tables in which a visit may leave something that is nothing of an organisation's."""


def parameters(route: Route) -> list[str]:
    """Names of what stands in its path."""
    return _PARAMETER.findall(route.path)


def filled(route: Route, ids: Mapping[str, str]) -> str:
    """Its path, with these ids. KeyError for a parameter that has none."""
    return _PARAMETER.sub(lambda found: ids[found[1]], route.path)


async def walk(visitor: Visitor, route: Route, ids: Mapping[str, str], **how: Any) -> Page:
    """One visit of a route, as this visitor."""
    path = filled(route, ids)
    return await (visitor.get(path, **how) if route.method == "GET" else visitor.post(path, **how))


async def settled(house: House) -> dict[str, str]:
    """An id of everything that acme has: a subscription with two secrets, deliveries of each kind, a replay."""
    stage = house.stage
    subscription = await stage.subscribe()
    secret = await stage.tenant.add_secret(subscription)
    for outcome in (SUCCEED, FAIL, REJECT):
        await stage.publish()
        await stage.settled(outcome, (await stage.ids("pending", subscription))[0])
    await stage.publish()
    [dead] = await stage.ids("dead", subscription)
    running = (await stage.tenant.replay_runs(1)).items  # there is a bound to them, and a house is settled often
    run = running[0] if running else await stage.tenant.start_replay_run(DeliveryFilter(status=DeliveryStatus.DEAD))
    return {"run_id": run.id, "subscription_id": subscription, "secret_id": str(secret.id), "delivery_id": dead}


async def account(house: House) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of all tables, but for who is signed in."""
    tables = sorted(set(metadata.tables) - _NOTED)
    return {table: sorted(await house.stage.rows(f"SELECT * FROM {table}"), key=repr) for table in tables}
