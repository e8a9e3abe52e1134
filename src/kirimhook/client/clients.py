"""The client, sync and async: the same calls, carried out in two ways."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from kirimhook.client import answers, calls, deliveries, events, subscriptions
from kirimhook.client.account import account
from kirimhook.client.calls import Call
from kirimhook.client.drivers import Awaiting, Blocking
from kirimhook.client.exchange import Patience
from kirimhook.client.method import D, Group, listed, method

if TYPE_CHECKING:
    import ssl
    from types import TracebackType

    from kirimhook.client.wire import Wire


class WebhookSecrets(Group[D]):
    """`client.webhook_subscriptions.secrets`"""

    create = method(subscriptions.create_secret)
    delete = method(subscriptions.delete_secret)


class WebhookSubscriptions(Group[D]):
    """`client.webhook_subscriptions`"""

    def __init__(self, driver: D) -> None:
        super().__init__(driver)
        self.secrets: WebhookSecrets[D] = WebhookSecrets(driver)

    create = method(subscriptions.create)
    list = listed(subscriptions.every)
    get = method(subscriptions.get)
    update = method(subscriptions.update)
    delete = method(subscriptions.delete)
    test = method(subscriptions.send_test)


class WebhookDeliveries(Group[D]):
    """`client.webhook_deliveries`"""

    list = listed(deliveries.every)
    get = method(deliveries.get)
    replay = method(deliveries.replay)
    bulk_replay = method(deliveries.bulk_replay)


class Events(Group[D]):
    """`client.events`"""

    publish = method(events.publish)
    publish_raw = method(events.publish_raw)


def _document() -> Call[dict[str, Any]]:
    """The API's OpenAPI document, where it has one."""
    return calls.get("/openapi.json", answers.document)


class _Root(Group[D]):
    """What a client is made of."""

    def __init__(self, driver: D) -> None:
        super().__init__(driver)
        self.webhook_subscriptions: WebhookSubscriptions[D] = WebhookSubscriptions(driver)
        self.webhook_deliveries: WebhookDeliveries[D] = WebhookDeliveries(driver)
        self.events: Events[D] = Events(driver)

    document = method(_document)


class Kirim(_Root[Blocking]):
    """The REST API of the hosted platform, or of our sender. Contract section 5.

        with Kirim() as kirim:
            for delivery in kirim.webhook_deliveries.list(status="dead"):
                kirim.webhook_deliveries.replay(delivery.id)

    `api_key`: without it $KIRIM_KEY. `base_url`: with or without `/v1`; without it $KIRIM_API_URL, else the hosted
    API. `timeout`: seconds for each step of an attempt (connecting, TLS, each part of the answer), and for all of the
    answer's body. `retries`: how often a call that failed for a reason that may pass is tried again; `longest_wait`:
    the seconds that it waits at most each time because the API asks for it. `verify`: whom to trust; without it, whom
    the system trusts.

    Raises ValueError for what makes no sense, ImportError without the extra "client". Calls raise ApiError for an
    answer that says no, Unreachable, UnexpectedAnswer, and ArgumentError (a ValueError) for what cannot be sent.
    """

    def __init__(
        self,
        api_key: str | None = None,
        *,
        base_url: str | None = None,
        timeout: float = 30.0,
        retries: int = 4,
        longest_wait: float = 60.0,
        verify: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(Blocking(_wire(api_key, base_url, timeout, verify), Patience(retries, longest_wait)))

    def close(self) -> None:
        """Close its connections."""
        self.driver.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncKirim(_Root[Awaiting]):
    """As Kirim, for asyncio: the same calls, awaited, and lists walked over with `async for`."""

    def __init__(
        self,
        api_key: str | None = None,
        *,
        base_url: str | None = None,
        timeout: float = 30.0,
        retries: int = 4,
        longest_wait: float = 60.0,
        verify: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(Awaiting(_wire(api_key, base_url, timeout, verify), Patience(retries, longest_wait)))

    async def aclose(self) -> None:
        """Close its connections."""
        await self.driver.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


def _wire(api_key: str | None, base_url: str | None, timeout: float, verify: ssl.SSLContext | None) -> Wire:
    if not timeout > 0:
        raise ValueError("timeout is more than 0 seconds")
    try:
        from kirimhook.client.wire import Wire
    except ModuleNotFoundError as error:
        raise ImportError("the client needs the extra \"client\": pip install 'kirimhook[client]'") from error
    return Wire(account(api_key, base_url), timeout, verify)
