"""One process of a sender, with no configuration but whom it may deliver to: events come in over the API, leave as
signed webhooks, and are accounted for; it ends when told to with all that was begun finished, and at once when told
twice.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import ssl
import stat
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from kirimhook.cli.sender.tls import certificate
from kirimhook.observe import METRICS
from kirimhook.sender.database import open_database
from kirimhook.sender.sealing import Sealer
from kirimhook.sender.service import Sender
from kirimhook.serving.options import Address, ServeError
from kirimhook.serving.sending.options import SenderOptions
from kirimhook.serving.sending.storing import sealer_of
from kirimhook.settings import SenderSettings
from kirimhook.testing.devca import make_certificates
from kirimhook.testing.endpoint import Hang, Hold, Respond
from tests.cli.commands import kirimhook
from tests.serving.senders import SOON, TYPES, Sending, call, consumer, is_signed


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sending")


@pytest.fixture(scope="module")
def plain(folder: Path) -> Iterator[Sending]:
    """Without any configuration."""
    with Sending(folder) as sending:
        sending.started()
        yield sending


def test_it_starts_without_configuration_and_says_where(plain: Sending, folder: Path) -> None:
    started = plain.started()
    assert started["url"] == f"http://127.0.0.1:{started['port']}"
    assert started["admin_url"] == f"http://127.0.0.1:{started['admin_port']}"
    assert started["database"] == f"sqlite:///{folder}/kirimhook-sender.db"
    assert (started["tls"], started["processes"], started["engine"]) == (False, 1, True)
    assert "hint" not in started  # plain HTTP that stays on this machine
    assert plain.call("GET", "/v1/health").status == 200
    assert plain.call("GET", "/v1/me").data["name"] == "acme"
    assert plain.problems() == []
    assert stat.S_IMODE((folder / "kirimhook-sender.key").stat().st_mode) == 0o600


def test_a_published_event_is_delivered_signed_and_accounted_for(tmp_path: Path) -> None:
    with consumer() as somebody, Sending(tmp_path, *somebody.trusting) as sending:
        subscription = sending.subscribe(somebody.url)
        [receipt] = sending.publish("evt_1")
        assert receipt == {"id": "evt_1", "object": "event", "deliveries": 1, "duplicate": False}
        [request] = somebody.received(1)
        assert is_signed(request, subscription["initial_secret"])
        assert json.loads(request.body)["data"] == {"contact": {"id": "evt_1"}}
        _check_metrics(sending)
        assert sending.terminate() == 0
        code, ledger = sending.ledger()
        assert (code, ledger["problems"]) == (0, [])
        [line] = ledger["subscriptions"]
        assert (line["subscription_id"], line["succeeded"], line["open"]) == (subscription["id"], 1, 0)


def _check_metrics(sending: Sending) -> None:
    """They parse, and are a sender's."""
    page, found = sending.admin("/metrics")[1].decode(), sending.metrics()
    for name, metric in METRICS.items():
        ours = name.startswith(("kirimhook_sender_", "kirimhook_connections"))
        assert (f"# HELP {name} {metric.about}\n" in page) == ours
    assert found["kirimhook_sender_requests_total"] >= 2
    assert found["kirimhook_ready"] == found["kirimhook_processes"] == found["kirimhook_processes_expected"] == 1
    assert "kirimhook_sender_open_deliveries" in found
    assert sending.admin("/healthz") == (200, b"ok\n")
    assert sending.status()["processes"][0]["delivers"] is True


def test_an_address_that_is_not_allowed_is_refused_at_creation(plain: Sending) -> None:
    refused = plain.call("POST", "/v1/webhook_subscriptions", {"url": "https://127.0.0.1/hook", "events": TYPES})
    error = refused.document["error"]
    assert (refused.status, error["code"], error["param"]) == (400, "invalid_webhook_url", "url")
    assert "loopback" in error["message"]


def test_attempts_in_flight_end_before_it_does(tmp_path: Path) -> None:
    until = asyncio.Event()
    with consumer(Hold(until)) as somebody, Sending(tmp_path, *somebody.trusting) as sending:
        sending.subscribe(somebody.url)
        sending.publish("evt_1")
        somebody.received(1)
        sending.send(signal.SIGTERM)
        sending.logged("sender_stopping", signal="SIGTERM")
        assert sending.problems() == ["stopping"]
        while not _is_refused(sending.started()["port"]):  # it takes nothing new meanwhile
            pass
        somebody.do(until.set)
        assert sending.wait() == 0
        assert sending.ledger()[1]["subscriptions"][0]["succeeded"] == 1
        assert len(somebody.received(1)) == 1


def test_attempts_that_do_not_end_are_broken_off_after_the_bound_and_given_back(tmp_path: Path) -> None:
    with consumer(Hang(), Respond()) as somebody:
        with Sending(tmp_path, *somebody.trusting, "--drain", "0.2") as sending:
            sending.subscribe(somebody.url)
            sending.publish("evt_1")
            somebody.received(1)
            assert sending.terminate(timeout=15) == 0
            assert sending.ledger()[1]["subscriptions"][0]["open"] == 1
        with Sending(tmp_path, *somebody.trusting):
            assert somebody.ids(2) == ["evt_1", "evt_1"]  # at once, not when a lease of 30 s has run out


def test_the_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    with consumer(Hang()) as somebody, Sending(tmp_path, *somebody.trusting) as sending:
        sending.subscribe(somebody.url)
        sending.publish("evt_1")
        somebody.received(1)
        sending.send(signal.SIGTERM)
        sending.logged("sender_stopping", signal="SIGTERM")
        sending.send(signal.SIGINT)
        assert sending.wait(timeout=10) == 130


