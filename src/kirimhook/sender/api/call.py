"""One call that was let in: whose it is, what it brought, and how it is answered."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any

from kirimhook.contract.errors import ApiError
from kirimhook.sender.api.answers import answer, one, several
from kirimhook.sender.api.strict import canonical
from kirimhook.sender.service import Once

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastapi import Request, Response

    from kirimhook.contract.codec import Resource
    from kirimhook.sender.service import Caller, Page, Sender, Tenant

KEY_HEADER = "idempotency-key"
MAX_KEY_CHARS = 255
_RAW_HEADERS = ("x-kirim-source", "x-kirim-event", "x-kirim-event-id")


class Call:
    """`body` and, where it is JSON, `value` are there once they have been read."""

    __slots__ = ("body", "caller", "request", "request_id", "sender", "value")

    def __init__(self, request: Request, request_id: str, sender: Sender, caller: Caller) -> None:
        self.request = request
        self.request_id = request_id
        self.sender = sender
        self.caller = caller
        self.body = b""
        self.value: Any = None

    @property
    def tenant(self) -> Tenant:
        """All that this caller may see."""
        return self.sender.tenant(self.caller.organisation_id)

    def once(self, status: int, render: Callable[[Any], bytes] | None = None) -> Tenant:
        """The same, for a POST: what it does under an Idempotency-Key is done once, with the answer `render` makes."""
        key = self._key()
        if key is None:
            return self.tenant
        once = Once(key, self._fingerprint(), status, render or self.one)
        return self.sender.tenant(self.caller.organisation_id, once)

    def one(self, resource: Resource) -> bytes:
        return one(resource, self.request_id)

    def all(self, resources: list[Any]) -> bytes:
        """The body that answers with a list that has no further page."""
        return several(resources, None, self.request_id)

    def answer(self, resource: Resource, status: int = 200) -> Response:
        return answer(status, self.one(resource))

    def page(self, page: Page[Any]) -> Response:
        return answer(200, several(page.items, page.next_cursor, self.request_id))

    def _key(self) -> str | None:
        given = self.request.headers.getlist(KEY_HEADER)
        if not given:
            return None
        key = given[0]
        if len(given) > 1 or not 0 < len(key) <= MAX_KEY_CHARS or not (key.isascii() and key.isprintable()):
            raise ApiError(
                "invalid_field_value",
                f"must be one text of 1 to {MAX_KEY_CHARS} printable ASCII characters",
                param="Idempotency-Key",
            )
        return key

    def _fingerprint(self) -> bytes:
        """What makes two requests the same: method, path, and what the body says."""
        request = self.request
        parts = [request.method, request.scope["path"], *(request.headers.get(name, "") for name in _RAW_HEADERS)]
        said = canonical(self.value) if self.value is not None else self.body
        return sha256("\n".join(parts).encode() + b"\n" + said).digest()
