"""One process serves: it says where, answers its path only, ends when told to with all that it accepted stored,
at once when told twice, and reads secrets and certificate anew on SIGHUP.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import ssl
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from kirimhook.testing.devca import make_certificates
from tests.serving.processes import APP, NEVER_LOOKS, OTHER, SECRET, Serving, get, is_refused, open_gate, post, serve


def stored(folder: Path) -> dict[str, int]:
    with closing(sqlite3.connect(folder / "inbox.db")) as connection:
        rows = connection.execute(
            "SELECT coalesce(f.state, 'open'), count(*) FROM events e LEFT JOIN finished f USING (number) GROUP BY 1"
        )
        return dict(rows.fetchall())


ELSEWHERE = ["/", "/healthz", "/readyz", "/metrics", "/status", "/kirim-webhook/", "/kirim-webhook/x"]


@pytest.fixture
def gated(tmp_path: Path) -> Path:
    os.mkfifo(tmp_path / "gate")
    return tmp_path


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with serve(tmp_path_factory.mktemp("serve")) as served:
        served.started()
        yield served


def test_it_says_where_it_listens_and_that_it_is_plain(tmp_path: Path) -> None:
    with serve(tmp_path, "--path", "/hooks/kirim") as served:
        started = served.started()
        assert started["url"] == f"http://127.0.0.1:{started['port']}/hooks/kirim"
        assert started["admin_url"] == f"http://127.0.0.1:{started['admin_port']}"
        assert (started["tls"], started["processes"], started["worker"]) == (False, 1, True)
        assert "plain HTTP" in started["hint"]
        assert started["port"] != started["admin_port"]


def test_an_event_is_acknowledged_stored_and_handled(tmp_path: Path) -> None:
    with serve(tmp_path) as served:
        assert post(served.url, "evt_1") == (200, b"ok")
        served.prints("handled evt_1")
        assert post(served.url, "evt_1") == (200, b"duplicate-ack")
        assert served.terminate() == 0
    assert stored(tmp_path) == {"done": 1}


@pytest.mark.parametrize("path", ELSEWHERE)
def test_the_public_port_answers_nothing_but_the_webhook_path(serving: Serving, path: str) -> None:
    base = serving.url.removesuffix("/kirim-webhook")
    assert get(base + path)[0] == 404
    assert post(base + path, "evt_elsewhere")[0] == 404


def test_the_admin_port_does_not_answer_the_webhook(serving: Serving) -> None:
    assert post(serving.started()["admin_url"] + "/kirim-webhook", "evt_x")[0] == 404
    assert serving.admin("/healthz") == (200, b"ok\n")
    assert serving.admin("/readyz")[0] == 200


def test_the_first_signal_lets_a_running_handler_end(gated: Path) -> None:
    with serve(gated) as served:
        assert post(served.url, "evt_1", "conversation.closed")[0] == 200
        served.prints("began evt_1")
        served.send(signal.SIGTERM)
        served.logged("serve_stopping", signal="SIGTERM")
        open_gate(gated)
        served.prints("ended evt_1")
        assert served.wait() == 0
        served.logged("serve_stopped")
    assert stored(gated) == {"done": 1}


def test_while_it_stops_it_says_so_and_takes_nothing_new(gated: Path) -> None:
    with serve(gated) as served:
        url = served.url
        assert post(url, "evt_1", "conversation.closed")[0] == 200
        served.prints("began evt_1")
        served.send(signal.SIGTERM)
        served.logged("serve_stopping")
        assert served.admin("/readyz")[0] == 503
        assert served.problems() == ["stopping"]
        assert served.admin("/healthz")[0] == 200
        while not is_refused(url):
            pass
        open_gate(gated)
        assert served.wait() == 0


def test_a_handler_that_does_not_end_is_left_after_the_bound(gated: Path) -> None:
    with serve(gated, "--drain", "0.2") as served:
        assert post(served.url, "evt_1", "conversation.closed")[0] == 200
        served.prints("began evt_1")
        assert served.terminate(timeout=15) == 0
    assert stored(gated) == {"open": 1}  # due again when its lease runs out


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_the_second_signal_ends_it_at_once(gated: Path, number: signal.Signals, code: int) -> None:
    with serve(gated) as served:
        assert post(served.url, "evt_1", "conversation.closed")[0] == 200
        served.prints("began evt_1")
        served.send(number)
        served.logged("serve_stopping", signal=number.name)
        served.send(number)
        assert served.wait(timeout=10) == code
    assert stored(gated) == {"open": 1}


def test_sigint_alone_ends_it_with_0(tmp_path: Path) -> None:
    with serve(tmp_path) as served:
        served.started()
        served.send(signal.SIGINT)
        assert served.wait() == 0


def test_after_sigkill_a_new_one_handles_what_was_acknowledged(gated: Path) -> None:
    with serve(gated, "--no-worker") as served:
        assert post(served.url, "evt_1") == (200, b"ok")
        served.kill()
    with serve(gated) as served:
        served.prints("handled evt_1")
        assert post(served.url, "evt_1") == (200, b"duplicate-ack")


def test_sighup_reads_the_secrets_again_and_at_its_word(tmp_path: Path) -> None:
    listed = tmp_path / "secrets.txt"
    (tmp_path / "app.py").write_text(APP + NEVER_LOOKS)
    listed.write_text(f"{SECRET.reveal()}\n{OTHER.reveal()}\n")
    with serve(tmp_path, "--secrets-file", str(listed)) as served:
        assert post(served.url, "evt_1", secret=SECRET)[0] == 200
        listed.write_text(f"{OTHER.reveal()}\n")
        served.send(signal.SIGHUP)
        served.logged("secrets_loaded", dropped=SECRET.fingerprint)
        assert post(served.url, "evt_2", secret=SECRET)[0] == 401
        assert post(served.url, "evt_3", secret=OTHER)[0] == 200
        uses = {use["fingerprint"]: use for use in served.status()["secrets"]}
        assert list(uses) == [OTHER.fingerprint]
        assert uses[OTHER.fingerprint]["matches"] == 1


def test_tls_is_verified_and_a_new_certificate_is_taken_on_sighup(tmp_path: Path) -> None:
    one = make_certificates(tmp_path, "localhost")
    with serve(tmp_path, "--tls-cert", str(one.certificate), "--tls-key", str(one.key)) as served:
        started = served.started()
        assert (started["tls"], started.get("hint")) == (True, None)
        url = f"https://localhost:{started['port']}/kirim-webhook"
        old = one.client_context()
        assert post(url, "evt_1", context=old) == (200, b"ok")
        with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
            post(url, "evt_2", context=ssl.create_default_context())
        two = make_certificates(tmp_path, "localhost")  # in the same files
        served.send(signal.SIGHUP)
        served.logged("certificate_loaded")
        assert post(url, "evt_3", context=two.client_context()) == (200, b"ok")
        with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
            post(url, "evt_4", context=old)


def test_a_certificate_that_is_broken_on_sighup_leaves_the_old_one(tmp_path: Path) -> None:
    made = make_certificates(tmp_path, "localhost")
    with serve(tmp_path, "--tls-cert", str(made.certificate), "--tls-key", str(made.key)) as served:
        url = f"https://localhost:{served.started()['port']}/kirim-webhook"
        made.certificate.write_text("half of a certif")
        served.send(signal.SIGHUP)
        assert "no certificate" in served.logged("certificate_kept")["problem"]
        assert post(url, "evt_1", context=made.client_context()) == (200, b"ok")


def test_readiness_follows_the_secrets(tmp_path: Path) -> None:
    listed = tmp_path / "secrets.txt"
    with serve(tmp_path, "--secrets-file", str(listed)) as served:
        assert served.problems() == ["no_secrets"]
        assert post(served.url, "evt_1")[0] == 503
        listed.write_text(f"{SECRET.reveal()}\n")
        served.send(signal.SIGHUP)
        served.logged("secrets_loaded", added=SECRET.fingerprint)
        assert served.problems() == []
        assert post(served.url, "evt_1")[0] == 200


def test_readiness_sees_a_clock_that_is_off(tmp_path: Path) -> None:
    with serve(tmp_path) as served:
        for event in range(3):
            assert post(served.url, f"evt_{event}", now=time.time() - 400)[0] == 401
        assert served.problems() == ["clock"]
        assert served.metric("kirimhook_clock_offset_seconds") == pytest.approx(400, abs=20)
        assert post(served.url, "evt_9")[0] == 200
        assert served.problems() == []


def test_readiness_sees_storage_that_takes_no_commit(tmp_path: Path) -> None:
    with serve(tmp_path) as served:
        assert post(served.url, "evt_1")[0] == 200
        with closing(sqlite3.connect(tmp_path / "inbox.db", isolation_level=None)) as foreign:
            foreign.execute("BEGIN IMMEDIATE")
            assert post(served.url, "evt_2")[0] == 503
            assert "storage" in served.problems()
            foreign.execute("ROLLBACK")
        assert post(served.url, "evt_2")[0] == 200
        assert served.logged("unstored")["reason"] == "locked"


def test_work_handles_what_another_process_received(tmp_path: Path) -> None:
    with (
        serve(tmp_path, "--no-worker") as served,
        Serving(tmp_path, "work", "app:hooks", "--admin-port", "0") as worker,
    ):
        assert worker.started()["worker"] is True
        assert worker.problems() == []  # it needs no secrets
        assert post(served.url, "evt_1") == (200, b"ok")
        worker.prints("handled evt_1")
        assert worker.terminate() == 0
        assert served.terminate() == 0
    assert stored(tmp_path) == {"done": 1}


def test_no_secret_and_no_body_is_logged_or_shown(tmp_path: Path) -> None:
    with serve(tmp_path, "--log-level", "debug") as served:
        assert post(served.url, "evt_1")[0] == 200
        assert post(served.url, "evt_2", secret=OTHER)[0] == 401
        served.prints("handled evt_1")
        shown = "".join(served.admin(path)[1].decode() for path in ("/status", "/metrics", "/readyz"))
        served.terminate()
        said = served.everything + shown
    assert served.logged("refused", event_id="evt_2", reason="no_match")
    assert served.logged("acked", event_id="evt_1")
    for word in (SECRET.reveal(), SECRET.reveal()[8:24], OTHER.reveal(), "whsec_", "phone_number"):
        assert word not in said
    assert SECRET.fingerprint in said


def test_each_refusal_is_one_line_of_json_with_its_reason(tmp_path: Path) -> None:
    with serve(tmp_path) as served:
        assert post(served.url, "evt_1", secret=OTHER)[0] == 401
        line = served.logged("refused")
        served.terminate()
    assert line["status"] == 401
    assert line["level"] == "warning"
    assert line["delivery_id"].startswith("wbd_")
    assert line["pid"] == served.pid
    assert [entry for entry in served.log if entry["event"] == "stderr"] == []


FAILING = [
    (["--port", "{taken}"], 1, "cannot listen on 127.0.0.1:{taken}: Address already in use"),
    (["--admin-port", "{taken}"], 1, "cannot listen on 127.0.0.1:{taken}: Address already in use"),
    (
        ["--inbox", "sqlite:///nothing.txt/inbox.db"],
        1,
        "the inbox sqlite:///nothing.txt/inbox.db cannot be opened: cannot_open",
    ),
    (["--inbox", "redis://localhost"], 2, "the scheme must be sqlite"),
    (["--dedupe-days", "6"], 2, "dedupe_days: at least 7"),
    (["--tls-cert", "nothing.txt"], 2, "--tls-cert and --tls-key go together"),
    (["--tls-cert", "none.pem", "--tls-key", "none.pem"], 1, "cannot read none.pem"),
    (["--tls-cert", "nothing.txt", "--tls-key", "nothing.txt"], 1, "are no certificate and its key"),
    (["--notify", "'half"], 2, "--notify: "),
    (["--notify-every", "0"], 2, "notify_every: must be from 0.01"),
    (["--path", "hook"], 2, "the path 'hook' must begin with /"),
    (["--concurrency", "0"], 2, "concurrency: must be from 1 to 1000, not 0"),
    (["--workers", "2", "--inbox", "sqlite:///:memory:"], 2, "an inbox in memory belongs to one process"),
    (["--port", "65536"], 2, "Invalid value for '--port'"),
]


@pytest.mark.parametrize(("arguments", "code", "message"), FAILING, ids=lambda value: str(value)[:40])
def test_what_cannot_be_served_is_said_in_one_line(
    serving: Serving, tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    taken = str(serving.started()["port"])
    (tmp_path / "nothing.txt").write_text("")
    ports = {"--port": "0", "--admin-port": "0"}
    ports |= dict(zip(arguments[::2], arguments[1::2], strict=True))
    words = [word.format(taken=taken) for pair in ports.items() for word in pair]
    with Serving(tmp_path, "serve", "app:hooks", *words) as failing:
        assert failing.wait() == code
    said = [entry["line"] for entry in failing.log if entry["event"] == "stderr"]
    assert len(said) == 1, failing.everything
    assert said[0].startswith("kirimhook: ")
    assert message.format(taken=taken) in said[0]


def test_no_secret_in_the_environment_is_no_start(tmp_path: Path) -> None:
    with serve(tmp_path, environment={"KIRIM_WEBHOOK_SECRETS": ""}) as failing:
        assert failing.wait() == 1
    assert "KIRIM_WEBHOOK_SECRETS: it holds no secret" in failing.logged("stderr")["line"]


def test_sigterm_before_it_serves_is_caught_too(tmp_path: Path) -> None:
    """The kernel drops a signal that a container's pid 1 does not handle; a default action would be -15 here."""
    (tmp_path / "app.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGTERM)\n")
    with serve(tmp_path) as served:
        assert served.wait() == 143
