"""`kirimhook sender` as it is by default, API and engine in one process, and what it is fed."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection, Iterator
from pathlib import Path

from benchmarks.files import InvalidRunError
from benchmarks.processes import Measured, free_port, running
from benchmarks.sending.posts import LOOPBACK
from benchmarks.sending.publisher import Publisher
from benchmarks.sending.receiving import Receiver
from benchmarks.sending.stock import Stock, event_type
from kirimhook.sender.sealing import ENVIRONMENT_VARIABLE

STALLED = 60.0
POLL = 0.05
QUEUED = "SELECT count(*) FROM queue WHERE subscription_id IN ({names})"
STATUSES = "SELECT id, event_id, status FROM deliveries WHERE subscription_id IN ({names})"


class Rig:
    """A sender, its database, and where its deliveries go."""

    def __init__(self, process: Measured, stock: Stock, receiver: Receiver, publisher: Publisher) -> None:
        self.process = process
        self.stock = stock
        self.receiver = receiver
        self.publisher = publisher

    def finish(self, endpoints: Collection[int]) -> dict[str, str]:
        """Wait until all to these endpoints is recorded; the event of each delivery.

        Raises InvalidRunError unless all of them succeeded.
        """
        names = ", ".join(f"'{self.stock.subscriptions[endpoint]}'" for endpoint in endpoints)
        since = time.monotonic()
        while left := self.stock.rows(QUEUED.format(names=names))[0][0]:
            if time.monotonic() - since > STALLED:
                raise InvalidRunError(f"{left} deliveries are still queued")
            self.process.check()
            time.sleep(POLL)
        rows = self.stock.rows(STATUSES.format(names=names))
        failed = sum(status != "succeeded" for _, _, status in rows)
        if failed:
            raise InvalidRunError(f"{failed} of {len(rows)} deliveries did not succeed")
        return {delivery: event for delivery, event, _ in rows}


@contextlib.contextmanager
def sending(stock: Stock, receiver: Receiver, folder: Path) -> Iterator[Rig]:
    """For as long as the block lasts."""
    catalogue = folder / "catalogue"
    catalogue.write_text("".join(f"{event_type(number)}\n" for number in range(len(receiver.urls))))
    port = free_port()
    words = ["-m", "kirimhook", "sender", f"--database={stock.url}", f"--port={port}", "--admin-port=0", "--drain=0"]
    words += [f"--catalogue={catalogue}", f"--ca-bundle={receiver.authority}", f"--allow-network={LOOPBACK}"]
    with running(words, folder, {ENVIRONMENT_VARIABLE: stock.master_key}, name="sender") as process:
        process.wait_for_port(port)
        publisher = Publisher(f"http://127.0.0.1:{port}", stock.key, len(receiver.urls))
        yield Rig(process, stock, receiver, publisher)
