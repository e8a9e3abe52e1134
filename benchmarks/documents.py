"""`python -m benchmarks.documents` writes the tables of the documents anew from the results; a test compares them."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.cases.pages import INBOX_PAGES, SENDERS_PAGES, SIZES
from benchmarks.inboxes.storages import JETSTREAM, JETSTREAM_THREE, POSTGRESQL, SQLITE, STORAGES
from benchmarks.processes import ROOT

README, SCALE = ROOT / "benchmarks" / "README.md", ROOT / "docs" / "scale.md"
RESULTS = ROOT / "benchmarks" / "results"
TITLES = {
    SQLITE: "SQLite",
    POSTGRESQL: "PostgreSQL",
    JETSTREAM: "JetStream, one node",
    JETSTREAM_THREE: "JetStream, three nodes",
}
LOOKED_AT = (SQLITE, POSTGRESQL)
INDEX = {SQLITE: "sqlite_autoindex_events_1", POSTGRESQL: "events_dedupe_key_key"}
"""What is looked into at random for every event."""
BODIES = frozenset({"payloads", "payloads_pkey"})
RATES = (10, 1_000, 100_000)
"""Events a second."""
HORIZONS = (7, 32)
"""Days: the least that an inbox takes, and the default."""
DAY = 86_400
LOAD = 0.5
"""How much of a machine, or of an inbox's rate, a plan may use."""
CORES = 2
"""Of a machine, as of the one that was measured on."""


class Results(NamedTuple):
    inboxes: dict[str, Any]
    footprint: dict[str, Any]
    pages: dict[str, Any]

    def case(self, name: str) -> dict[str, float]:
        """Medians."""
        median: dict[str, float] = self.inboxes["cases"][name]["median"]
        return median

    def parts(self, storage: str) -> list[tuple[int, dict[str, int]]]:
        """How many events an inbox held when it was looked at, and the bytes of each thing that it kept; growing."""
        sizes = self.footprint["storages"][storage]
        return sorted((int(count), parts) for count, parts in sizes.items())


class Kept(NamedTuple):
    """Bytes of each event, on each node."""

    memory: float
    record: float
    """On disk, as long as the event is remembered."""
    body: float
    """On disk, as long as its body is kept."""
    written: float = 0
    """Memory, as long as the server has been written to since it was started; 0: no more than `memory`."""


def load() -> Results:
    return Results(*(json.loads((RESULTS / f"{name}.json").read_text("utf-8")) for name in Results._fields))


def kept(results: Results, storage: str) -> Kept:
    looks = results.parts(storage)
    count, parts = looks[-1]
    if storage in INDEX:
        body = sum(size for name, size in parts.items() if name in BODIES)
        return Kept(parts[INDEX[storage]] / count, (sum(parts.values()) - body) / count, body / count)
    fewer, less = looks[0]  # what a server takes anyhow is in both
    memory = parts["memory_restarted"] - less["memory_restarted"]
    written = parts["memory"] - less["memory"]
    return Kept(memory / (count - fewer), parts["disk"] / count, 0, written / (count - fewer))


def costs(results: Results, storage: str) -> tuple[float, float, float, float]:
    """CPU µs of an event: receiver and servers for its ack, worker and servers for the rest; beside a past."""
    ack, drain = results.case(f"acks_finished.{storage}"), results.case(f"drain_finished.{storage}")
    return ack["cpu_us"], ack.get("database_cpu_us", 0), drain["cpu_us"], drain.get("database_cpu_us", 0)


def rates(results: Results) -> str:
    """Every case on every inbox."""
    lines = ["| case | per second | least–most | of SQLite's acks | p50 ms | p99 ms | CPU µs | servers µs |"]
    lines.append("|---|---|---|---|---|---|---|---|")
    for name, case in results.inboxes["cases"].items():
        median, runs = case["median"], [run["per_second"] for run in case["runs"]]
        cells = [f"`{name}`", f"{median['per_second']:,.0f}", f"{min(runs):,.0f}–{max(runs):,.0f}"]
        cells += [_cell(median, "of_sqlite", 2), _cell(median, "p50_ms", 1), _cell(median, "p99_ms", 1)]
        cells += [_cell(median, "cpu_us", 0), _cell(median, "database_cpu_us", 0)]
        lines.append(_row(cells))
    return "\n".join(lines)


def _cell(median: dict[str, float], field: str, digits: int) -> str:
    return f"{median[field]:,.{digits}f}" if field in median else ""


def targets(results: Results) -> str:
    lines = ["| target | ratio | |", "|---|---|---|"]
    for target in results.inboxes["targets"]:
        missed = f"**missed by {target['bound'] - target['ratio']:.2f}**"
        what = f"`{target['case']}` / `{target['against']}` ≥ {target['bound']:g}"
        lines.append(_row([what, f"{target['ratio']:.2f}", "met" if target["met"] else missed]))
    return "\n".join(lines)


