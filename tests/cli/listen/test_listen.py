"""`kirimhook listen` against a real sender, over TLS: subscribed while it runs, and by nothing of it afterwards."""

from __future__ import annotations

import json
import os
import queue
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from kirimhook.cli.listen import listening
from kirimhook.testing.devca import DevCertificates, make_certificates
from kirimhook.testing.served import Served
from tests.cli.commands import kirimhook
from tests.serving.senders import Sending

SOON = 30.0
APP = """
import sys

from kirimhook import Event, Hooks, Park

hooks = Hooks()


@hooks.on("contact.created")
def created(event: Event) -> None:
    sys.stdout.write(f"handled {event.id}\\n")  # one write: several handlers run at a time


@hooks.on("contact.updated")
def updated(event: Event) -> Park:
    return Park("nobody knows them")
"""
HINT = re.compile(r"; the sender has to run with (--ca-bundle .*)")


class Listens(Served):
    """`kirimhook listen app:hooks`; `said` gives its lines on stdout as they come."""

    def __init__(self, folder: Path, sender: Sending, *arguments: str, environment: dict[str, str]) -> None:
        self.lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        (folder / "app.py").write_text(APP)
        command = ["listen", "app:hooks", "--log-level", "info", *arguments]
        account = {"KIRIM_API_URL": sender.url, "KIRIM_KEY": sender.key}
        super().__init__(command, folder=folder, environment=account | environment, printed=self.lines.put)

    def said(self, holds: Callable[[str], bool]) -> str:
        while not holds(line := self.lines.get(timeout=SOON)):
            pass
        return line

    @property
    def noted(self) -> str:
        """What it said beside its log."""
        return "\n".join(line["line"] for line in self.log if line["event"] == "stderr")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {"KIRIMHOOK_STATE": str(tmp_path / "state")}


def subscriptions(sender: Sending) -> list[dict[str, Any]]:
    return list(sender.call("GET", "/v1/webhook_subscriptions").data)


@contextmanager
def sending(folder: Path, *arguments: str) -> Iterator[Sending]:
    folder.mkdir(exist_ok=True)
    with Sending(folder, *arguments) as sender:
        yield sender


@contextmanager
def trusting(tmp_path: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Sending]:
    """A sender that runs with what a listen says that it has to: it says so, too, when there is no sender."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "app.py").write_text(APP)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        where = f"http://127.0.0.1:{unused.getsockname()[1]}"
        command = ["listen", "app:hooks", "--api-url", where, "--key", "kirim_nobody"]
        ran = subprocess.run(
            [sys.executable, "-m", "kirimhook", *command], capture_output=True, text=True, timeout=120, check=False
        )
    hint = HINT.search(ran.stderr)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert hint is not None, ran.stderr
    with sending(tmp_path / "sender", *shlex.split(hint[1])) as sender:
        yield sender


def test_events_are_handled_and_shown_until_it_is_told_to_stop(
    tmp_path: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On stdout nothing but JSON lines; no secret in anything it says. Then nobody is subscribed."""
    with (
        trusting(tmp_path, environment, monkeypatch) as sender,
        Listens(tmp_path, sender, "--json", environment=environment) as listens,
    ):
        started = listens.started()
        [subscription] = subscriptions(sender)
        assert subscription["description"] == listening.DESCRIPTION
        assert subscription["url"] == f"https://localhost:{started['port']}{started['path']}"
        assert len(subscription["events"]) == 6
        sender.publish("one", "two")
        assert sender.call("POST", f"/v1/webhook_subscriptions/{subscription['id']}/test", {}).status == 202
        done: set[str] = set()
        while len(done) < 3:
            event = json.loads(listens.said(lambda line: json.loads(line)["state"] == "done"))
            assert event["type"] == "contact.created"
            done.add(event["event_id"])
        assert {"one", "two"} < done
        listens.send(signal.SIGINT)
        assert listens.wait() == 0
        assert subscriptions(sender) == []
        assert sender.ledger()[0] == 0
        assert "handled one" in listens.noted
        assert "whsec_" not in listens.noted
        assert sender.key not in "".join(json.dumps(line) for line in listens.log)