def _is_refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), SOON).close()
    except ConnectionRefusedError:
        return True
    return False


def test_open_deliveries_are_counted(tmp_path: Path) -> None:
    with consumer(Respond(503)) as somebody, Sending(tmp_path, *somebody.trusting, "--schedule", "0,3600") as sending:
        sending.subscribe(somebody.url)
        sending.publish("evt_1", "evt_2")
        sending.logged("attempt_failed", event_id="evt_1")
        sending.logged("attempt_failed", event_id="evt_2")
        assert sending.status()["open_deliveries"] == 2


def test_development_tls_tells_its_authority_and_takes_a_new_certificate_on_sighup(tmp_path: Path) -> None:
    with Sending(tmp_path, "--tls") as sending:
        started = sending.started()
        url = f"https://localhost:{started['port']}/v1/health"
        old = ssl.create_default_context(cafile=started["ca"])
        urllib.request.urlopen(url, timeout=SOON, context=old).close()
        new = make_certificates(Path(started["ca"]).parent, "localhost")  # in the same files
        sending.send(signal.SIGHUP)
        sending.logged("certificate_loaded")
        urllib.request.urlopen(url, timeout=SOON, context=new.client_context()).close()
        with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
            urllib.request.urlopen(url, timeout=SOON, context=old)


def test_development_certificates_are_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    one = certificate(own=True, chain=None, key=None, host="127.0.0.1")
    assert one.ca is not None
    made = one.ca.read_bytes()
    assert certificate(own=True, chain=None, key=None, host="127.0.0.1") == one
    assert one.ca.read_bytes() == made


def test_a_wrong_master_key_is_said_and_nothing_runs(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/kirimhook-sender.db"
    assert kirimhook("migrate", "--database", url).code == 0
    asyncio.run(_mark(url, Sealer([Sealer.new_key()])))
    with Sending(tmp_path) as sending:
        assert sending.wait() == 1
        [said] = sending.said
        assert said.startswith("kirimhook: the master key: ")
        assert "do not open" in said


async def _mark(url: str, sealer: Sealer) -> None:
    """As the database of whoever has this key."""
    database = open_database(url)
    await database.open()
    await Sender(database, SenderSettings(), sealer).check_master_key()
    await database.close()


def test_a_named_key_file_goes_before_the_environment_and_that_before_the_usual_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = SenderOptions(f"sqlite:///{tmp_path}/a.db", listen=Address("127.0.0.1", 0))
    monkeypatch.delenv("KIRIMHOOK_MASTER_KEYS", raising=False)
    sealed = sealer_of(options).seal(b"usual")
    assert sealer_of(options).open(sealed) == b"usual"
    assert (tmp_path / "a.key").exists()
    monkeypatch.setenv("KIRIMHOOK_MASTER_KEYS", "nonsense")
    with pytest.raises(ServeError, match="KIRIMHOOK_MASTER_KEYS"):
        sealer_of(options)
    assert sealer_of(replace(options, master_key_file=tmp_path / "a.key")).open(sealed) == b"usual"


def test_several_machines_need_the_same_key_so_a_server_has_no_usual_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KIRIMHOOK_MASTER_KEYS", raising=False)
    with pytest.raises(ServeError, match="set KIRIMHOOK_MASTER_KEYS, or name a file"):
        sealer_of(SenderOptions("postgresql://kirim@/kirim", engine=True))


def test_a_port_in_use_is_said(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        with Sending(tmp_path, "--port", str(taken.getsockname()[1])) as sending:
            assert sending.wait() == 1
        assert sending.said == [
            f"kirimhook: cannot listen on 127.0.0.1:{taken.getsockname()[1]}: Address already in use"
        ]


def test_a_file_that_is_no_database_is_said(tmp_path: Path) -> None:
    (tmp_path / "kirimhook-sender.db").write_bytes(b"not a database" * 1000)
    with Sending(tmp_path) as sending:
        assert sending.wait() == 1
        [said] = sending.said
        assert said.startswith("kirimhook: the database cannot be used: ")


def test_a_command_is_told_of_a_dead_letter_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "told")
    notify = ("--notify", f"sh -c 'cat > {tmp_path}/told'")
    with consumer(Respond(400)) as somebody, Sending(tmp_path, *somebody.trusting, *notify) as sending:
        subscription = sending.subscribe(somebody.url)
        sending.publish("evt_1")
        [line] = (tmp_path / "told").read_text().splitlines()
        told = json.loads(line)
        [notice] = told["notices"]
        assert (notice["kind"], notice["subscription_id"]) == ("dead_letters", subscription["id"])
        [delivery] = sending.call("GET", "/v1/webhook_deliveries?status=dead").data
        assert (notice["reason"], notice["count"], notice["examples"]) == ("rejected", 1, [delivery["id"]])
        assert sending.terminate() == 0


def test_a_revoked_key_is_refused(plain: Sending) -> None:
    key_id = plain.call("GET", "/v1/me").data["key"]["id"]
    ran = kirimhook("sender", "keys", "revoke", key_id, "--org", "acme", "--database", plain.database)
    assert ran.code == 0
    while (answered := plain.call("GET", "/v1/me")).status == 200:  # another process sees it within two seconds
        pass
    assert answered.document["error"]["code"] == "revoked_api_key"
    assert call(f"{plain.url}/v1/me", "kdv_live_nobody").document["error"]["code"] == "invalid_api_key"
