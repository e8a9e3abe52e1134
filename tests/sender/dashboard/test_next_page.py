"""After signing in a browser is sent to a page of the dashboard, whatever the address said."""

from __future__ import annotations

from urllib.parse import unquote, urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kirimhook.sender.dashboard.access import next_page

EVIL = [
    "https://evil.example/dashboard",
    "//evil.example/dashboard",
    "/\\evil.example",
    "/dashboard\\..\\..",
    "\t//evil.example",
    "/dashboard\n//evil.example",
    "/dashboardx",
    "/dashboard/../v1/me",
    "/dashboard/%2e%2e/v1/me",
    "/v1/me",
    "javascript:alert(1)",
    "/dashboard/sign-in",
    "/dashboard/sign-in?next=/dashboard/sign-in",
    "/dashboard/sign-out",
    "/dashboard/é",
    "/dashboard/" + "x" * 3000,
    "",
]
PIECES = ["/", "\\", "//", "/dashboard", "?", "#", "..", ".", "%2E.", "evil.example", "@", ":", "%2f", "\t", "\n", "a"]
TEXTS = st.lists(st.sampled_from(PIECES), max_size=8).map("".join)


@pytest.mark.parametrize("wanted", EVIL)
def test_what_is_no_page_is_the_first_page(wanted: str) -> None:
    assert next_page(wanted) == "/dashboard"
    assert next_page(None) == "/dashboard"


@pytest.mark.parametrize(
    "wanted", ["/dashboard", "/dashboard?window=60", "/dashboard/deliveries?status=dead&cursor=a-_b"]
)
def test_a_page_is_gone_on_to(wanted: str) -> None:
    assert next_page(wanted) == wanted


@given(TEXTS | TEXTS.map("/dashboard".__add__) | st.text(max_size=30).map("/dashboard".__add__))
def test_no_text_leads_away(wanted: str) -> None:
    """Resolved as a browser would: by Python's own urljoin, with a backslash taken for a slash."""
    seen = unquote(next_page(wanted)).replace("\\", "/")
    where = urlsplit(urljoin("https://here.example/dashboard/sign-in", seen))
    assert (where.scheme, where.netloc) == ("https", "here.example")
    assert where.path == "/dashboard" or where.path.startswith("/dashboard/")
