"""`kirimhook sender` serves the dashboard on its own port: a key signs in, whichever process answers then; the API is
as it was; and it stops at once although somebody has a page open.
"""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self
from urllib.parse import urlencode

import httpx
import pytest

from tests.cli.commands import kirimhook
from tests.sender.dashboard.visiting import PREFIX, Page
from tests.serving.senders import SOON, Sending

SIGN_IN = f"{PREFIX}/sign-in"
FORM = {"content-type": "application/x-www-form-urlencoded"}


class Browser:
    """Over real connections, each request one of its own, so that every process gets some."""

    def __init__(self, sending: Sending) -> None:
        started = sending.started()
        self.origin = str(started["url"])
        trusted = ssl.create_default_context(cafile=started.get("ca"))
        alone = httpx.Limits(max_keepalive_connections=0)
        self.client = httpx.Client(base_url=self.origin, verify=trusted, limits=alone, timeout=SOON)

    def get(self, path: str) -> Page:
        return Page(self.client.get(path))

    def post(self, path: str, fields: dict[str, str]) -> Page:
        headers = {**FORM, "origin": self.origin}
        return Page(self.client.post(path, content=urlencode(fields), headers=headers))

    def sign_in(self, key: str) -> Page:
        return self.post(SIGN_IN, {**self.get(SIGN_IN).form(SIGN_IN), "key": key})

    def token(self) -> str:
        """For forms of the session."""
        return str(self.get(f"{PREFIX}/account").form(f"{PREFIX}/sign-out")["csrf"])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()


@pytest.fixture(scope="module")
def sending(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sending]:
    with Sending(tmp_path_factory.mktemp("dashboard"), "--api-only") as sending:
        sending.started()
        yield sending


def test_it_says_where_and_a_key_signs_in_there(sending: Sending) -> None:
    assert sending.started()["dashboard"] == f"{sending.url}{PREFIX}"
    with Browser(sending) as browser:
        assert browser.get("/").place == PREFIX
        assert browser.get(PREFIX).place == SIGN_IN
        assert browser.sign_in(sending.key).place == PREFIX
        page = browser.get(f"{PREFIX}/account")
        assert (page.status, "acme" in page.text) == (200, True)
        for tag, given in page.tags:
            if tag in {"link", "script"}:
                asset = browser.get(given.get("href", given.get("src", "")))
                assert (asset.status, "immutable" in asset.headers["cache-control"]) == (200, True)


def test_the_api_is_beside_it_and_takes_no_session(sending: Sending) -> None:
    with Browser(sending) as browser:
        browser.sign_in(sending.key)
        assert sending.call("GET", "/v1/me").data["name"] == "acme"
        without = browser.client.get("/v1/me")
        assert (without.status_code, without.json()["error"]["code"]) == (401, "missing_api_key")
        nowhere = browser.client.get("/dashboards")
        assert nowhere.json()["error"]["code"] == "resource_not_found"


def test_pages_are_counted_on_the_admin_port(sending: Sending) -> None:
    with Browser(sending) as browser:
        before = sending.metrics()
        browser.get(SIGN_IN)
        after = sending.metrics()
    assert after["kirimhook_sender_pages_total"] == before.get("kirimhook_sender_pages_total", 0) + 1
    assert after["kirimhook_sender_requests_total"] == before["kirimhook_sender_requests_total"]


def test_a_key_that_is_revoked_elsewhere_shuts_its_sessions_out(sending: Sending) -> None:
    organisation = ("--org", "acme", "--database", sending.database, "--json")
    key = kirimhook("sender", "keys", "create", *organisation).data
    with Browser(sending) as browser:
        assert browser.sign_in(key["key"]).status == 303
        assert browser.get(f"{PREFIX}/account").status == 200
        assert kirimhook("sender", "keys", "revoke", key["id"], *organisation).code == 0
        assert browser.get(f"{PREFIX}/account").status == 303


def test_without_a_dashboard_there_is_the_api_alone(tmp_path: Path) -> None:
    with Sending(tmp_path, "--api-only", "--no-dashboard") as sending, Browser(sending) as browser:
        assert "dashboard" not in sending.started()
        for path in ("/", PREFIX, SIGN_IN):
            answer = browser.client.get(path)
            assert (answer.status_code, answer.json()["error"]["code"]) == (404, "resource_not_found")


def test_over_tls_the_cookie_is_for_tls_alone(tmp_path: Path) -> None:
    with Sending(tmp_path, "--api-only", "--tls") as sending, Browser(sending) as browser:
        assert sending.started()["dashboard"].startswith("https://")
        page = browser.sign_in(sending.key)
        [cookie] = [line for line in page.answer.headers.get_list("set-cookie") if line.startswith("__Host-kirimhook=")]
        assert {"Secure", "HttpOnly", "Path=/", "SameSite=strict"} <= set(cookie.split("; "))
        assert browser.get(f"{PREFIX}/account").status == 200


def test_two_processes_share_sessions_and_tokens(tmp_path: Path) -> None:
    with Sending(tmp_path, "--api-only", "--workers", "2") as sending, Browser(sending) as browser:
        browser.sign_in(sending.key)
        assert {browser.get(f"{PREFIX}/account").status for _ in range(40)} == {200}
        answered = [one["counters"]["kirimhook_sender_pages_total"].get("200") for one in sending.status()["processes"]]
        assert len(answered) == 2
        assert all(answered)  # both have answered, or this proves nothing


def test_what_one_machine_ends_has_ended_on_the_other(tmp_path: Path) -> None:
    """Two senders on one database: forms of the one are taken by the other, and a session ends on both at once."""
    with Sending(tmp_path, "--api-only") as first, Browser(first) as here:
        here.sign_in(first.key)
        token, database = here.token(), first.database
        with Sending(tmp_path, "--api-only", "--database", database) as second, Browser(second) as there:
            there.client.cookies.update(here.client.cookies)
            assert there.get(f"{PREFIX}/account").status == 200
            assert there.post(f"{PREFIX}/sign-out", {"csrf": token}).status == 303
            assert here.get(f"{PREFIX}/account").status == 303


def test_it_stops_at_once_although_pages_are_open(tmp_path: Path) -> None:
    with Sending(tmp_path) as sending, Browser(sending) as browser:
        browser.sign_in(sending.key)
        pages = [OpenPage(browser, f"{PREFIX}?live=1") for _ in range(3)]
        for page in pages:
            page.wait_told()
        began = time.monotonic()
        assert sending.terminate() == 0
        assert time.monotonic() - began < 3  # the server alone would have waited for 10 seconds
        for page in pages:
            assert page.ended_well()


class OpenPage:
    """A live page, read on a thread of its own until the server ends it."""

    def __init__(self, browser: Browser, path: str) -> None:
        self._told = threading.Event()
        self._well = False
        self._thread = threading.Thread(target=self._read, args=(browser, path))
        self._thread.start()

    def wait_told(self) -> None:
        assert self._told.wait(SOON)

    def ended_well(self) -> bool:
        """Whether the answer came to its end, and was not cut off."""
        self._thread.join(SOON)
        return self._well

    def _read(self, browser: Browser, path: str) -> None:
        with browser.client.stream("GET", path) as answer:
            for line in answer.iter_lines():
                if line.startswith("data: ") and json.loads(line[6:]):
                    self._told.set()
        self._well = True
