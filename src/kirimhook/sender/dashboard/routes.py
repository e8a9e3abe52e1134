"""Every page and every form of the dashboard that takes a session. What is not in this table is not there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from starlette.responses import Response

from kirimhook.sender.dashboard import (
    account,
    deliveries,
    delivery,
    overview,
    replay_some,
    replays,
    subscription_forms,
    subscription_secrets,
    subscription_state,
    subscriptions,
)
from kirimhook.sender.dashboard.visit import Visit
from kirimhook.sender.limits import Use

Page = Callable[[Visit], Awaitable[Response]]


class Route(NamedTuple):
    """`path` is under /dashboard; "{name}" in it stands for one part, `Visit.param`.

    A POST comes with a form, whose token is checked before `page` is called.
    """

    method: str
    path: str
    page: Page
    query: tuple[str, ...] = ()
    """Names of the parameters that it knows. Any other, and one given twice, is answered with 400."""
    live: bool = False
    """Whether it has regions that are kept up to date: then it knows `live=1` too."""

    @property
    def use(self) -> Use:
        """What it counts as for the limits."""
        return Use.WRITE if self.method == "POST" else Use.READ


ROUTES = (
    Route("GET", "", overview.show, query=("window", "subscription_id"), live=True),
    Route("GET", "/account", account.show),
    Route("GET", "/subscriptions", subscriptions.show_all, query=("cursor", "done"), live=True),
    Route("GET", "/subscriptions/new", subscription_forms.new),
    Route("POST", "/subscriptions/new", subscription_forms.create),
    Route("GET", "/subscriptions/{subscription_id}", subscriptions.show, query=("done",), live=True),
    Route("GET", "/subscriptions/{subscription_id}/edit", subscription_forms.edit),
    Route("POST", "/subscriptions/{subscription_id}/edit", subscription_forms.update),
    Route("GET", "/subscriptions/{subscription_id}/disable", subscription_state.ask_disable),
    Route("POST", "/subscriptions/{subscription_id}/disable", subscription_state.disable),
    Route("GET", "/subscriptions/{subscription_id}/enable", subscription_state.ask_enable),
    Route("POST", "/subscriptions/{subscription_id}/enable", subscription_state.enable),
    Route("GET", "/subscriptions/{subscription_id}/delete", subscription_state.ask_delete),
    Route("POST", "/subscriptions/{subscription_id}/delete", subscription_state.delete),
    Route("POST", "/subscriptions/{subscription_id}/test", subscription_state.test),
    Route("GET", "/subscriptions/{subscription_id}/secrets/new", subscription_secrets.new),
    Route("POST", "/subscriptions/{subscription_id}/secrets/new", subscription_secrets.add),
    Route("GET", "/subscriptions/{subscription_id}/secrets/{secret_id}/delete", subscription_secrets.ask_remove),
    Route("POST", "/subscriptions/{subscription_id}/secrets/{secret_id}/delete", subscription_secrets.remove),
    Route("GET", "/deliveries", deliveries.show, deliveries.QUERY, live=True),
    Route("GET", "/deliveries/{delivery_id}", delivery.show, live=True),
    Route("GET", "/deliveries/{delivery_id}/event", delivery.event, live=True),
    Route("GET", "/deliveries/{delivery_id}/body", delivery.body),
    Route("GET", "/deliveries/{delivery_id}/curl", delivery.shell),
    Route("POST", "/replays/selected", replay_some.replay_selected),
    Route("POST", "/deliveries/{delivery_id}/replay", replay_some.replay),
    Route("GET", "/replays", replays.show_all, query=("cursor",), live=True),
    Route("POST", "/replays", replays.start),
    Route("GET", "/replays/new", replays.ask, query=replays.QUERY),
    Route("GET", "/replays/selected", replay_some.show_selected, query=replay_some.QUERY),
    Route("GET", "/replays/{run_id}", replays.show, live=True),
    Route("POST", "/replays/{run_id}/stop", replays.stop),
    Route("POST", "/sign-out", account.sign_out),
)
"""A path without parameters goes before one with: "/replays/new" is no replay."""
