"""The receiver's pages on the admin port of real processes, one and two, on every kind of inbox: made when somebody
looks, paused there is paused everywhere, and an open live page holds up nobody who stops the command.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from kirimhook.receiver.admin.app import AdminApp
from kirimhook.serving.options import Address, Options, OptionsError, PagesOptions, read_token
from kirimhook.serving.pages import AdminPages
from tests.cli.conftest import places
from tests.cli.inboxes import KINDS, Places
from tests.crash.waiting import until
from tests.receiver.fleets import fleet, report
from tests.sender.dashboard.visiting import Page
from tests.serving.processes import SECRET, SOON, Serving, get, post, serve

__all__ = ["places"]

TOKEN = "correct-horse-battery-staple"
LIVE_STREAM_ENDS = 10.0
"""Seconds; without being told to end it would last 20."""
HEAVY = ("jinja2", "pygal", "starlette")


@contextmanager
def browser(served: Serving) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=served.started()["admin_url"], timeout=SOON, trust_env=False) as client:
        yield client


def sent(client: httpx.Client, action: str, **fields: str) -> httpx.Response:
    """The form of the overview that goes there, as a browser sends it."""
    form = Page(client.get("/inbox")).form(action)
    return client.post(action, data={**form, **fields})


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("kind", KINDS)
def test_pages_show_the_inbox_and_what_is_paused_there_is_paused_everywhere(
    kind: str, workers: str, places: Places, tmp_path: Path
) -> None:
    url = places.made(kind, tmp_path)
    with serve(tmp_path, "--workers", workers, "--inbox", url) as served, browser(served) as client:
        assert served.started()["pages_url"] == f"{served.started()['admin_url']}/inbox"
        start = client.get("/")
        assert (start.status_code, start.headers["location"]) == (303, "/inbox")
        assert "Nothing was received yet" in client.get("/inbox").text
        assert sent(client, "/inbox/pause").status_code == 303
        assert post(served.url, "evt_held") == (200, b"ok")
        page = Page(client.get("/inbox"))
        assert "Handling is paused" in page.text
        assert "contact.created" in page.text
        assert SECRET.reveal() not in page.html
        until(lambda: served.status()["inbox"]["states"]["waiting"] == 1, "processes report that it waits")
        assert sent(client, "/inbox/resume").status_code == 303
        served.prints("handled evt_held")
        assert served.logged("inbox_paused")["client"] == "127.0.0.1"
        assert served.logged("inbox_resumed")["client"] == "127.0.0.1"
        assert served.terminate() == 0


def test_a_supervisor_opens_the_inbox_when_somebody_looks_and_not_before(tmp_path: Path) -> None:
    with serve(tmp_path, "--workers", "2") as served, browser(served) as client:
        served.started()
        supervisor = psutil.Process(served.pid)
        inbox = str(tmp_path / "inbox.db")
        assert served.admin("/readyz")[0] == 200
        assert inbox not in [file.path for file in supervisor.open_files()]
        assert client.get("/inbox").status_code == 200
        assert inbox in [file.path for file in supervisor.open_files()]
        assert served.terminate() == 0


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_live_page_tells_what_changes_and_holds_up_no_stop(workers: str, tmp_path: Path) -> None:
    with (
        serve(tmp_path, "--workers", workers) as served,
        browser(served) as client,
        client.stream("GET", "/inbox", params={"live": "1"}) as stream,
    ):
        assert stream.headers["content-type"].startswith("text/event-stream")
        lines = stream.iter_lines()
        assert next(line for line in lines if line.startswith("data:"))
        assert post(served.url, "evt_live") == (200, b"ok")
        assert next(line for line in lines if line.startswith("data:") and "contact.created" in line)
        began = time.monotonic()
        reading = threading.Thread(target=lambda: list(lines))
        reading.start()
        assert served.terminate() == 0
        assert time.monotonic() - began < LIVE_STREAM_ENDS
        reading.join(SOON)
        assert not reading.is_alive()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_with_a_token_one_signs_in(workers: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    given = ("--workers", workers, "--admin-host", "0.0.0.0", "--admin-token-file", "token")
    with serve(tmp_path, *given) as served:
        port = served.started()["admin_port"]
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=SOON, trust_env=False) as client:
            assert client.get("/healthz").status_code == 200
            stranger = client.get("/inbox")
            assert (stranger.status_code, stranger.headers["location"]) == (303, "/inbox/sign-in")
            form = Page(client.get("/inbox/sign-in")).form("/inbox/sign-in")
            assert client.post("/inbox/sign-in", data={**form, "token": TOKEN}).headers["location"] == "/inbox"
            assert sent(client, "/inbox/pause").status_code == 303
            assert client.get("/inbox", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200
        assert TOKEN not in served.everything
        assert served.terminate() == 0


def test_where_others_could_connect_pages_ask_for_a_token_and_the_rest_stays_as_it_was(tmp_path: Path) -> None:
    with serve(tmp_path, "--admin-host", "0.0.0.0") as served:
        started = served.started()
        assert "--admin-token-file" in started["hint"]
        base = f"http://127.0.0.1:{started['admin_port']}"
        status, page = get(f"{base}/inbox")
        assert status == 403
        assert b"--admin-token-file" in page
        assert [get(base + path)[0] for path in ("/healthz", "/readyz", "/metrics", "/status")] == [200] * 4


def test_the_token_may_come_from_the_environment(tmp_path: Path) -> None:
    with serve(tmp_path, environment={"KIRIMHOOK_ADMIN_TOKEN": TOKEN}) as served, browser(served) as client:
        assert client.get("/inbox").status_code == 303
        assert client.get("/inbox", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200


def test_without_pages_the_admin_port_is_what_it_was(tmp_path: Path) -> None:
    with serve(tmp_path, "--no-pages") as served:
        assert "pages_url" not in served.started()
        assert served.admin("/inbox")[0] == served.admin("/")[0] == 404
        assert served.admin("/readyz")[0] == 200


def test_work_has_pages_too(tmp_path: Path) -> None:
    inbox = f"sqlite:///{tmp_path / 'inbox.db'}"
    with (
        Serving(tmp_path, "work", "app:hooks", "--inbox", inbox, "--admin-port", "0") as worker,
        browser(worker) as client,
    ):
        page = Page(client.get("/inbox"))
        assert page.status == 200
        assert "they need no secrets" in page.text
        assert worker.terminate() == 0


def test_pages_that_nobody_looks_at_cost_no_import(tmp_path: Path) -> None:
    code = f"""
