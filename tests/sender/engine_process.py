"""`python -m tests.sender.engine_process URL CA`: an engine in a process of its own, until it is killed.

Four attempts at a time to one endpoint, under leases of two seconds.
"""

from __future__ import annotations

import asyncio
import os
import sys

from kirimhook.sender.database import open_database
from kirimhook.sender.engine import Engine
from kirimhook.sender.sealing import Sealer
from kirimhook.sender.transport import Transport
from kirimhook.settings import SenderSettings


async def main(url: str, ca: str) -> None:
    settings = SenderSettings(
        ca_bundle=ca, allow_networks=("127.0.0.0/8", "::1/128"), in_flight_per_endpoint=4, lease=2.0
    )
    database = open_database(url)
    await database.open()
    async with Transport(settings) as transport:
        await Engine(database, Sealer([os.environ["MASTER_KEY"]]), transport, settings).run()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
