"""Each test of pages has a browser and windows of its own, and none may have seen a fault at its end.

Playwright runs an event loop in the test's thread from the first window on: what needs one of its own comes before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.browser.chrome import find
from tests.browser.window import Window

PATIENCE = 15_000
"""Milliseconds that a page has for what it is waited for."""

Look = Callable[..., Window]


@pytest.fixture
def look() -> Iterator[Look]:
    """`look(origin, javascript=True)` opens a window onto a server, with cookies of its own."""
    windows: list[Window] = []
    browsers: list[Browser] = []
    with ExitStack() as stack:

        def browser() -> Browser:
            if not browsers:
                playwright = stack.enter_context(sync_playwright())
                arguments = ["--no-sandbox", "--disable-dev-shm-usage"]
                browsers.append(playwright.chromium.launch(executable_path=find(), args=arguments))
                stack.callback(browsers[0].close)
            return browsers[0]

        def opened(origin: str, *, javascript: bool = True) -> Window:
            context = browser().new_context(
                viewport={"width": 1440, "height": 900},
                java_script_enabled=javascript,
                ignore_https_errors=True,
                reduced_motion="reduce",
                timezone_id="Asia/Jakarta",
                locale="en-GB",
            )
            context.set_default_timeout(PATIENCE)
            stack.callback(context.close)
            windows.append(Window(context, origin, javascript=javascript))
            return windows[-1]

        yield opened
        assert [fault for window in windows for fault in window.faults] == []