def test_it_says_why_an_event_was_not_handled(
    tmp_path: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In text, with what the handlers print in between. The inbox that it was given keeps the events."""
    kept = f"sqlite:///{tmp_path / 'kept.db'}"
    with (
        trusting(tmp_path, environment, monkeypatch) as sender,
        Listens(tmp_path, sender, "--inbox", kept, "--event", "contact.updated", environment=environment) as listens,
    ):
        listens.started()
        assert [one["events"] for one in subscriptions(sender)] == [["contact.updated"]]
        event = {"type": "contact.updated", "id": "three", "data": {"contact": {"id": "three"}}}
        assert sender.call("POST", "/v1/events", event).status == 202
        line = listens.said(lambda line: "parked" in line)
        assert re.fullmatch(r"\d\d:\d\d:\d\d  parked     contact\.updated +three  .*nobody knows them", line), line
        assert listens.terminate() == 0
    shown = kirimhook("inbox", "list", "--inbox", kept, "--json")
    assert [one["event_id"] for one in shown.lines] == ["three"]


def test_what_a_killed_one_left_is_removed_and_nothing_else(
    tmp_path: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A colleague's machine may have the same name. While it runs, another one of this machine does not start."""
    with trusting(tmp_path, environment, monkeypatch) as sender:
        theirs = {"url": "https://localhost:1/kirim-webhook/theirs", "events": ["contact.created"]}
        sender.call("POST", "/v1/webhook_subscriptions", {**theirs, "description": listening.DESCRIPTION})
        with Listens(tmp_path, sender, environment=environment) as first:
            first.started()
            with Listens(tmp_path, sender, environment=environment) as second:
                assert second.wait() == 1
                assert "another kirimhook listen runs here" in second.noted
            first.kill()
            left = first.logged("inbox_opened")["inbox"].removeprefix("sqlite:///")
        assert len(subscriptions(sender)) == 2
        assert Path(left).is_file()
        with Listens(tmp_path, sender, environment=environment) as again:
            again.started()
            assert "removed" in again.noted
            assert len(subscriptions(sender)) == 2
            assert again.terminate() == 0
        assert not Path(left).exists()
        assert [one["url"] for one in subscriptions(sender)] == [theirs["url"]]


@pytest.fixture
def tunnelled(tmp_path: Path, environment: dict[str, str], request: pytest.FixtureRequest) -> dict[str, str]:
    """An environment in which the program of this name is all that is installed of the kind."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / request.param
    program.write_text(f"#!{sys.executable}\n{(Path(__file__).parent / 'standin.py').read_text()}")
    program.chmod(0o755)
    certificates = make_certificates(tmp_path)
    return environment | {
        "PATH": f"{folder}:/usr/bin:/bin",
        "STANDIN_CERTIFICATE": str(certificates.certificate),
        "STANDIN_KEY": str(certificates.key),
        "STANDIN_PID": str(tmp_path / "pid"),
    }


@contextmanager
def through_a_tunnel(tmp_path: Path, environment: dict[str, str]) -> Iterator[tuple[Sending, Listens, psutil.Process]]:
    """The program runs, too."""
    ca = DevCertificates(tmp_path / "ca.pem", tmp_path / "server.pem", tmp_path / "server.key").ca
    arguments = ["--tunnel", "--ca-bundle", str(ca), "--json"]
    with (
        sending(tmp_path / "sender", "--ca-bundle", str(ca), "--allow-network", "127.0.0.0/8") as sender,
        Listens(tmp_path, sender, *arguments, environment=environment) as listens,
    ):
        listens.started()
        yield sender, listens, psutil.Process(int(Path(environment["STANDIN_PID"]).read_text()))


@pytest.mark.parametrize("tunnelled", ["cloudflared", "ngrok"], indirect=True)
def test_deliveries_come_through_the_tunnel(tmp_path: Path, tunnelled: dict[str, str]) -> None:
    """It ends with the listen, after the subscription; also with one that is killed."""
    with through_a_tunnel(tmp_path, tunnelled) as (sender, listens, program):
        [subscription] = subscriptions(sender)
        assert f":{listens.started()['port']}/" not in subscription["url"]
        assert listens.started()["tls"] is False
        sender.publish("one")
        assert json.loads(listens.said(lambda line: json.loads(line)["state"] == "done"))["event_id"] == "one"
        assert listens.terminate() == 0
        program.wait(SOON)
        assert subscriptions(sender) == []
    with through_a_tunnel(tmp_path, tunnelled) as (_, listens, program):
        listens.kill()
        program.wait(SOON)


@pytest.mark.parametrize("tunnelled", ["cloudflared"], indirect=True)
def test_it_ends_with_its_tunnel(tmp_path: Path, tunnelled: dict[str, str]) -> None:
    with through_a_tunnel(tmp_path, tunnelled) as (sender, listens, program):
        program.kill()
        assert listens.wait() == 1
        assert "kirimhook: cloudflared ended (137)" in listens.noted
        assert subscriptions(sender) == []


@pytest.mark.parametrize(
    ("script", "said"),
    [("echo 'failed to request quick Tunnel: 429'; exit 1", "cloudflared ended (1): failed to request quick Tunnel")],
)
def test_a_tunnel_that_does_not_open_is_said_and_nothing_is_left(
    tmp_path: Path, environment: dict[str, str], script: str, said: str
) -> None:
    program = tmp_path / "cloudflared"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    with sending(tmp_path / "sender") as sender:
        path = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
        with Listens(tmp_path, sender, "--tunnel", environment=environment | path) as listens:
            assert listens.wait() == 1
            assert said in listens.noted
        assert subscriptions(sender) == []


def test_what_the_api_refuses_is_said_in_its_words(tmp_path: Path, environment: dict[str, str]) -> None:
    """A sender that may not deliver to this machine, with how it may; a key that is none, without."""
    with sending(tmp_path / "sender") as sender:
        with Listens(tmp_path, sender, environment=environment) as listens:
            assert listens.wait() == 1
            assert HINT.search(listens.noted)
        with Listens(tmp_path, sender, environment=environment | {"KIRIM_KEY": "kirim_nobody"}) as listens:
            assert listens.wait() == 1
            assert "refused with 401" in listens.noted
            assert not HINT.search(listens.noted)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 1, "install cloudflared"),
        (["--api-url", "http://127.0.0.1:9", "--tunnel"], 1, "install cloudflared"),
        (["--api-url", "http://127.0.0.1:9", "--inbox", "sqlite:///:memory:"], 2, "an inbox in memory"),
        (["--api-url", "http://127.0.0.1:9", "--inbox", "mysql://x"], 2, "--inbox: "),
        (["--api-url", "ftp://x"], 2, "--api-url"),
    ],
)
def test_what_cannot_be_is_said_before_anything_starts(
    tmp_path: Path,
    environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    code: int,
    said: str,
) -> None:
    for name, value in (environment | {"PATH": str(tmp_path), "KIRIM_KEY": "kirim_key"}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("KIRIM_API_URL", raising=False)
    ran = kirimhook("listen", "app:hooks", *arguments)
    assert (ran.code, ran.out) == (code, "")
    assert said in ran.errors
    assert len(ran.errors.splitlines()) == 1
