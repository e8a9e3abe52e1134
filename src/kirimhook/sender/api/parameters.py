"""The parameters that several calls have in common."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Path, Query

from kirimhook.contract import ids
from kirimhook.sender.api.admission import call_of
from kirimhook.sender.api.call import Call
from kirimhook.sender.api.requests import MAX_PAGE, Cursor, PageSize, id_pattern

Admitted = Annotated[Call, Depends(call_of)]
LimitQuery = Annotated[PageSize, Query(description=f"How many on a page: 1 to {MAX_PAGE}.")]
CursorQuery = Annotated[Cursor | None, Query(description="`next_cursor` of the page before, with the same filters.")]


SubscriptionPath = Annotated[
    str, Path(description="A subscription.", json_schema_extra={"pattern": id_pattern(ids.SUBSCRIPTION)})
]
SecretPath = Annotated[
    str, Path(description="One of its secrets.", json_schema_extra={"pattern": id_pattern(ids.SECRET)})
]
DeliveryPath = Annotated[str, Path(description="A delivery.", json_schema_extra={"pattern": id_pattern(ids.DELIVERY)})]
