"""`kirimhook sender publish`: post an event through the API."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kirimhook.cli import output
from kirimhook.cli.api_given import ApiKey, CaBundle, with_api
from kirimhook.cli.failure import misuse
from kirimhook.client.account import KEY_VARIABLE, URL_VARIABLE
from kirimhook.contract import events, samples

if TYPE_CHECKING:
    from collections.abc import Callable

    from kirimhook.client import Kirim
    from kirimhook.contract.resources import EventReceipt

    Publish = Callable[[Kirim], EventReceipt]

USUAL_URL = "http://127.0.0.1:8090"
EXAMPLES = """Examples:

  kirimhook sender publish contact.created --data '{"contact": {"id": "con_1"}}'

  kirimhook sender publish order.created --data @order.json --id evt_order_17

  echo '{"order": 17}' | kirimhook sender publish order.created --data -

  kirimhook sender publish --sample message.received.image --url http://127.0.0.1:8090 --key kdv_live_…

Exit codes: 0 the event is stored, 1 it was refused or nobody answered, 2 the command line makes no sense."""


def publish(  # noqa: PLR0913  # options
    event_type: Annotated[str | None, typer.Argument(help="The event's type.", metavar="TYPE")] = None,
    data: Annotated[
        str | None, typer.Option("--data", metavar="JSON|@FILE|-", help="Its data: a JSON object, a file, or stdin.")
    ] = None,
    sample: Annotated[
        str | None,
        typer.Option("--sample", metavar="NAME", help="A documented payload: `kirimhook trigger --list`."),
    ] = None,
    event_id: Annotated[
        str | None,
        typer.Option("--id", help="Its id: the same one twice is one event. Without it: a new one."),
    ] = None,
    url: Annotated[str, typer.Option("--url", "--api-url", envvar=URL_VARIABLE, help="Where the API is.")] = USUAL_URL,
    key: ApiKey = None,
    ca_bundle: CaBundle = None,
    as_document: Annotated[bool, typer.Option("--json", help="The receipt as JSON.")] = False,
) -> None:
    """Publish one event: it is stored, and delivered to every subscription that wants its type."""
    if (sample is None) == (data is None):
        raise misuse("what to publish: TYPE with --data, or --sample")
    if not key:
        raise misuse(
            f"no API key: give --key, or set {KEY_VARIABLE}; kirimhook sender keys create --org NAME makes one"
        )
    publishing = (
        _of_sample(sample, event_type, event_id) if sample is not None else _of_data(event_type, data or "", event_id)
    )
    receipt = with_api(url, key, ca_bundle, publishing)
    if as_document:
        output.document(receipt.to_json())
    else:
        known = ", known before" if receipt.duplicate else ""
        output.text(f"{receipt.id}: {receipt.deliveries} deliveries{known}")


def _of_data(event_type: str | None, given: str, event_id: str | None) -> Publish:
    if event_type is None:
        raise misuse("--data needs the event's type: kirimhook sender publish TYPE --data …")
    try:
        data = json.loads(_read(given), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise misuse(f"--data is no JSON: {error}") from None
    if not isinstance(data, dict):
        raise misuse("--data: a JSON object, {…}")
    return lambda kirim: kirim.events.publish(type=event_type, data=data, id=event_id or None)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def _read(given: str) -> bytes:
    if given == "-":
        return sys.stdin.buffer.read()
    if not given.startswith("@"):
        return given.encode()
    try:
        return Path(given[1:]).read_bytes()
    except OSError as error:
        raise misuse(f"--data {given}: {error.strerror}") from None


def _of_sample(name: str, event_type: str | None, event_id: str | None) -> Publish:
    from kirimhook.cli.posting import another

    try:
        sample = another(samples.load(name), event_id)
    except LookupError as error:
        raise misuse(str(error.args[0])) from None
    if event_type not in {None, sample.type}:
        raise misuse(f"--sample {name} is of the type {sample.type}: leave TYPE out")
    if sample.source == events.META:
        return lambda kirim: kirim.events.publish_raw(
            sample.body, source=sample.source, type=sample.type, event_id=sample.event_id
        )
    data: dict[str, Any] = json.loads(sample.body)["data"]
    return lambda kirim: kirim.events.publish(type=sample.type, data=data, id=sample.event_id)
