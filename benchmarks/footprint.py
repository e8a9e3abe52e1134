"""`python -m benchmarks.footprint`: what an inbox keeps for each event that it remembers, on disk and in memory."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.bodies import BODY_BYTES
from benchmarks.inboxes.storages import JETSTREAM, JETSTREAM_THREE, POSTGRESQL, SQLITE, STORAGES, Inboxes
from benchmarks.machine import facts
from benchmarks.processes import ROOT

COUNTS = {
    SQLITE: (1_000_000,),
    POSTGRESQL: (1_000_000,),
    JETSTREAM: (100_000, 1_000_000),
    JETSTREAM_THREE: (100_000, 300_000),
}
"""A server of NATS has a memory of its own too, so it is looked at as it grows."""
RESULTS = Path(__file__).parent / "results" / "footprint.json"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.footprint", description=__doc__)
    parser.add_argument("--only", action="append", choices=STORAGES, help="this storage; may be given several times")
    parser.add_argument("--events", action="append", type=int, help="look at so many; may be given several times")
    parser.add_argument("--output", type=Path, default=RESULTS, help="where to write the JSON")
    parser.add_argument("--folder", type=Path, default=ROOT / "build", help="for the inboxes")
    parser.add_argument("--quick", action="store_true", help="PostgreSQL in the system's temporary folder")
    arguments = parser.parse_args()
    counts = dict.fromkeys(STORAGES, sorted(arguments.events)) if arguments.events else COUNTS
    arguments.folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="bench-", dir=arguments.folder.resolve()) as folder,
        closing(Inboxes(Path(folder), {}, _progress, quick=arguments.quick)) as inboxes,
    ):
        found: dict[str, Any] = {name: inboxes.growth(name, counts[name]) for name in arguments.only or STORAGES}
        summary = {
            "at": f"{datetime.now(UTC):%Y-%m-%dT%H:%MZ}",
            "machine": facts(Path(folder)),
            "body_bytes": BODY_BYTES,
            "storages": found,
        }
    print(_table(found))
    arguments.output.write_text(json.dumps(summary, indent=1) + "\n", "utf-8")
    return 0


def _table(found: dict[str, Any]) -> str:
    """Bytes of each event."""
    lines = []
    for storage, sizes in found.items():
        for count, parts in sizes.items():
            shown = ", ".join(f"{name} {size / count:,.0f}" for name, size in sorted(parts.items()) if size / count > 1)
            lines.append(f"{storage:12} {count:>10,}  {shown}")
    return "\n".join(lines)


def _progress(text: str) -> None:
    print(f"{datetime.now(UTC):%H:%M:%S} {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
