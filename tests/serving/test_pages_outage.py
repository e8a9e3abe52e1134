"""Pages while the inbox's server is away, of one process and of a supervisor with a handle of its own: they say so
without a password, nothing falls, and when it is back they show it.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from kirimhook.backends import migrate_inbox
from tests.crash.waiting import until
from tests.serving.processes import post, serve
from tests.serving.servers import PASSWORD, nats, postgresql, with_password

Servers = Callable[[], contextlib.AbstractContextManager[tuple[str, Callable[[], None], Callable[[], None]]]]


@pytest.mark.parametrize(("servers", "workers"), [(postgresql, "2"), (nats, "1")])
def test_pages_say_that_the_server_is_away_and_show_the_inbox_when_it_is_back(
    servers: Servers, workers: str, tmp_path: Path
) -> None:
    with servers() as (url, stop, start):
        migrate_inbox(url)
        stop()
        with serve(tmp_path, "--workers", workers, "--inbox", with_password(url)) as served:
            seen = []

            def status(path: str) -> int:
                code, page = served.admin(path)
                seen.append(page.decode())
                return code

            for path, code in (("/inbox", 200), ("/inbox/events", 503), ("/healthz", 200)):
                assert status(path) == code, path
            assert "Not known" in seen[0]
            assert "The inbox does not answer" in seen[1]
            start()
            until(lambda: post(served.url, "evt_1")[0] == 200, "it takes events")
            until(lambda: status("/inbox/events") == 200, "pages show them")
            until(lambda: "Not known" not in served.admin("/inbox")[1].decode(), "the overview knows")
            stop()
            until(lambda: status("/inbox/events") == 503, "pages say that it is away")
            assert status("/inbox") == 200
            start()
            until(lambda: status("/inbox/events") == 200, "pages show them again")
            assert served.terminate() == 0
            assert not any(PASSWORD in page for page in seen)
            assert PASSWORD not in "\n".join(map(json.dumps, served.log))
