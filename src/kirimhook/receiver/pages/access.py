"""Who may see the pages: anybody on this machine, by its own name; or whoever has the token.

Without a token the pages are for a loopback address alone. There every program and every web page that a browser of
this machine shows can connect, so the Host header has to name this machine (a page elsewhere whose name was made to
point here says its own), no proxy may have passed the request on, and every form carries a token of these pages. A name
that the operator allowed may be a proxy's: whom that lets in is the operator's business.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kirimhook.pages.csrf import Tokens, same_origin
from kirimhook.receiver.pages.loopback import is_loopback
from kirimhook.receiver.pages.tries import Tries

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request
    from starlette.responses import Response

COOKIE = "kirimhook_inbox"
SECURE_COOKIE = "__Host-kirimhook_inbox"
"""Over TLS, as a proxy says. The prefix has the browser refuse it from anywhere but this host, over TLS."""
SESSION_SECONDS = 12 * 3600
_MOST_ENDED = 10_000
_PROXIED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip")
_OWN_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
OPEN = "loopback"
"""What the forms of pages without a token are bound to: there are no sessions to tell apart."""
SIGNING_IN = "sign-in"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A page that is not shown, and why. `title` and `text` are for people."""

    status: int
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who was let in. `binding` is what his forms are bound to; None: he has no browser, and proves himself anew each
    time. `who` stands on the page, with a way to sign out; None where there is nothing to sign out of."""

    binding: str | None
    who: str | None


class Door:
    """One for the pages of an admin port."""

    def __init__(self, host: str, token: str | None, allowed: tuple[str, ...], clock: Callable[[], float]) -> None:
        """`host` is the address that the port is bound to; `clock` gives seconds since the epoch."""
        self._is_loopback = is_loopback(host)
        self._own = _OWN_NAMES | {_plain(host)}
        self._allowed = {_plain(name) for name in allowed} - {""}
        self._token = token
        self._clock = clock
        secret = secrets.token_bytes(32) if token is None else _derived(token, "csrf")
        self._tokens = Tokens(secret)
        self._key = None if token is None else _derived(token, "session")
        self._ended: dict[str, float] = {}
        self.tries = Tries()

    @property
    def asks_token(self) -> bool:
        return self._token is not None

    def refuse(self, request: Request) -> Refusal | None:
        """Why nobody can be let in with such a request, whoever he is. With a token: for no reason."""
        if self._token is not None:
            return None
        if not self._is_loopback:
            text = (
                "This admin port can be reached from other machines, so its pages ask for a token, and none was set. "
                "Start with --admin-token-file FILE (or KIRIMHOOK_ADMIN_TOKEN), or bind it to 127.0.0.1."
            )
            return Refusal(403, "These pages need a token", text)
        hosts = request.headers.getlist("host")
        name = _name(hosts[0]) if len(hosts) == 1 else ""
        if name in self._allowed:
            return None
        if name not in self._own:
            text = (
                "This was asked for under a name that is not this machine's own. Use 127.0.0.1 or localhost, or start "
                "with --admin-allow-host NAME for a name that you trust."
            )
            return Refusal(400, "Not under this name", text)
        if any(name in request.headers for name in _PROXIED):
            text = (
                "A proxy passed this request on, so it may come from anywhere. Start with --admin-token-file FILE: "
                "then these pages ask who it is. Or with --admin-allow-host NAME, where the proxy asks."
            )
            return Refusal(403, "These pages need a token", text)
        return None

    def visitor(self, request: Request) -> Visitor | None:
        """Who it is, by the session's cookie or `Authorization: Bearer`; None: nobody who is known."""
        if self._token is None:
            return Visitor(OPEN, None)
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return Visitor(None, None) if self.knows(given.strip(), client_of(request)) else None
        session = request.cookies.get(self._cookie(request), "")
        return Visitor(session, "operator") if self._is_session(session) else None

    def knows(self, given: str, client: str) -> bool:
        """Whether it is the token. A client that was wrong too often is not even listened to: see `tries`."""
        now = self._clock()
        if self._token is None or self.tries.wait(client, now):
            return False
        if hmac.compare_digest(given.encode("utf-8", "surrogatepass"), self._token.encode()):
            return True
        self.tries.wrong(client, now)
        return False

    def wait(self, request: Request) -> int:
        """Seconds until the client may try again; 0: now."""
        return self.tries.wait(client_of(request), self._clock())

    def csrf(self, binding: str | None) -> str:
        return "" if binding is None else self._tokens.make(binding)

    def is_meant(self, request: Request, binding: str | None, given: str) -> bool:
        """Whether a form was sent from a page of ours. Who proves himself by a header needs no form."""
        return binding is None or (same_origin(request) and self._tokens.check(binding, given))

    def let_in(self, request: Request, response: Response) -> None:
        """Begin a session of `SESSION_SECONDS`."""
        said = f"{int(self._clock()) + SESSION_SECONDS}.{secrets.token_urlsafe(16)}"
        self._set(request, response, f"{said}.{self._mac(said)}", SESSION_SECONDS)

    def let_out(self, request: Request, response: Response) -> None:
        """End the session of this browser; its cookie is worth nothing from now on, whoever has a copy."""
        session = request.cookies.get(self._cookie(request), "")
        if self._is_session(session):
            now = self._clock()
            self._ended = {known: until for known, until in self._ended.items() if until > now}
            while len(self._ended) >= _MOST_ENDED:
                del self._ended[next(iter(self._ended))]
            self._ended[session] = now + SESSION_SECONDS
        self._set(request, response, "", 0)

    def _is_session(self, session: str) -> bool:
        said, _, mac = session.rpartition(".")
        until = said.partition(".")[0]
        if not hmac.compare_digest(mac.encode(), self._mac(said).encode()):
            return False
        return int(until) > self._clock() and session not in self._ended

    def _mac(self, said: str) -> str:
        return hmac.digest(self._key or b"", said.encode(), hashlib.sha256).hex()

    def _cookie(self, request: Request) -> str:
        return SECURE_COOKIE if _is_secure(request) else COOKIE

    def _set(self, request: Request, response: Response, value: str, seconds: int) -> None:
        response.set_cookie(
            self._cookie(request),
            value,
            max_age=seconds,
            path="/",
            secure=_is_secure(request),
            httponly=True,
            samesite="strict",
        )


def client_of(request: Request) -> str:
    """Address of the client, or of the proxy before us."""
    return request.client.host if request.client else ""


def _name(host: str) -> str:
    """The name in a Host header, without its port: lower case, an IPv6 address without brackets."""
    name = host.strip().lower()
    if name.startswith("["):
        return name[1:].partition("]")[0]
    return _plain(name.partition(":")[0])


def _plain(name: str) -> str:
    return name.lower().strip("[]").rstrip(".")


def _derived(token: str, use: str) -> bytes:
    return hmac.digest(token.encode(), f"kirimhook.inbox.{use}".encode(), hashlib.sha256)


def _is_secure(request: Request) -> bool:
    """Whether the browser talks TLS to a proxy. Who forges the header hurts only himself."""
    return request.headers.get("x-forwarded-proto", "").strip().lower() == "https"
