"""Make the streams of an inbox, or bring them to what this version needs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from kirimhook.backends.jetstream.link import Link, Refused
from kirimhook.backends.jetstream.names import Names
from kirimhook.backends.jetstream.settings import JetStreamSettings
from kirimhook.backends.jetstream.streams import PARTITIONS_KEY, SCHEMA, SCHEMA_KEY, differences, find, wanted
from kirimhook.receiver.inbox import InboxUnavailable

EXISTS = 10058
"""A stream of that name is there, with another configuration."""
TAKEN = 10065
"""Another stream has these subjects."""
PATIENCE = 30.0
"""Seconds for one step: a cluster that has just started elects leaders first."""


def needed() -> str:
    """The version that this kirimhook needs."""
    return str(SCHEMA)


async def migrate(url: str, **options: Any) -> list[str]:
    """What was done; empty: all was there. Running it twice, or two at once, does no harm.

    Raises ValueError for a URL that says nothing, `InboxUnavailable`.
    """
    settings = JetStreamSettings.from_url(url, **options)
    settings = replace(settings, patience=max(PATIENCE, settings.patience))
    link = Link(settings)
    done: list[str] = []
    try:
        await link.connect()
        names = Names(settings.name)
        for stream, ours in wanted(names).items():
            marks = {PARTITIONS_KEY: str(settings.partitions)} if stream == names.events else {}
            done += await _bring(link, stream, ours, marks, settings.replicas)
    finally:
        await link.close()
    return done


async def _bring(link: Link, stream: str, ours: dict[str, Any], marks: dict[str, str], replicas: int) -> list[str]:
    found = await find(link, stream)
    if found is None:
        if await _create(link, stream, ours, marks, replicas):
            return [f"stream {stream} made, replicas {replicas}"]
        found = await find(link, stream)  # somebody else was faster
    if found is None:
        raise InboxUnavailable("storage_unavailable", f"the stream {stream} was there, and is gone again")
    return await _update(link, found["config"], ours, replicas)


async def _create(link: Link, stream: str, ours: dict[str, Any], marks: dict[str, str], replicas: int) -> bool:
    metadata = {SCHEMA_KEY: str(SCHEMA), **marks}
    config = {**ours, "name": stream, "num_replicas": replicas, "metadata": metadata}
    try:
        made = await link.api(f"STREAM.CREATE.{stream}", config)
    except Refused as refused:
        if refused.code == EXISTS:
            return False
        if refused.code == TAKEN:
            raise InboxUnavailable("foreign_stream", f"another stream has the subjects of {stream}") from refused
        raise
    return bool(made.get("did_create"))


async def _update(link: Link, config: dict[str, Any], ours: dict[str, Any], replicas: int) -> list[str]:
    """Sets what is ours; what an operator added stays. More replicas than asked for stay too."""
    stream = config["name"]
    steps = differences(stream, config, ours)
    if replicas > config["num_replicas"]:
        steps.append(f"{stream}: replicas {config['num_replicas']} -> {replicas}")
    if not steps:
        return []
    metadata = {**config["metadata"], SCHEMA_KEY: str(SCHEMA)}
    new = {**config, **ours, "num_replicas": max(replicas, config["num_replicas"]), "metadata": metadata}
    answer = await link.api(f"STREAM.UPDATE.{stream}", new)
    if left := differences(stream, answer["config"], ours):
        raise InboxUnavailable("misconfigured", f"{'; '.join(left)}; it has to be made anew")
    return steps
