"""The API as an application: contract section 5 over a `Sender`."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from functools import cache

from fastapi import FastAPI

from kirimhook.observe import Meter, Observer
from kirimhook.sender.api.admission import Door
from kirimhook.sender.api.document.build import build
from kirimhook.sender.api.errors import answer_errors
from kirimhook.sender.api.front import Front, Watch
from kirimhook.sender.api.operations import OPERATIONS, PREFIX
from kirimhook.sender.service import Sender
from kirimhook.settings import SenderSettings


def create_app(
    sender: Sender,
    settings: SenderSettings | None = None,
    *,
    meter: Meter | None = None,
    observer: Observer | None = None,
    clock: Callable[[], float] = time.time,
    server_url: str | None = None,
) -> FastAPI:
    """An ASGI application that answers under `/v1`.

    `server_url` is what the document gives as its server (without `/v1`). `clock`, in unix seconds, is what
    buckets fill and request ids are made by. The application neither opens nor closes the sender's database.
    """
    settings = settings or sender.context.settings
    watch = Watch(observer or Observer(), meter or Meter(), clock)
    app = FastAPI(
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.door = Door(sender, settings, clock)
    app.state.fixed_paths = frozenset(PREFIX + operation.path for operation in OPERATIONS if "{" not in operation.path)
    for operation in OPERATIONS:
        app.router.add_api_route(
            PREFIX + operation.path,
            operation.endpoint,
            methods=[operation.method],
            status_code=operation.status,
            response_model=None,
            operation_id=operation.endpoint.__name__,
            route_class_override=operation.route,
        )

    @cache
    def document() -> bytes:
        built = build(app.routes, settings.catalogue, server_url)
        return json.dumps(built, ensure_ascii=False, separators=(",", ":")).encode()

    app.state.document = document
    app.openapi = lambda: dict(json.loads(document()))  # type: ignore[method-assign]  # FastAPI's documented way to give another document
    answer_errors(app, watch)
    app.add_middleware(Front, watch=watch)
    return app
