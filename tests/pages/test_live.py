"""A live page over the real guarded server tells what changes, is not cut, and holds nobody up when all is stopped."""

from __future__ import annotations

import asyncio
import http.client
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import pytest

from kirimhook.observe import Meter
from kirimhook.pages.live import Live, Over
from kirimhook.serving.limits import Limits
from tests.pages.gallery import PREFIX, Gallery, values
from tests.serving.running import Address, dial, serving

PATH = f"{PREFIX}?live=1"
QUICK = 0.02


class Stream:
    """One browser's stream: what it is told, event by event."""

    def __init__(self, address: Address) -> None:
        self.connection = http.client.HTTPConnection(*address, timeout=20)
        self.connection.request("GET", PATH)
        self.answer = self.connection.getresponse()

    def close(self) -> None:
        self.answer.close()
        self.connection.close()

    def event(self) -> dict[str, str] | None:
        """The next one; None where the stream ends."""
        while line := self.answer.readline():
            if line.startswith(b"data: "):
                told: dict[str, str] = json.loads(line[6:])
                return told
        return None


@contextmanager
def opened(gallery: Gallery, address: Address, count: int = 1) -> Iterator[list[Stream]]:
    streams: list[Stream] = []
    try:
        streams.extend(Stream(address) for _ in range(count))
        yield streams
    finally:
        gallery.live.close()
        for stream in streams:
            stream.close()


def closed_on_its_loop(gallery: Gallery) -> None:
    """As a service does when it is told to stop."""
    assert gallery.loop is not None
    gallery.loop.call_soon_threadsafe(gallery.live.close)


def test_all_is_told_first_and_then_what_changes() -> None:
    gallery = Gallery(Live(every=QUICK))
    with serving(gallery.app) as address, opened(gallery, address) as (stream,):
        assert stream.answer.status == 200
        assert stream.answer.getheader("content-type") == "text/event-stream; charset=utf-8"
        assert stream.answer.getheader("cache-control") == "no-store"
        first = stream.event()
        assert first is not None
        assert first["rows"] == gallery.site.region("gallery.html", "rows", **gallery.shown)
        gallery.shown = values("Another text.")
        second = stream.event()
        assert second is not None
        assert "Another text." in second["rows"]
        closed_on_its_loop(gallery)
        assert stream.event() is None


def test_what_time_does_to_the_words_of_a_time_is_not_told() -> None:
    """The clock goes on between looks; the browser counts for itself."""
    gallery = Gallery(Live(every=QUICK))
    clock = iter(range(10**9, 2 * 10**9, 1000))
    gallery.site = type(gallery.site)("tests.pages", prefix=PREFIX, name="x", nav=(), clock=lambda: next(clock))
    with serving(gallery.app) as address, opened(gallery, address) as (stream,):
        assert stream.event() is not None
        before = gallery.loads
        gallery.wait_for_loads(before + 3)
        gallery.shown = values("At last.")
        told = stream.event()
        assert told is not None
        assert "At last." in told["rows"]
        closed_on_its_loop(gallery)


def test_a_stream_ends_before_the_server_would_cut_it() -> None:
    """As the times of the server and of streams stand to each other by themselves; here in tenths."""
    assert Live().life < Limits().answer
    meter = Meter()
    gallery = Gallery(Live(every=QUICK, life=1.5))
    with serving(gallery.app, limits=Limits(answer=3), meter=meter) as address, opened(gallery, address) as (stream,):
        while stream.event() is not None:
            pass
        assert stream.answer.isclosed()  # by its last chunk: cut off, http.client would have raised
        assert sum(meter.counter("kirimhook_connections_cut_total").values()) == 0
        assert gallery.live.streams == 0


def test_closing_ends_every_stream_at_once_and_the_server_with_them() -> None:
    gallery = Gallery(Live(every=60, life=600))
    with serving(gallery.app, limits=Limits(answer=600)) as address, opened(gallery, address, 20) as streams:
        assert all(stream.event() for stream in streams)
        began = time.monotonic()
        closed_on_its_loop(gallery)
        assert [stream.event() for stream in streams] == [None] * 20
        assert time.monotonic() - began < 1
        late = Stream(address)
        assert late.answer.status == 503
        late.close()
    assert time.monotonic() - began < 2


def test_a_browser_that_does_not_read_holds_nothing_up() -> None:
    gallery = Gallery(Live(every=QUICK, life=600))

    async def grow() -> None:
        gallery.shown = values(f"{gallery.loads} " + "x" * 500_000)

    gallery.before = grow
    with serving(gallery.app, limits=Limits(answer=600), room=4096) as address:
        connection = dial(address, room=4096)
        connection.sendall(f"GET {PATH} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
        gallery.wait_for_streams(1)
        closed_on_its_loop(gallery)
        began = time.monotonic()
        gallery.wait_for_streams(0)
        assert time.monotonic() - began < 1
        connection.close()


def test_one_stream_too_many_is_told_so_and_the_page_still_reads() -> None:
    gallery = Gallery(Live(most=2))
    with serving(gallery.app) as address, opened(gallery, address, 2) as streams:
        assert all(stream.event() for stream in streams)
        third = Stream(address)
        assert third.answer.status == 503
        assert third.answer.getheader("retry-after") == "30"
        page = http.client.HTTPConnection(*address, timeout=20)
        page.request("GET", PREFIX)
        assert page.getresponse().status == 200
        page.close()
        third.close()
        closed_on_its_loop(gallery)


def test_who_leaves_makes_room() -> None:
    gallery = Gallery(Live(most=1, every=60))
    with serving(gallery.app) as address, opened(gallery, address) as (stream,):
        assert stream.event()
        stream.close()
        gallery.wait_for_streams(0)
        second = Stream(address)
        assert second.event()
        second.close()
        closed_on_its_loop(gallery)


@pytest.mark.parametrize("error", [Over(), RuntimeError("the database is away")])
def test_a_look_that_fails_ends_the_stream_and_is_told_unless_it_is_over(error: Exception) -> None:
    failed: list[Exception] = []
    gallery = Gallery(Live(every=QUICK, failed=failed.append))

    async def fail() -> None:
        if gallery.loads > 1:
            raise error

    gallery.before = fail
    with serving(gallery.app) as address, opened(gallery, address) as (stream,):
        assert stream.event() is not None
        assert stream.event() is None
    assert failed == ([] if isinstance(error, Over) else [error])


def test_a_slow_look_is_followed_by_a_longer_pause() -> None:
    gallery = Gallery(Live(every=QUICK))
    times: list[float] = []

    async def slow() -> None:
        times.append(time.monotonic())
        await asyncio.sleep(0.1)

    gallery.before = slow
    with serving(gallery.app) as address, opened(gallery, address) as (stream,):
        assert stream.event() is not None
        gallery.wait_for_loads(4)
        closed_on_its_loop(gallery)
    gaps: Any = [later - earlier for earlier, later in pairwise(times[1:])]
    assert min(gaps) >= 0.45
