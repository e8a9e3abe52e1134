"""A browser's window onto pages, which remembers whatever a page must not do: complain, or ask another host."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, ConsoleMessage, Page, Request

AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8")
SHOTS = Path("build/screens")
"""Where the pictures are kept, from the root of the repository."""
WIDTHS = (390, 1440)
THEMES = ("light", "dark")
HEIGHT = 900
AUDITED = {("light", 390), ("dark", 1440)}
"""Where axe looks too: each width and each theme once."""
GRAVE = ("serious", "critical")
RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")


class Window:
    """`page` is Playwright's. `faults` is empty as long as every page behaves."""

    def __init__(self, context: BrowserContext, origin: str, *, javascript: bool = True) -> None:
        self.origin = origin
        self.javascript = javascript
        self.faults: list[str] = []
        self.page: Page = context.new_page()
        context.on("console", self._said)
        context.on("weberror", lambda error: self.faults.append(f"uncaught: {error.error}"))
        context.on("request", self._asked)

    def open(self, path: str) -> None:
        """A page of the origin, loaded."""
        self.page.goto(self.origin + path)

    def examine(self, name: str) -> None:
        """Look at the page as it is, at both widths and in both themes: pictures, no sideways scrolling; and axe.

        axe is a script, so it does not look at pages without them.
        """
        SHOTS.mkdir(parents=True, exist_ok=True)
        for theme in THEMES:
            self.page.emulate_media(color_scheme="light" if theme == "light" else "dark")
            for width in WIDTHS:
                self.page.set_viewport_size({"width": width, "height": HEIGHT})
                place = f"{name} at {width} px, {theme}"
                self._note_overflow(place)
                if self.javascript and (theme, width) in AUDITED:
                    self._note_barriers(place)
                self.page.screenshot(path=SHOTS / f"{name}-{width}-{theme}.png", full_page=True)

    def _note_overflow(self, place: str) -> None:
        wide = self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        if wide > 0:
            self.faults.append(f"{place}: {wide} px too wide")

    def _note_barriers(self, place: str) -> None:
        """What axe-core finds, of grave weight."""
        self.page.evaluate(AXE)
        script = "tags => axe.run(document, {runOnly: {type: 'tag', values: tags}})"
        for found in self.page.evaluate(script, list(RULES))["violations"]:
            if found["impact"] in GRAVE:
                where = [node["target"] for node in found["nodes"]][:3]
                self.faults.append(f"{place}: {found['id']}: {found['help']}: {where}")

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.faults.append(f"console: {message.text}")

    def _asked(self, request: Request) -> None:
        scheme, host, *_ = urlsplit(request.url)
        if scheme not in {"data", "blob"} and f"{scheme}://{host}" != self.origin:
            self.faults.append(f"asked another host: {request.url}")
