"""Every page that either table of routes has is looked at, with something in it: both widths, both themes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from playwright.sync_api import expect

from kirimhook.receiver.pages import routes as inbox_routes
from kirimhook.sender.dashboard import routes as dashboard_routes
from kirimhook.testing.endpoint import Request, Respond
from tests.browser.conftest import Look
from tests.browser.scenes import INBOX_APP, deliver, sign_in
from tests.browser.window import Window
from tests.serving.processes import serve
from tests.serving.senders import Sending, consumer

pytestmark = pytest.mark.needs("chromium")

FILES = {"/deliveries/{delivery_id}/body", "/deliveries/{delivery_id}/curl", "/events/{number}/body"}
"""What is saved, and never shown."""
TOKEN = "a-token-of-the-operator-s-own-choice"
FINE, BAD = 12, 3


def test_every_page_of_the_dashboard(look: Look, tmp_path: Path) -> None:
    with (
        consumer(choose=answer) as endpoint,
        Sending(tmp_path, *endpoint.trusting, "--schedule", "0,300,900") as sending,
    ):
        ids = filled(sending, endpoint.url)
        window = look(sending.url)
        sign_in(window, sending.key)
        page = window.page
        expect(page.locator(".tile").first).to_contain_text(str(FINE + BAD + 1))  # the engine's sums are written
        window.open("/dashboard/replays/new?status=dead")
        page.get_by_role("button", name=re.compile("^Replay")).click()
        expect(page.locator("main .badge-done")).to_be_visible()
        ids["run_id"] = page.url.rpartition("/")[2]
        walk(window, "dashboard", [one.path for one in dashboard_routes.ROUTES if one.method == "GET"], ids)
        assert window.faults == []


def answer(request: Request) -> Respond:
    event_id = request.header("X-Kirim-Event-Id") or ""
    if "bad" in event_id:
        return Respond(422, body=b'{"error": "no such customer"}')
    if "later" in event_id:
        return Respond(503, retry_after=120, body=b"down for maintenance")
    return Respond()


def filled(sending: Sending, url: str) -> dict[str, str]:
    """Deliveries of every state, and what the paths need."""
    subscription = sending.subscribe(url, "contact.created")["id"]
    secret = sending.call("POST", f"/v1/webhook_subscriptions/{subscription}/secrets", {}).data["id"]
    held = sending.subscribe(f"{url}/second", "contact.updated")["id"]
    sending.call("PATCH", f"/v1/webhook_subscriptions/{held}", {"status": "disabled"})
    sending.publish(*(f"evt_{number}" for number in range(FINE)), *(f"evt_bad_{number}" for number in range(BAD)))
    sending.publish("evt_later")
    sending.call("POST", "/v1/events", {"events": [{"type": "contact.updated", "id": "evt_held", "data": {}}]})
    sending.logged("dead_letter", event_id=f"evt_bad_{BAD - 1}")
    dead = sending.call("GET", f"/v1/webhook_deliveries?event_id=evt_bad_{BAD - 1}").data[0]["id"]
    return {"subscription_id": subscription, "secret_id": secret, "delivery_id": dead}


def test_every_page_of_an_inbox(look: Look, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(INBOX_APP)
    (tmp_path / "token").write_text(TOKEN)
    with serve(tmp_path, "--attempts", "1", "--admin-token-file", "token") as serving:
        for number in range(FINE):
            assert deliver(serving.url, number) == 200
        window = look(serving.started()["admin_url"])
        page = window.page
        window.open("/")
        window.examine("inbox-sign-in")
        page.get_by_label("Token").fill(TOKEN)
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("button", name="Sign out")).to_be_visible()
        expect(page.locator(".tile", has_text="Parked").get_by_role("link", name=str(FINE))).to_be_visible()
        window.open("/inbox/events?state=parked")
        href = page.locator("main table a[href*='/events/']").first.get_attribute("href") or ""
        window.open("/inbox/put-back/new?state=parked")
        page.get_by_role("button", name=re.compile("^Put back")).click()
        expect(page.locator("main .badge-done")).to_be_visible()
        ids = {"number": href.rpartition("/")[2], "id": page.url.rpartition("/")[2]}
        walk(window, "inbox", [one.path for one in inbox_routes.ROUTES if one.method == "GET"], ids)
        assert window.faults == []


def walk(window: Window, half: str, paths: list[str], ids: Mapping[str, str]) -> None:
    """Look at each, but for files. A path whose parameter has no id ends it with KeyError."""
    for path in paths:
        if path not in FILES:
            window.open(f"/{half}{path.format_map(ids)}")
            expect(window.page.locator("h1")).to_be_visible()
            window.examine(half + re.sub(r"\{(\w+?)(_id)?\}", r"one-\1", path).replace("/", "-"))
