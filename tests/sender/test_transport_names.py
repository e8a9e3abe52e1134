"""Look-ups are shared, remembered for a moment, and those that hang are in nobody's way."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading
from collections.abc import Callable

import pytest

from kirimhook.sender.transport.names import SLOTS, SLOW_SLOTS, SystemResolver, lookup
from tests.sender.posting import LOOP_NAMES, LOOPS, run

Loop = Callable[[], asyncio.AbstractEventLoop]
both_loops = pytest.mark.parametrize("loop", LOOPS, ids=LOOP_NAMES)


class Server:
    """A name server of a test: answers when told, from whichever thread asks."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.go = threading.Event()
        self.come = threading.Condition()
        self.failing = False

    def __call__(self, name: str) -> list[str]:
        with self.come:
            self.asked.append(name)
            self.come.notify_all()
        self.go.wait(10)
        if self.failing:
            raise socket.gaierror(socket.EAI_AGAIN, "try again")
        return [f"192.0.2.{len(self.asked)}"]

    async def were_asked(self, count: int) -> None:
        def wait() -> bool:
            with self.come:
                return self.come.wait_for(lambda: len(self.asked) >= count, 10)

        assert await asyncio.to_thread(wait)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@both_loops
def test_the_system_is_asked(loop: Loop) -> None:
    async def main() -> None:
        resolver = SystemResolver()
        assert "127.0.0.1" in await resolver("localhost")
        await resolver.close()

    run(main(), loop)


def test_numbers_are_what_the_system_makes_of_them() -> None:
    """Why what it says is vetted: it takes spellings that no URL may have."""
    assert lookup("127.0.0.1") == ["127.0.0.1"]
    assert lookup("::1") == ["::1"]


@both_loops
def test_all_who_ask_for_one_name_share_one_look_up(loop: Loop) -> None:
    async def main() -> None:
        server = Server()
        resolver = SystemResolver(look_up=server)
        waiting = [asyncio.create_task(_list(resolver, "one.example")) for _ in range(50)]
        await server.were_asked(1)
        server.go.set()
        assert await asyncio.gather(*waiting) == [["192.0.2.1"]] * 50
        assert server.asked == ["one.example"]

    run(main(), loop)


async def _list(resolver: SystemResolver, name: str) -> list[str]:
    return list(await resolver(name))


def test_an_answer_is_used_for_ten_seconds() -> None:
    async def main() -> None:
        server, clock = Server(), Clock()
        server.go.set()
        resolver = SystemResolver(look_up=server, clock=clock)
        assert await resolver("one.example") == ["192.0.2.1"]
        clock.now += 9.9
        assert await resolver("one.example") == ["192.0.2.1"]
        clock.now += 0.2
        assert await resolver("one.example") == ["192.0.2.2"]

    run(main())


@both_loops
def test_a_failure_is_told_to_all_and_not_remembered(loop: Loop) -> None:
    async def main() -> None:
        server = Server()
        server.failing = True
        resolver = SystemResolver(look_up=server)
        waiting = [asyncio.create_task(_list(resolver, "one.example")) for _ in range(3)]
        await server.were_asked(1)
        server.go.set()
        failures = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(failure) for failure in failures] == [socket.gaierror] * 3
        server.failing = False
        assert await resolver("one.example") == ["192.0.2.2"]

    run(main(), loop)


@both_loops
def test_one_who_gives_up_leaves_the_look_up_to_the_others(loop: Loop) -> None:
    async def main() -> None:
        server = Server()
        resolver = SystemResolver(look_up=server)
        first = asyncio.create_task(_list(resolver, "one.example"))
        second = asyncio.create_task(_list(resolver, "one.example"))
        await server.were_asked(1)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        server.go.set()
        assert await second == ["192.0.2.1"]

    run(main(), loop)


def test_names_that_hung_before_leave_slots_to_the_others() -> None:
    """More names than there are slots hang once; from then on they share half of them."""

    async def main() -> None:
        server, clock = Server(), Clock()
        resolver = SystemResolver(look_up=server, clock=clock)
        sick = [f"sick{number}.example" for number in range(SLOTS)]
        server.failing = True
        waiting = [asyncio.create_task(_list(resolver, name)) for name in sick]
        await server.were_asked(SLOTS)
        server.go.set()
        await asyncio.gather(*waiting, return_exceptions=True)

        server.go.clear()
        waiting = [asyncio.create_task(_list(resolver, name)) for name in sick]
        await server.were_asked(SLOTS + SLOW_SLOTS)
        healthy = asyncio.create_task(_list(resolver, "healthy.example"))
        await server.were_asked(SLOTS + SLOW_SLOTS + 1)
        assert server.asked[-1] == "healthy.example"
        server.failing = False
        server.go.set()
        assert await healthy
        await asyncio.gather(*waiting)

    run(main())


def test_a_name_that_has_recovered_is_healthy_again() -> None:
    async def main() -> None:
        server = Server()
        server.go.set()
        server.failing = True
        resolver = SystemResolver(look_up=server)
        with pytest.raises(OSError, match="try again"):
            await resolver("one.example")
        assert list(resolver._sluggish) == ["one.example"]
        server.failing = False
        await resolver("one.example")
        assert list(resolver._sluggish) == []

    run(main())


def test_closing_waits_for_no_look_up() -> None:
    async def main() -> None:
        server = Server()
        resolver = SystemResolver(look_up=server)
        waiting = asyncio.create_task(_list(resolver, "one.example"))
        await server.were_asked(1)
        await resolver.close()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        server.go.set()

    run(main())


HUNG = """
import asyncio, threading
from kirimhook.sender.transport import SystemResolver

async def main():
    begun = threading.Event()
    def hang(name):
        begun.set()
        threading.Event().wait()
    resolver = SystemResolver(look_up=hang)
    task = asyncio.create_task(resolver("hung.example"))
    await asyncio.to_thread(begun.wait)
    task.cancel()
    await resolver.close()

asyncio.run(main())
"""


def test_a_process_ends_although_a_look_up_hangs() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", HUNG], capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
