"""The benchmarks still work: every case runs, counts something, and loses nothing (or it would end with an error).

Figures are not judged here: a gate is not a quiet machine.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.cases import usual
from benchmarks.cases.pages import INBOX_PAGES, SENDERS_PAGES, SIZES
from benchmarks.inboxes.storages import STORAGES
from benchmarks.sending.stock import DIALECTS

ROOT = Path(__file__).parents[2]
CASES = {
    "bare",
    "acks",
    "acks_with_worker",
    "acks_finished",
    "drain",
    "drain_finished",
    "drain_blocked",
    "handlers.quiet",
    "handlers.block_async",
    "handlers.block_plain",
    "handlers.spin",
    "handlers.transaction_1ms",
}
SENDER_CASES = {
    *(f"{what}.{dialect}.{many}" for what in ("bare_posts", "deliver") for dialect in DIALECTS for many in (1, 100)),
    *(f"{what}.{dialect}" for what in ("deliver_past", "deliver_behind", "publish") for dialect in DIALECTS),
    *(f"publish.{dialect}.half" for dialect in DIALECTS),
    *(f"isolation.{sick}" for sick in ("none", "two", "third")),
}
INBOX_CASES = {
    *(f"acks.{storage}.{processes}" for storage in STORAGES for processes in (1, 2)),
    *(f"acks_finished.{storage}" for storage in STORAGES),
    *(f"drain{beside}.{storage}" for storage in STORAGES for beside in ("", "_finished", "_blocked")),
}
PAGE_CASES = {
    f"{half}.{storage}.{size}.{page}"
    for half, pages in (("pages", SENDERS_PAGES), ("inbox", INBOX_PAGES))
    for storage in DIALECTS
    for size in SIZES
    for page in pages
}
USUAL = {"celery", "celery_tuned"}
LATENCIES = {"p50_ms", "p99_ms", "max_ms"}


@pytest.fixture(scope="module")
def summary(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return measured(tmp_path_factory.mktemp("bench"), "receiver", CASES)


@pytest.fixture(scope="module")
def sender(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return measured(tmp_path_factory.mktemp("bench"), "sender", SENDER_CASES)


@pytest.fixture(scope="module")
def inboxes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return measured(tmp_path_factory.mktemp("bench"), "inboxes", INBOX_CASES)


def measured(folder: Path, part: str, names: set[str]) -> dict[str, Any]:
    output = folder / "results.json"
    command = [sys.executable, "-m", "benchmarks", "--quick", f"--part={part}"]
    command += [f"--folder={folder}", f"--output={output}"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200, check=False)
    assert ended.returncode == 0, ended.stderr
    assert all(name in ended.stdout for name in names), ended.stdout
    assert [entry.name for entry in folder.iterdir()] == ["results.json"], "inbox files are left behind"
    found: dict[str, Any] = json.loads(output.read_text("utf-8"))
    return found


@pytest.mark.needs("wrk")
def test_every_case_counted_something(summary: dict[str, Any]) -> None:
    assert summary["cases"].keys() == CASES
    for name, case in summary["cases"].items():
        [run] = case["runs"]
        expected = {"count", "per_second", "cpu_us"} | (set() if name.startswith("drain") else LATENCIES)
        assert expected <= run.keys() == case["median"].keys(), name
        assert all(value > 0 for value in run.values()), (name, run)
    assert summary["cases"]["handlers.transaction_1ms"]["median"]["handled_beside"] > 0


@pytest.mark.needs("wrk")
def test_every_target_is_judged(summary: dict[str, Any]) -> None:
    assert len(summary["targets"]) == 7
    for target in summary["targets"]:
        judged = target["ratio"] <= target["bound"] if target["at_most"] else target["ratio"] >= target["bound"]
        assert target["met"] is judged


@pytest.mark.needs("wrk")
def test_the_machine_is_described_and_not_named(summary: dict[str, Any]) -> None:
    assert {"cores", "python", "sqlite", "uvicorn", "fdatasync_ms"} <= summary["machine"].keys()
    assert not any("/" in str(value) for value in summary["machine"].values())


def test_every_case_of_the_sender_counted_something(sender: dict[str, Any]) -> None:
    assert sender["cases"].keys() - USUAL == SENDER_CASES
    for name, case in sender["cases"].items():
        [run] = case["runs"]
        expected = {"count", "per_second", "cpu_us"}
        expected |= LATENCIES if name.startswith("isolation") or name.endswith(".half") else set()
        expected |= {"of_bare", "receiver_cpu_us"} if name.startswith("deliver") else set()
        assert expected <= run.keys() == case["median"].keys(), name
        assert all(value > 0 for field, value in run.items() if "cpu" not in field), (name, run)
    judged = {(target["case"], target["against"]) for target in sender["targets"]}
    assert {case for case, _ in judged} >= {"deliver.sqlite.1", "deliver_behind.postgresql", "isolation.third"}


@pytest.mark.needs("wrk")
def test_every_case_of_every_inbox_counted_something(inboxes: dict[str, Any]) -> None:
    assert inboxes["cases"].keys() == INBOX_CASES
    for name, case in inboxes["cases"].items():
        [run] = case["runs"]
        expected = {"count", "per_second", "cpu_us", "of_sqlite"}
        expected |= LATENCIES if name.startswith("acks") else set()
        expected |= set() if "sqlite" in name else {"database_cpu_us"}
        assert expected == run.keys() == case["median"].keys(), name
        assert all(value > 0 for field, value in run.items() if "cpu" not in field), (name, run)
    assert len(inboxes["targets"]) == 6


def test_every_page_was_looked_at(tmp_path: Path) -> None:
    summary = measured(tmp_path, "pages", PAGE_CASES)
    assert summary["cases"].keys() == PAGE_CASES
    for name, case in summary["cases"].items():
        [run] = case["runs"]
        assert {"count", "per_second", "cpu_us", *LATENCIES} == run.keys() == case["median"].keys(), name
        assert all(value > 0 for field, value in run.items() if "cpu" not in field), (name, run)
    judged = {(target["case"], target["against"]) for target in summary["targets"]}
    assert judged == {(name, name.replace(".many.", ".few.")) for name in PAGE_CASES if ".many." in name}


def test_the_usual_way_is_measured_or_named_as_left_out(sender: dict[str, Any]) -> None:
    how = usual.missing()
    assert sender["left_out"] == (dict.fromkeys(sorted(USUAL), how) if how else {})
    assert sender["cases"].keys() & USUAL == (set() if how else USUAL)


@pytest.mark.needs("redis-server")
def test_what_the_usual_way_needs_is_asked_for_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "redis" not in (usual.missing() or "")
    monkeypatch.setenv("PATH", "")
    assert usual.missing() == "apt install redis-server"
