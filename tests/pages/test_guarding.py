"""Forms from elsewhere are known as such, tokens fit one session only, forms are bounded, and headers guard all."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from base64 import urlsafe_b64encode
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from kirimhook.pages.answers import HEADERS, Guarded, is_local, see_other
from kirimhook.pages.csrf import Tokens, same_origin
from kirimhook.pages.forms import FORM, BadForm, Form, read_form
from tests.pages.gallery import PREFIX, Gallery

SECRET = b"0123456789abcdef"
WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"))


def request(headers: dict[str, str], chunks: tuple[bytes, ...] = ()) -> Request:
    left = list(chunks)

    async def receive() -> dict[str, Any]:
        body = left.pop(0) if left else b""
        return {"type": "http.request", "body": body, "more_body": bool(left)}

    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "method": "POST", "headers": raw}, receive)


@given(st.text(st.characters(exclude_categories=["Cs"])), st.text())
def test_a_token_fits_its_session_and_no_other_text_does(binding: str, other: str) -> None:
    tokens = Tokens(SECRET)
    token = tokens.make(binding)
    wanted = hmac.new(SECRET, b"kirimhook.csrf\0" + binding.encode(), hashlib.sha256).digest()
    assert token == urlsafe_b64encode(wanted).decode().rstrip("=")
    assert tokens.check(binding, token)
    assert tokens.check(binding, other) is (other == token)
    assert not tokens.check(binding + "x", token)
    assert not Tokens(SECRET + b"x").check(binding, token)


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        Tokens(b"short")


@pytest.mark.parametrize(
    ("headers", "ours"),
    [
        ({}, True),
        ({"sec-fetch-site": "same-origin"}, True),
        ({"sec-fetch-site": "none"}, True),
        ({"sec-fetch-site": "same-site"}, False),
        ({"sec-fetch-site": "cross-site", "origin": "https://us.test"}, False),
        ({"origin": "https://us.test"}, True),
        ({"origin": "http://us.test:80"}, True),
        ({"origin": "https://US.test"}, True),
        ({"origin": "https://us.test:8443"}, False),
        ({"origin": "https://us.test.evil.test"}, False),
        ({"origin": "https://evil.test", "referer": "https://us.test/"}, False),
        ({"origin": "null"}, False),
        ({"origin": ""}, False),
        ({"origin": "https://us.test:port"}, False),
        ({"referer": "https://us.test/dashboard"}, True),
        ({"referer": "https://evil.test/us.test"}, False),
    ],
)
def test_where_a_request_comes_from(headers: dict[str, str], ours: bool) -> None:
    assert same_origin(request({"host": "us.test", **headers})) is ours


def test_without_a_host_of_ours_nothing_is_of_ours() -> None:
    assert not same_origin(request({"origin": "https://us.test"}))
    assert not same_origin(request({"host": "", "origin": "null"}))


def form(body: bytes, kind: str = FORM, *, most: int = 64 * 1024) -> Form:
    half = len(body) // 2
    return asyncio.run(read_form(request({"content-type": kind}, (body[:half], body[half:])), most=most))


@given(st.lists(st.tuples(WORDS, WORDS), max_size=10))
def test_what_a_browser_sends_is_read_as_it_was_typed(pairs: list[tuple[str, str]]) -> None:
    read = form(urlencode(pairs).encode(), f"{FORM}; charset=UTF-8")
    assert dict(read.typed()) == {name: [value for other, value in pairs if other == name] for name, _ in pairs}
    assert all(read.many(name) == values for name, values in read.typed().items())


def test_the_lines_of_a_text_end_as_they_do_here() -> None:
    assert form(b"a=1%0D%0A2").one("a") == "1\n2"


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"a=1", "application/json", 415),
        (b"a=1", "multipart/form-data; boundary=x", 415),
        (b"a=" + b"x" * 100, FORM, 413),
        (b"a=%FF", FORM, 400),
        (b"a=\xff", FORM, 400),
        (b"a=%00", FORM, 400),
        (b"a", FORM, 400),
    ],
)
def test_what_is_no_form_is_refused(body: bytes, kind: str, status: int) -> None:
    with pytest.raises(BadForm) as refused:
        form(body, kind, most=100)
    assert refused.value.status == status


def test_too_many_fields_are_refused() -> None:
    assert len(form(b"&".join([b"a=1"] * 1000)).many("a")) == 1000
    with pytest.raises(BadForm, match="not a form"):
        form(b"&".join([b"a=1"] * 1001))


def test_a_field_comes_once() -> None:
    read = form(b"a=1&b=2&b=3")
    assert (read.one("a"), read.one("c", "else"), read.many("b"), read.many("c")) == ("1", "else", ["2", "3"], [])
    assert read.allow("a", "b") is read
    for name in ("b", "c"):
        with pytest.raises(BadForm, match=f"'{name}'"):
            read.one(name)
    with pytest.raises(BadForm, match="unknown field 'b'"):
        read.allow("a")


@given(st.one_of(st.text(), st.text(st.sampled_from("/\\.:@#?x \t\n")).map(lambda end: "/" + end)))
def test_only_places_on_this_site_are_gone_to(url: str) -> None:
    if is_local(url):
        assert urlsplit(urljoin("https://us.test/a/b", url)).netloc == "us.test"
        assert see_other(url).status_code == 303
    else:
        with pytest.raises(ValueError, match="not a place on this site"):
            see_other(url)


@pytest.mark.parametrize("url", ["//evil.test", "/\\evil.test", "https://evil.test", "", "x", "/\n/evil.test", "/\t/x"])
def test_other_places_are_not(url: str) -> None:
    assert not is_local(url)


async def asked(app: Any, method: str, path: str) -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://us.test") as client:
        return await client.request(method, path)


@pytest.mark.parametrize("path", [PREFIX, f"{PREFIX}/static/none.css", "/nowhere"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE"])
def test_every_answer_is_guarded(method: str, path: str) -> None:
    answer = asyncio.run(asked(Gallery().app, method, path))
    for name, value in HEADERS.items():
        assert answer.headers.get_list(name.decode()) == [value.decode()]
    assert answer.headers["cache-control"] == "no-store"
    assert "unsafe" not in answer.headers["content-security-policy"]


def test_a_head_has_the_headers_of_its_page_and_no_body() -> None:
    gallery = Gallery()
    page, head = (asyncio.run(asked(gallery.app, method, PREFIX)) for method in ("GET", "HEAD"))
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"] == page.headers["content-type"]
    assert page.content


def test_a_page_cannot_take_a_guard_away() -> None:
    async def weak(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"X-Frame-Options", b"ALLOWALL"), (b"Cache-Control", b"private")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"x"})

    answer = asyncio.run(asked(Guarded(weak), "GET", "/"))
    assert answer.headers.get_list("x-frame-options") == ["DENY"]
    assert answer.headers.get_list("cache-control") == ["private"]


@pytest.mark.parametrize("name", ["style.css", "page.js", "icon.svg"])
def test_a_file_is_kept_for_ever_under_a_name_that_changes_with_it(name: str) -> None:
    gallery = Gallery()
    path = gallery.site.asset(name)
    answer = asyncio.run(asked(gallery.app, "GET", path))
    assert answer.status_code == 200
    assert hashlib.sha256(answer.content).hexdigest()[:12] in path
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"


def test_what_is_not_http_goes_through() -> None:
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    asyncio.run(Guarded(app)({"type": "lifespan"}, None, None))  # type: ignore[arg-type]  # nobody calls them
    assert seen == ["lifespan"]


def test_an_error_page_says_what_it_is() -> None:
    gallery = Gallery()
    answer = gallery.site.problem(
        Request(
            {"type": "http", "method": "GET", "path": "/x", "query_string": b"", "headers": [(b"host", b"us.test")]}
        ),
        429,
        "Too <many>",
        "Wait a moment.",
        code="rate_limited",
        headers={"retry-after": "3"},
    )
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "3")
    assert "Too &lt;many&gt;" in str(answer.body, "utf-8")
    assert "rate_limited" in str(answer.body, "utf-8")
