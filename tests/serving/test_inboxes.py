"""`serve` on every kind of inbox: the URL is all that differs. It says what is promised, starts while a server is away,
refuses what waiting would not help, and shows no password anywhere.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from kirimhook.backends import migrate_inbox
from tests.cli.conftest import places
from tests.cli.inboxes import KINDS, Places
from tests.crash.waiting import until
from tests.serving.processes import Serving, post, serve
from tests.serving.servers import PASSWORD, nats, postgresql, with_password

__all__ = ["places"]


def said(served: Serving) -> str:
    return "\n".join(map(json.dumps, served.log))


@pytest.mark.parametrize("kind", KINDS)
def test_it_receives_handles_and_is_seen(kind: str, places: Places, tmp_path: Path) -> None:
    url = with_password(places.made(kind, tmp_path))
    with serve(tmp_path, "--workers", "2", "--inbox", url) as served:
        opened = served.logged("inbox_opened")
        assert opened["inbox"] == url.replace(PASSWORD, "***")
        assert opened["promise"]
        assert post(served.url, "evt_1") == (200, b"ok")
        served.prints("handled evt_1")
        assert post(served.url, "evt_1") == (200, b"duplicate-ack")
        assert served.admin("/readyz")[0] == 200
        pages = [served.admin(page)[1].decode() for page in ("/status", "/metrics", "/readyz")]
        assert re.search(r'^kirimhook_requests_total\{result="fresh"\} 1.0$', pages[1], re.MULTILINE)
        assert served.terminate() == 0
        states = json.loads(pages[0])["inbox"]["states"]
        assert sum(states.values()) == states["done"] + states["running"] == 1  # it may not have been settled yet
        assert PASSWORD not in said(served)
        assert not any(PASSWORD in page for page in pages)


@pytest.mark.parametrize("servers", [postgresql, nats])
def test_it_starts_while_its_server_is_away_and_serves_when_it_is_back(
    servers: Callable[[], contextlib.AbstractContextManager[tuple[str, Callable[[], None], Callable[[], None]]]],
    tmp_path: Path,
) -> None:
    with servers() as (url, stop, start):
        migrate_inbox(url)
        stop()
        with serve(tmp_path, "--inbox", with_password(url)) as served:
            awaited = served.logged("inbox_awaited")
            assert awaited["inbox"] == with_password(url).replace(PASSWORD, "***")
            assert post(served.url, "evt_1")[0] == 503
            status, why = served.admin("/readyz")
            assert (status, b"storage" in why) == (503, True)
            start()
            served.logged("inbox_opened")
            assert post(served.url, "evt_1") == (200, b"ok")
            served.prints("handled evt_1")
            stop()
            until(lambda: served.admin("/readyz")[0] == 503, "it is not ready")
            assert post(served.url, "evt_2")[0] == 503
            start()
            until(lambda: post(served.url, "evt_2")[0] == 200, "it takes events again")
            until(lambda: served.admin("/readyz")[0] == 200, "it is ready")
            assert served.terminate() == 0
            assert PASSWORD not in said(served)


@pytest.mark.parametrize("kind", ["postgresql", "nats"])
@pytest.mark.parametrize("command", ["serve", "work"])
def test_an_inbox_that_is_not_migrated_is_refused_with_the_command_to_run(
    kind: str, command: str, places: Places, tmp_path: Path
) -> None:
    url = with_password(places.url(kind, tmp_path))
    with Serving(tmp_path, command, "app:hooks", "--inbox", url, "--admin-port", "0") as served:
        assert served.wait() == 1
        shown = url.replace(PASSWORD, "***")
        message = f"kirimhook: the inbox {shown} is not migrated: run kirimhook migrate --inbox {shown}"
        assert message in [line.get("line") for line in served.log]
        assert PASSWORD not in said(served)


TRANSACTIONAL = """
from kirimhook import Event, Hooks

hooks = Hooks()


@hooks.on("*", transaction=True)
def book(event: Event, tx: object) -> None: ...
"""


def test_handlers_that_need_a_transaction_are_refused_where_there_is_none(places: Places, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(TRANSACTIONAL)
    with serve(tmp_path, "--inbox", places.made("nats", tmp_path)) as served:
        assert served.wait() == 2
        lines = [str(line.get("line")) for line in served.log]
        assert any("transaction=True needs an inbox with transactions" in line for line in lines)
