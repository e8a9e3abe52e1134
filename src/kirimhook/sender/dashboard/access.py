"""Who comes in: cookies, tokens against forged requests, and how often somebody may try a key."""

from __future__ import annotations

import secrets
from ipaddress import IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING, NamedTuple

from kirimhook.pages.csrf import Tokens, same_origin
from kirimhook.sender.dashboard.place import PREFIX, SIGN_IN, SIGN_OUT
from kirimhook.sender.limits import Bucket

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request
    from starlette.responses import Response

    from kirimhook.sender.service import Caller, Sender, SignedIn

COOKIE = "kirimhook_session"
SECURE_COOKIE = "__Host-kirimhook"
"""Over TLS. The prefix has the browser refuse it from anywhere but this host, over TLS."""
FORM_COOKIE = "kirimhook_sign_in"
FORM_SECONDS = 3600
"""How long a page to sign in with may be left open."""
TRIES = 20
"""A minute, from one address; of IPv6, from one /64."""
TRIES_OF_ALL = 200
MAX_NEXT = 2048
_CSRF = "csrf"
_ODD = (" ", "\\", '"', "<", ">", "..", "%2e")
"""What no address of ours holds; some of it would lead a browser elsewhere."""


class Wait(NamedTuple):
    """Too many tries: `seconds` until the next."""

    seconds: int


class Door:
    """One for a dashboard."""

    def __init__(self, sender: Sender, clock: Callable[[], float], *, secure: bool) -> None:
        self._sender = sender
        self._clock = clock
        self._secure = secure
        self._tokens = tuple(Tokens(key) for key in sender.context.sealer.derived(_CSRF))
        self._tries = Bucket(TRIES)
        self._tries_of_all = Bucket(TRIES_OF_ALL)

    async def caller(self, request: Request) -> Caller | None:
        """Who is signed in."""
        token = self.token(request)
        return None if token is None else await self._sender.session(token)

    def token(self, request: Request) -> str | None:
        """What the session's cookie holds. One that was set without TLS says nothing over TLS."""
        return request.cookies.get(self._cookie(request))

    def csrf(self, binding: str) -> str:
        """The token for forms of this session, or of this page to sign in with."""
        return self._tokens[0].make(binding)

    def is_meant(self, request: Request, binding: str | None, given: str) -> bool:
        """Whether a form came from a page of ours that was given out to the same browser."""
        if not binding or not same_origin(request):
            return False
        return any(tokens.check(binding, given) for tokens in self._tokens)

    def let_try(self, client: str) -> Wait | None:
        """Count a try from this address; how long to wait where there were too many."""
        now = self._clock()
        for bucket, whom in ((self._tries, _network(client)), (self._tries_of_all, "")):
            verdict = bucket.take(whom, now)
            if not verdict.admitted:
                return Wait(verdict.wait)
        return None

    def form_binding(self, request: Request) -> str:
        """What the page to sign in with is bound to: the cookie that came, or a new one."""
        return request.cookies.get(FORM_COOKIE) or secrets.token_urlsafe(24)

    def keep_form_binding(self, request: Request, response: Response, binding: str) -> None:
        self._set(request, response, FORM_COOKIE, binding, FORM_SECONDS, path=SIGN_IN)

    def let_in(self, request: Request, response: Response, signed_in: SignedIn) -> None:
        self._set(request, response, self._cookie(request), signed_in.token.reveal(), signed_in.seconds)
        self._set(request, response, FORM_COOKIE, "", 0, path=SIGN_IN)

    def let_out(self, request: Request, response: Response) -> None:
        self._set(request, response, self._cookie(request), "", 0)

    def _cookie(self, request: Request) -> str:
        return SECURE_COOKIE if self.is_secure(request) else COOKIE

    def is_secure(self, request: Request) -> bool:
        """Whether the browser talks TLS, to us or to a proxy. Who forges the header hurts only himself."""
        said = request.headers.get("x-forwarded-proto", "").partition(",")[0]  # several proxies: the first one's word
        return self._secure or said.strip().lower() == "https"

    def _set(  # what a cookie is made of
        self, request: Request, response: Response, name: str, value: str, seconds: int, path: str = "/"
    ) -> None:
        secure = self.is_secure(request)
        response.set_cookie(name, value, max_age=seconds, path=path, secure=secure, httponly=True, samesite="strict")


def next_page(wanted: str | None) -> str:
    """Where to go after signing in: `wanted` if it is a page of the dashboard, else the first page."""
    text = wanted or ""
    inside = text == PREFIX or text.startswith((PREFIX + "/", PREFIX + "?"))
    plain = text.isascii() and text.isprintable() and not any(sign in text.lower() for sign in _ODD)
    if not inside or not plain or len(text) > MAX_NEXT or text.startswith((SIGN_IN, SIGN_OUT)):
        return PREFIX
    return text


def client_of(request: Request) -> str:
    """Address of the client, or of the proxy before us."""
    return request.client.host if request.client else ""


def _network(client: str) -> str:
    try:
        address = ip_address(client)
    except ValueError:
        return client
    return str(ip_network((address, 64), strict=False)) if isinstance(address, IPv6Address) else client
