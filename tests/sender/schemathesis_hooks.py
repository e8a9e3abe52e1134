"""What schemathesis cannot read from the document: loaded by its command, see `test_api_schemathesis`.

Only requests that are meant to be accepted are touched; those that are meant to be refused go as they are.
"""

from __future__ import annotations

import itertools
from typing import Any

import schemathesis
from hypothesis import strategies as st

RAW = {"X-Kirim-Source": "meta", "X-Kirim-Event": "message.received"}
numbers = itertools.count()

schemathesis.openapi.format(
    "webhook-url",
    st.from_regex(r"https://[a-z]{1,10}\.example\.com(:[1-9][0-9]{1,3})?/[a-z0-9/]{0,40}", fullmatch=True),
)


@schemathesis.hook  # type: ignore[untyped-decorator, unused-ignore]  # untyped in some versions only
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """A key is used for one call, a cursor comes from a page, a raw body comes with its headers and no other does."""
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    (case.query or {}).pop("cursor", None)
    headers = case.headers if case.headers is not None else {}
    if "Idempotency-Key" in headers:
        headers["Idempotency-Key"] = f"key {next(numbers)}"
    for name in (*RAW, "X-Kirim-Event-Id"):
        headers.pop(name, None)
    if case.media_type == "application/octet-stream":
        headers.update(RAW, **{"X-Kirim-Event-Id": f"wamid.{next(numbers)}"})
    case.headers = headers


@schemathesis.hook  # type: ignore[untyped-decorator, unused-ignore]  # untyped in some versions only
def filter_case(context: Any, case: Any) -> bool:
    """With all three headers any body is one that travels as it is: the document cannot say so, nor this be refused."""
    negative = case.meta is not None and not case.meta.generation.mode.is_positive
    given = {name.lower(): value for name, value in (case.headers or {}).items()}
    is_raw = given.get("x-kirim-source") == "meta" and {"x-kirim-event", "x-kirim-event-id"} <= given.keys()
    return not (negative and is_raw)
