"""The dashboard of a sender: what an organisation sees of its subscriptions and deliveries, and does about them.

`app` the application, `access` and `signing` who comes in, `inside` what every visit passes, `visit` what a page works
with, `routes` the table of all pages.
"""

from __future__ import annotations

from kirimhook.sender.dashboard.app import Dashboard, create_dashboard

__all__ = ["Dashboard", "create_dashboard"]
