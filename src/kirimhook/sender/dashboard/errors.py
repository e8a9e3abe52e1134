"""What goes wrong with a page, as a page: whose fault it is, what to do, and for a defect an id to ask us about."""

from __future__ import annotations

import os
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple

from starlette.exceptions import HTTPException

from kirimhook.contract import ids
from kirimhook.contract.errors import ApiError
from kirimhook.pages.forms import BadForm
from kirimhook.sender.dashboard.inside import NotMeantError, SignedOutError
from kirimhook.sender.limits import LimitExceeded
from kirimhook.sender.service import StorageUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request
    from starlette.responses import Response

    from kirimhook.observe import Observer
    from kirimhook.pages.site import Site

_TITLES = {
    400: "That cannot be asked",
    401: "Signed out",
    403: "Not taken",
    404: "Not found",
    405: "Not taken here",
    409: "Not possible as things stand",
    413: "Too large",
    415: "Not taken",
    429: "Too many requests",
    500: "Something went wrong on our side",
    503: "Not available at the moment",
}
NOT_MEANT = "The form was not sent from a page of this session. Go back, load the page again, and send it anew."
SIGNED_OUT = "The session has ended, and nothing was changed. Sign in again, then send the form anew."
NOT_FOUND = "There is nothing at this address."
NO_STORAGE = "The database does not answer. Nothing was changed. Load the page again in a moment."
DEFECT = "Nothing more is known here; the log has it under {}."


class Fault(NamedTuple):
    """An error page."""

    status: int
    text: str
    code: str = ""
    headers: Mapping[str, str] = {}


class Faults:
    """Answers with error pages, and logs what is not the visitor's doing."""

    def __init__(self, site: Site, observer: Observer) -> None:
        self._site = site
        self._observer = observer

    def page(self, request: Request, error: Exception) -> Response:
        """The page for what was raised."""
        status, text, code, headers = self._fault(request, error)
        title = _TITLES.get(status) or HTTPStatus(status).phrase
        return self._site.problem(request, status, title, text, code=code, headers=headers)

    def of_stream(self, error: Exception) -> None:
        """What ended a live page: its browser asks anew, and gets the error page then."""
        if isinstance(error, ApiError):
            return
        if isinstance(error, StorageUnavailable):
            self._observer.event("request_unserved", reason=error.reason, detail=error.detail)
        else:
            self._observer.event("request_failed", error=error)

    def _fault(self, request: Request, error: Exception) -> Fault:
        match error:
            case ApiError():
                headers = {"retry-after": str(error.retry_after)} if isinstance(error, LimitExceeded) else {}
                where = f"{error.param}: " if error.param else ""
                return Fault(error.status, f"{where}{error.message}", error.code, headers)
            case BadForm():
                return Fault(error.status, error.text)
            case SignedOutError():
                return Fault(401, SIGNED_OUT)
            case NotMeantError():
                return Fault(403, NOT_MEANT)
            case HTTPException():
                return Fault(error.status_code, NOT_FOUND, headers=error.headers or {})
            case StorageUnavailable():
                self._observer.event("request_unserved", reason=error.reason, detail=error.detail)
                return Fault(503, NO_STORAGE, "service_unavailable", {"retry-after": str(max(1, error.retry_after))})
        return self._defect(request, error)

    def _defect(self, request: Request, error: Exception) -> Fault:
        request_id = ids.make(ids.REQUEST, int(time.time() * 1000), os.urandom(ids.RANDOM_BYTES))
        self._observer.event(
            "request_failed",
            error=error,
            request_id=request_id,
            method=request.method,
            path=request.url.path,
            organisation_id=getattr(request.state, "organisation_id", None),
        )
        return Fault(500, DEFECT.format(request_id), "internal_error", {"x-request-id": request_id})
