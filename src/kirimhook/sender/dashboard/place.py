"""Where the dashboard is, and what its pages have in common."""

from __future__ import annotations

from kirimhook.pages.site import NavItem

PREFIX = "/dashboard"
SIGN_IN = PREFIX + "/sign-in"
SIGN_OUT = PREFIX + "/sign-out"
ACCOUNT = PREFIX + "/account"
NAME = "kirimhook"
NAV = (
    NavItem("Overview", PREFIX, "overview"),
    NavItem("Subscriptions", f"{PREFIX}/subscriptions", "subscriptions"),
    NavItem("Webhook Deliveries", f"{PREFIX}/deliveries", "deliveries"),
    NavItem("Replays", f"{PREFIX}/replays", "replays"),
)
