"""What the scenarios share: who signs in, what is put into an inbox, and text that a page must not take for its own."""

from __future__ import annotations

import json
import urllib.request
from dataclasses import replace

from playwright.sync_api import expect

from kirimhook.contract import samples
from kirimhook.testing.requests import signed_request
from tests.browser.window import Window
from tests.serving.processes import SECRET, SOON

EVIL = "</pre></code><script>document.title='taken'</script><img src=x onerror=document.title='taken'>"
INBOX_APP = f"""
from pathlib import Path
from kirimhook import Event, Hooks, Park

hooks = Hooks()


@hooks.on("contact.created")
def contact(event: Event) -> Park | None:
    if not Path("mended").exists():
        raise LookupError("no such customer: {EVIL}")
    return None
"""
"""Parks every contact, until there is a file `mended`."""


def sign_in(window: Window, key: str) -> None:
    window.open("/")
    window.page.get_by_label("API key").fill(key)
    window.page.get_by_role("button", name="Sign in").click()
    expect(window.page.get_by_role("button", name="Sign out")).to_be_visible()


def deliver(url: str, number: int) -> int:
    """An event of the type that the handler takes, with markup where its data are; the answer's status."""
    sample = samples.load("contact.created").renewed(event_id=f"evt_{number}")
    document = json.loads(sample.body)
    document["data"]["note"] = EVIL
    signed = signed_request(replace(sample, body=json.dumps(document).encode()), SECRET)
    with urllib.request.urlopen(urllib.request.Request(url, signed.body, signed.headers), timeout=SOON) as answer:
        return int(answer.status)
