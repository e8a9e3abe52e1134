"""Several processes serve on one socket: the admin port totals them, a dead one is replaced and its counts stay,
and all end together, however the first of them ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from tests.crash.waiting import until
from tests.serving.processes import APP, NEVER_LOOKS, OTHER, SECRET, SOON, Serving, is_refused, open_gate, post, serve

POSTS = 120


def children(served: Serving) -> list[psutil.Process]:
    return psutil.Process(served.pid).children()


def are_gone(processes: list[psutil.Process]) -> bool:
    return psutil.wait_procs(processes, timeout=SOON)[1] == []


def post_many(served: Serving, name: str, count: int = POSTS) -> list[int]:
    """Over connections of their own, so that every process gets some."""
    url = served.url
    with ThreadPoolExecutor(8) as pool:
        return [status for status, _ in pool.map(lambda n: post(url, f"evt_{name}_{n}"), range(count))]


def acked(served: Serving) -> float:
    return served.metric("kirimhook_requests_total", result="fresh")


def test_the_admin_port_totals_all_processes(tmp_path: Path) -> None:
    with serve(tmp_path, "--workers", "3") as served:
        assert served.started()["processes"] == 3
        assert post_many(served, "a") == [200] * POSTS
        assert post(served.url, "evt_forged", secret=OTHER)[0] == 401
        assert acked(served) == POSTS
        assert served.metric("kirimhook_requests_total", result="no_match") == 1
        assert served.metric("kirimhook_ack_seconds_count") == POSTS
        assert served.metric("kirimhook_processes") == 3
        status = served.status()
        per_process = [process["counters"]["kirimhook_requests_total"] for process in status["processes"]]
        assert {process["pid"] for process in status["processes"]} == {child.pid for child in children(served)}
        assert sum(counts.get("fresh", 0) for counts in per_process) == POSTS
        assert sum(bool(counts) for counts in per_process) > 1  # or the sum would prove nothing
        assert sum(status["inbox"]["states"].values()) == POSTS
        assert sum(use["matches"] for use in status["secrets"]) == POSTS
        assert served.terminate() == 0


def test_a_process_that_dies_is_replaced_and_its_counts_stay(tmp_path: Path) -> None:
    with serve(tmp_path, "--workers", "2") as served:
        assert post_many(served, "a") == [200] * POSTS
        assert acked(served) == POSTS
        victim = children(served)[0]
        victim.kill()
        ended = served.logged("process_ended", child=victim.pid)
        assert ended["how"] == "signal 9"
        assert acked(served) == POSTS
        served.logged("receiver_started", pid=replacement(served, victim.pid))
        assert post_many(served, "b") == [200] * POSTS
        assert acked(served) == 2 * POSTS
        assert served.metric("kirimhook_process_restarts_total") == 1
        assert served.metric("kirimhook_processes") == 2
        assert served.problems() == []
        assert served.terminate() == 0
    with closing(sqlite3.connect(tmp_path / "inbox.db")) as connection:
        assert connection.execute("SELECT count(*) FROM events").fetchone() == (2 * POSTS,)


def replacement(served: Serving, of: int) -> int:
    """The third process that was started."""
    served.logged("process_ended", child=of)
    first = {served.logged("process_started")["child"], *(child.pid for child in children(served)), of}
    with served._condition:
        found = served._condition.wait_for(
            lambda: [line["child"] for line in served.log if line["event"] == "process_started"][2:], SOON
        )
    assert found
    assert found[0] not in first - {child.pid for child in children(served)}
    return int(found[0])


def test_when_the_supervisor_is_killed_its_processes_drain_and_end(tmp_path: Path) -> None:
    with serve(tmp_path, "--workers", "2") as served:
        assert post_many(served, "a", 20) == [200] * 20
        orphans = children(served)
        assert len(orphans) == 2
        psutil.Process(served.pid).kill()
        assert are_gone(orphans)
        served.wait()
        stopped = [line["pid"] for line in served.log if line["event"] == "receiver_stopped"]
        assert sorted(stopped) == sorted(child.pid for child in orphans)  # drained, not killed


def test_sigterm_drains_all_and_ends_with_0(tmp_path: Path) -> None:
    with serve(tmp_path, "--workers", "2") as served:
        served.started()
        family = children(served)
        assert served.terminate() == 0
        assert are_gone(family)
        assert len([line for line in served.log if line["event"] == "receiver_stopped"]) == 2
        served.logged("serve_stopped")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_the_second_signal_ends_all_at_once(tmp_path: Path, number: signal.Signals, code: int) -> None:
    with serve(tmp_path, "--workers", "2") as served:
        served.started()
        family = children(served)
        for child in family:
            child.suspend()  # so that none of them drains
        try:
            served.send(number)
            served.logged("serve_stopping", signal=number.name)
            served.send(number)
            assert are_gone(family)
        finally:
            for child in family:
                with contextlib.suppress(psutil.NoSuchProcess):
                    child.resume()
        assert served.wait() == code


def test_a_signal_to_the_whole_group_drains_it_all_the_same(tmp_path: Path) -> None:
    """As a terminal sends SIGINT on Ctrl-C, and a service manager SIGTERM: to every process."""
    for number in (signal.SIGINT, signal.SIGTERM):
        with serve(tmp_path, "--workers", "2") as served:
            served.started()
            family = children(served)
            for process in [*family, psutil.Process(served.pid)]:
                process.send_signal(number)
            assert served.wait() == 0
            assert are_gone(family)
            assert len([line for line in served.log if line["event"] == "receiver_stopped"]) == 2


def test_sighup_reaches_every_process(tmp_path: Path) -> None:
    listed = tmp_path / "secrets.txt"
    listed.write_text(f"{SECRET.reveal()}\n{OTHER.reveal()}\n")
    (tmp_path / "app.py").write_text(APP + NEVER_LOOKS)
    with serve(tmp_path, "--workers", "2", "--secrets-file", str(listed)) as served:
        served.started()
        listed.write_text(f"{OTHER.reveal()}\n")
        served.send(signal.SIGHUP)
        for child in children(served):
            served.logged("secrets_loaded", dropped=SECRET.fingerprint, pid=child.pid)
        assert {post(served.url, f"evt_{n}", secret=SECRET)[0] for n in range(20)} == {401}
        assert [use["fingerprint"] for use in served.status()["secrets"]] == [OTHER.fingerprint]


def test_a_process_that_hangs_delays_the_admin_port_only_so_long_and_keeps_its_counts(tmp_path: Path) -> None:
    with serve(tmp_path, "--workers", "2") as served:
        assert post_many(served, "a") == [200] * POSTS
        assert acked(served) == POSTS
        # or it might hang while it writes, and nobody else could
        until(lambda: served.status()["inbox"]["states"]["done"] == POSTS, "all are handled")
        stuck = children(served)[0]
        stuck.suspend()
        try:
            assert acked(served) == POSTS
            status = served.status()
            assert status["silent_processes"] == 1
            assert len(status["processes"]) == 2
            assert served.problems() == []
        finally:
            stuck.resume()
        assert served.terminate() == 0


def test_a_process_that_dies_while_it_is_asked_is_not_counted_twice(tmp_path: Path) -> None:
    with serve(tmp_path, "--workers", "2") as served, ThreadPoolExecutor(1) as pool:
        assert post_many(served, "a") == [200] * POSTS
        assert acked(served) == POSTS
        other, victim = children(served)
        other.suspend()  # so that the scrape waits for it
        try:
            scrape = pool.submit(acked, served)
            victim.kill()
            served.logged("process_ended", child=victim.pid)
            assert scrape.result(SOON) == POSTS
        finally:
            other.resume()


def test_while_it_drains_nobody_takes_a_connection_that_nobody_answers(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "gate")
    with serve(tmp_path, "--workers", "2") as served:
        url = served.url
        assert post(url, "evt_1", "conversation.closed")[0] == 200
        served.prints("began evt_1")
        served.send(signal.SIGTERM)
        served.logged("receiver_stopped")  # the idle one; the other waits for its handler
        while not is_refused(url):  # until the other has closed its socket as well
            pass
        open_gate(tmp_path)
        served.prints("ended evt_1")
        assert served.wait() == 0


def test_a_process_that_cannot_start_ends_it_with_what_is_wrong_said_once(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("hooks = 7\n")
    with serve(tmp_path, "--workers", "3") as served:
        assert served.wait() == 1
    said = [line["line"] for line in served.log if line["event"] == "stderr"]
    assert said == [
        "kirimhook: app:hooks is an int, not a kirimhook.Hooks",
        "kirimhook: a process could not start; what it said is above",
    ]


def test_a_port_that_is_taken_is_said_before_any_process_starts(tmp_path: Path) -> None:
    with serve(tmp_path) as first:
        port = str(first.started()["port"])
        with Serving(tmp_path, "serve", "app:hooks", "--workers", "2", "--port", port, "--no-admin") as second:
            assert second.wait() == 1
    assert "Address already in use" in second.logged("stderr")["line"]
    assert "process_started" not in json.dumps(list(second.log))