import sys
import kirimhook.serving.receiving, kirimhook.serving.service, kirimhook.serving.process, kirimhook.serving.supervisor
print([name for name in {HEAVY} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout == "[]\n"


def test_without_the_extra_the_port_says_what_to_install_and_answers_the_rest() -> None:
    async def give() -> Any:
        return fleet(report())

    async def main() -> list[tuple[int, bytes]]:
        pages = AdminPages(Options("sqlite:///:memory:"), Address("127.0.0.1", 9090), give, give, None, installed=False)
        app = AdminApp(give, "1", pages)
        pages.start()
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:9090") as client:
            answers = [await client.get(path) for path in ("/inbox", "/inbox/events", "/healthz", "/inboxes")]
        pages.end_streams()
        await pages.close()
        return [(answer.status_code, answer.content) for answer in answers]

    answers = asyncio.run(main())
    assert [status for status, _ in answers] == [501, 501, 200, 404]
    assert b"pip install 'kirimhook[pages]'" in answers[0][1]


@pytest.mark.parametrize("token", ["", "short", "x" * 15, "with\nnewline-and-more", "ünïcode-unïcode-ünïcode"])
def test_a_token_that_could_be_guessed_or_not_sent_is_refused(token: str) -> None:
    with pytest.raises(OptionsError, match="16 or more printable ASCII"):
        PagesOptions(token)
    assert token == "" or token not in repr(PagesOptions(TOKEN + "-other"))


def test_a_token_file_that_cannot_be_read_is_a_mistake_in_the_command_line(tmp_path: Path) -> None:
    with pytest.raises(OptionsError, match="--admin-token-file"):
        read_token(tmp_path / "nothing", {})
    with serve(tmp_path, "--admin-token-file", "nothing") as served:
        assert served.wait() == 2


def test_the_overview_shows_all_processes_and_one_that_was_replaced(tmp_path: Path) -> None:
    with serve(tmp_path, "--workers", "2") as served, browser(served) as client:
        served.started()
        children = psutil.Process(served.pid).children()
        page = Page(client.get("/inbox"))
        assert all(str(child.pid) in page.text for child in children)
        assert "2 of 2 here; 0 replaced" in page.text
        children[0].kill()
        served.logged("process_ended")
        until(lambda: "2 of 2 here; 1 replaced" in Page(client.get("/inbox")).text, "it was replaced")
        assert served.terminate() == 0
