"""Where the pages are, and what they have in common."""

from __future__ import annotations

from kirimhook.pages.site import NavItem

PREFIX = "/inbox"
SIGN_IN = PREFIX + "/sign-in"
SIGN_OUT = PREFIX + "/sign-out"
NAME = "kirimhook inbox"
NAV = (
    NavItem("Overview", PREFIX, "overview"),
    NavItem("Events", PREFIX + "/events", "events"),
    NavItem("Put back", PREFIX + "/put-back", "put-back"),
)
