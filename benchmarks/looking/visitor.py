"""Who looks at pages: signed in, over one connection, one page after the other."""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Mapping
from html import unescape
from types import TracebackType
from typing import Self

import httpx

from benchmarks.files import InvalidRunError
from benchmarks.measure import Measurement
from benchmarks.processes import Measured

NEXT = re.compile(r'href="([^"]*[?&;]cursor=[^"]*)"')
TOKEN = re.compile(r'name="csrf" value="([^"]+)"')
PERCENTILE = 0.99


class Visitor:
    """Over plain HTTP on loopback: the time of a page is the server's, and that of a short way."""

    def __init__(self, origin: str) -> None:
        self._client = httpx.Client(base_url=origin, timeout=60)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._client.close()

    def sign_in(self, path: str, key: str) -> None:
        form = {"key": key, "csrf": TOKEN.findall(self.read(path))[0]}
        came = self._client.post(path, data=form)
        if came.status_code != httpx.codes.SEE_OTHER:
            raise InvalidRunError(f"{path}: {came.status_code}")

    def read(self, path: str) -> str:
        """The page. Raises InvalidRunError for anything but 200."""
        came = self._client.get(path)
        if came.status_code != httpx.codes.OK:
            raise InvalidRunError(f"{path}: {came.status_code}")
        return came.text

    def next_of(self, path: str) -> str:
        """Where the page behind this one is."""
        found = NEXT.findall(self.read(path))
        if not found:
            raise InvalidRunError(f"{path}: there is no next page")
        return unescape(found[-1])

    def measure(self, process: Measured, pages: Mapping[str, str], looks: int) -> dict[str, Measurement]:
        """Each page so often, in turn, so that what else the machine does meets all of them alike."""
        took: dict[str, list[float]] = {name: [] for name in pages}
        cpu: dict[str, float] = dict.fromkeys(pages, 0.0)
        for path in pages.values():
            self.read(path)
        for _ in range(looks):
            for name, path in pages.items():
                before, began = process.cpu_seconds(), time.perf_counter()
                self.read(path)
                took[name].append(time.perf_counter() - began)
                cpu[name] += process.cpu_seconds() - before
        return {name: _measured(times, cpu[name]) for name, times in took.items()}


def _measured(times: list[float], cpu: float) -> Measurement:
    count = len(times)
    ranked = sorted(seconds * 1000 for seconds in times)
    tail = ranked[min(int(PERCENTILE * count), count - 1)]
    per_second = count / sum(times)
    return Measurement(count, per_second, cpu / count * 1e6, statistics.median(ranked), tail, ranked[-1])
