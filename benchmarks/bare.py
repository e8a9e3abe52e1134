"""What the server costs without us: the same uvicorn, the same limits, the same answer, and nothing in between."""

from __future__ import annotations

import argparse
from typing import Any

from kirimhook.receiver.answers import ACKED
from kirimhook.receiver.model import Receipt
from kirimhook.serving.server import Server, make_config

ANSWER = ACKED[Receipt.FRESH]


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Read the body and answer 200."""
    if scope["type"] == "lifespan":
        await _live(receive, send)
        return
    while (await receive()).get("more_body", False):
        pass
    await send({"type": "http.response.start", "status": ANSWER.status, "headers": list(ANSWER.headers)})
    await send({"type": "http.response.body", "body": ANSWER.body})


async def _live(receive: Any, send: Any) -> None:
    for moment in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{moment}.complete"})


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    Server(make_config(app, port=parser.parse_args().port)).run()
