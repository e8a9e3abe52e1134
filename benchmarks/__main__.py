"""`python -m benchmarks`: run the cases in turn, print a table, write the figures."""

from __future__ import annotations

import argparse
import base64
import json
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import report
from benchmarks.cases import CASES, PARTS
from benchmarks.files import Files, InvalidRunError
from benchmarks.inboxes.storages import NODES, STORAGES, Inboxes
from benchmarks.load import LoadError
from benchmarks.machine import facts
from benchmarks.measure import Bench, Measurement
from benchmarks.processes import ROOT, ProcessError
from benchmarks.scale import FULL, QUICK, Scale
from benchmarks.sending.publisher import PublishError
from benchmarks.sending.stock import Databases
from kirimhook.contract.signature import Secret
from kirimhook.testing.nats import NatsFailed
from kirimhook.testing.postgres import PostgresFailed

RESULTS = Path(__file__).parent / "results"
SECRET = Secret("whsec_" + base64.b64encode(bytes(range(32))).decode())


def main() -> int:
    """0 when every case was measured, 1 when one could not be; a missed target is a result, not a failure."""
    arguments = _parse(sys.argv[1:])
    signal.signal(signal.SIGTERM, _end)
    scale = QUICK if arguments.quick else FULL
    scale = replace(scale, rounds=arguments.rounds or scale.rounds)
    names, left_out = _chosen(arguments.only, arguments.part)
    try:
        with _folder(arguments.folder) as folder:
            runs = _measure(folder, scale, names, quick=arguments.quick)
            heading = _heading(folder, scale, quick=arguments.quick)
            summary = {**heading, "left_out": left_out, **report.summarise(runs)}
    except (LoadError, ProcessError, InvalidRunError, PublishError, PostgresFailed, NatsFailed) as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 1
    print(report.table(summary))
    for name, how in left_out.items():
        print(f"left out: {name} ({how})")
    output = arguments.output or (None if arguments.quick else _default_output())
    if output:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(json.dumps(summary, indent=1) + "\n", "utf-8")
    return 0


def _parse(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="every case once, just to see that it works")
    parser.add_argument("--only", action="append", choices=CASES, help="this case; may be given several times")
    parser.add_argument("--part", choices=PARTS, help="only these cases")
    parser.add_argument("--rounds", type=int, help=f"how often each case runs (default {FULL.rounds})")
    parser.add_argument("--output", type=Path, help="where to write the JSON (default: results/, unless --quick)")
    parser.add_argument(
        "--folder", type=Path, default=ROOT / "build", help="for inbox files: on the disk to be measured"
    )
    return parser.parse_args(words)


def _chosen(only: Sequence[str] | None, part: str | None) -> tuple[list[str], dict[str, str]]:
    """The cases to run; and those that cannot be, with how to install what they need."""
    wanted = list(only or PARTS.get(part or "", CASES))
    missing = {name: how for name in wanted if (how := CASES[name].missing())}
    return [name for name in wanted if name not in missing], missing


@contextmanager
def _folder(parent: Path) -> Iterator[Path]:
    """A folder of our own on the disk that is measured; the system's may be in memory, where nothing is durable."""
    parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="bench-", dir=parent.resolve()))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def _measure(folder: Path, scale: Scale, names: Sequence[str], *, quick: bool) -> dict[str, list[Measurement]]:
    runs: dict[str, list[Measurement]] = {}
    finished = {name: scale.finished_of_jetstream if name in NODES else scale.finished for name in STORAGES}
    with (
        closing(Databases(folder, scale, _progress, quick=quick)) as databases,
        closing(Inboxes(folder, finished, _progress, quick=quick)) as inboxes,
    ):
        bench = Bench(folder, scale, Files(folder, scale, _progress), SECRET, databases, inboxes)
        for number in range(scale.rounds):
            for name in CASES:
                if name not in names:
                    continue
                _progress(f"round {number + 1} of {scale.rounds}: {name}, {CASES[name].about}")
                for part, measurement in CASES[name].run(bench).items():
                    runs.setdefault(part, []).append(measurement)
    return runs


def _end(*_: object) -> None:
    """What was started is ended on the way out."""
    raise SystemExit(128 + signal.SIGTERM)


def _progress(text: str) -> None:
    print(f"{datetime.now(UTC):%H:%M:%S} {text}", file=sys.stderr, flush=True)


def _heading(folder: Path, scale: Scale, *, quick: bool) -> report.Summary:
    return {
        "at": f"{datetime.now(UTC):%Y-%m-%dT%H:%MZ}",
        "quick": quick,
        "machine": facts(folder),
        "scale": asdict(scale),
    }


def _default_output() -> Path:
    return RESULTS / f"{datetime.now(UTC):%Y-%m-%d-%H%M}.json"


if __name__ == "__main__":
    sys.exit(main())