def pages(half: str, names: tuple[str, ...], results: Results) -> str:
    """Median times of each page with few rows behind it and with many, and what the second is of the first."""
    lines = ["| page | " + " | ".join(f"{TITLES[one]}: few, ms | many, ms | ratio" for one in LOOKED_AT) + " |"]
    lines.append("|---" * (1 + 3 * len(LOOKED_AT)) + "|")
    for name in names:
        cells = [f"`{name}`"]
        for storage in LOOKED_AT:
            few, many = (results.pages["cases"][f"{half}.{storage}.{size}.{name}"]["median"] for size in SIZES)
            cells += [f"{few['p50_ms']:.1f}", f"{many['p50_ms']:.1f}", f"{many['p50_ms'] / few['p50_ms']:.2f}"]
        lines.append(_row(cells))
    return "\n".join(lines)


def remembered(results: Results) -> str:
    """What is kept for an event."""
    lines = ["| inbox (bytes of an event) | memory | while written to | disk: record | disk: body |"]
    lines.append("|---|---|---|---|---|")
    for storage in STORAGES:
        found = kept(results, storage)
        written = f"{found.written:,.0f}" if found.written else "the same"
        body = f"{found.body:,.0f}" if found.body else "in the record"
        lines.append(_row([TITLES[storage], f"{found.memory:,.0f}", written, f"{found.record:,.0f}", body]))
    return "\n".join(lines)


def horizons(results: Results) -> str:
    """Memory that deduplication wants."""
    lines = ["| events/s, days | events | " + " | ".join(TITLES[storage] for storage in STORAGES) + " |"]
    lines.append("|---|---|" + "---|" * len(STORAGES))
    for rate in RATES:
        for days in HORIZONS:
            count = rate * days * DAY
            cells = [_bytes(count * kept(results, storage).memory) for storage in STORAGES]
            lines.append(_row([f"{rate:,}, {days}", f"{count / 1e6:,.0f} million", *cells]))
    return "\n".join(lines)


def costs_table(results: Results) -> str:
    lines = ["| inbox (CPU µs of an event) | receiver | its servers | worker | its servers | together |"]
    lines.append("|---|---|---|---|---|---|")
    for storage in STORAGES:
        found = costs(results, storage)
        lines.append(_row([TITLES[storage], *(f"{cost:,.0f}" for cost in (*found, sum(found)))]))
    return "\n".join(lines)


def machines(results: Results) -> str:
    """For each rate: cores, inboxes, machines."""
    lines = ["| events/s | inbox | cores busy | inboxes | machines | memory, 7 days | disk, 7 days |"]
    lines.append("|---|---|---|---|---|---|---|")
    for rate in RATES:
        lines += [_row([f"{rate:,}", TITLES[storage], *_plan(results, storage, rate)]) for storage in STORAGES]
    return "\n".join(lines)


def _plan(results: Results, storage: str, rate: int) -> list[str]:
    cores = rate * sum(costs(results, storage)) / 1e6
    limit = results.case(f"acks_finished.{storage}")["per_second"] * LOAD
    inboxes = math.ceil(rate / limit)
    machines = max(inboxes * (3 if storage == JETSTREAM_THREE else 1), math.ceil(cores / LOAD / CORES))
    found, count = kept(results, storage), rate * 7 * DAY
    copies = 3 if storage == JETSTREAM_THREE else 1
    memory, disk = count * found.memory * copies, count * (found.record + found.body) * copies
    return [f"{cores:,.3g}", f"{inboxes:,}", f"{machines:,}", _bytes(memory), _bytes(disk)]


def _bytes(size: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:,.3g} {unit}"
        size /= 1000
    return f"{size:,.3g} TB"


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


TABLES: dict[Path, dict[str, Callable[[Results], str]]] = {
    README: {
        "inboxes": rates,
        "inbox targets": targets,
        "dashboard": partial(pages, "pages", SENDERS_PAGES),
        "inbox pages": partial(pages, "inbox", INBOX_PAGES),
    },
    SCALE: {"remembered": remembered, "horizons": horizons, "costs": costs_table, "machines": machines},
}


def pattern(name: str) -> re.Pattern[str]:
    """The place of a table in its document."""
    return re.compile(rf"(?<=<!-- {name} -->\n).*?(?=<!-- end -->)", re.DOTALL)


def _replaced(table: str, _: re.Match[str]) -> str:
    return table + "\n"


def main() -> int:
    results = load()
    for document, tables in TABLES.items():
        text = document.read_text("utf-8")
        for name, table in tables.items():
            text = pattern(name).sub(partial(_replaced, table(results)), text, count=1)
        document.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
