"""A child process as its supervisor sees it: started, asked, told, waited for."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from typing import TYPE_CHECKING, Any, Self

from kirimhook.serving.control import VARIABLE, Channel, Order, Word

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from kirimhook.admin.report import ProcessReport

    Read = Callable[[Mapping[str, Any]], ProcessReport]


class Child:
    """One process; it runs once. `last` is what it reported last, until it is gone and after.

    `counted` is the same, or what it counted since.
    """

    def __init__(self, process: asyncio.subprocess.Process, channel: Channel, read: Read) -> None:
        self._process = process
        self._read = read
        self._channel = channel
        self._reports = asyncio.Condition()
        self._heard = {Word.REPORT: 0, Word.COUNTS: 0}
        self._listening = asyncio.create_task(self._listen())
        self._ended = asyncio.create_task(process.wait())
        self._ready = asyncio.Event()
        self.last: ProcessReport | None = None
        self.counted: ProcessReport | None = None

    @classmethod
    async def start(cls, command: Sequence[str], listening: socket.socket | None, read: Read) -> Self:
        """Run `command`, which finds its descriptors in the environment; `read` its reports. Raises OSError."""
        ours, theirs = socket.socketpair()
        given = [theirs.fileno(), listening.fileno() if listening is not None else -1]
        with theirs:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=[number for number in given if number >= 0],
                env={**os.environ, VARIABLE: ",".join(map(str, given))},
            )
        return cls(process, await Channel.over(ours), read)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_ready(self) -> bool:
        return self._ready.is_set() and not self._ended.done()

    async def ready(self) -> bool:
        """Wait until it serves, or has ended without: False."""
        waiting = asyncio.create_task(self._ready.wait())
        await asyncio.wait({waiting, self._ended}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        return self._ready.is_set()

    async def ended(self) -> int:
        """Its exit code, as Popen gives it (negative: the signal), once all that it said was heard."""
        code = await asyncio.shield(self._ended)
        await asyncio.wait({self._listening}, timeout=1)
        return code

    async def ask(self, timeout: float) -> bool:
        """Ask for a report; whether one came within `timeout` seconds."""
        return await self._ask(Order.REPORT, Word.REPORT, timeout)

    async def ask_counts(self, timeout: float) -> bool:
        """Ask for what it counted; whether that came within `timeout` seconds."""
        return await self._ask(Order.COUNTS, Word.COUNTS, timeout)

    async def _ask(self, order: Order, answer: Word, timeout: float) -> bool:
        if not self.is_ready:
            return False
        before = self._heard[answer]
        self._channel.say({"do": order})
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout), self._reports:
                await self._reports.wait_for(lambda: self._heard[answer] > before or self._listening.done())
        return self._heard[answer] > before

    def refresh(self) -> None:
        self._channel.say({"do": Order.REFRESH})

    def stop(self) -> None:
        """Ask it to drain. One that does not serve yet has nothing to lose."""
        if self.is_ready:
            self._channel.say({"do": Order.STOP})
        elif not self._ended.done():
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()

    def kill(self) -> None:
        if not self._ended.done():
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    async def close(self) -> None:
        self._listening.cancel()
        await self._channel.close()

    async def _listen(self) -> None:
        try:
            while (message := await self._channel.hear()) is not None:
                if message.get("is") == Word.READY:
                    self._ready.set()
                elif message.get("is") in self._heard:
                    await self._note(Word(message["is"]), message["report"])
        finally:
            self._channel.hang_up()  # or one that talks nonsense could not be told to stop: now it drains
            async with self._reports:
                self._reports.notify_all()

    async def _note(self, word: Word, report: dict[str, object]) -> None:
        async with self._reports:
            self.counted = self._read(report)
            if word == Word.REPORT:
                self.last = self.counted
            self._heard[word] += 1
            self._reports.notify_all()
