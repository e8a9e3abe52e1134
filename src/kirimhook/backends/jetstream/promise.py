"""What an acknowledgement of these servers promises: it depends on how many keep a copy, and when they sync.

A stream does not say how its servers sync; only they do, on their monitoring ports (`monitor=URL` in the inbox URL,
several with commas) or to their system account (`$SYS.REQ.SERVER.PING.VARZ`, where our account imports it).
"""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any, NamedTuple

from kirimhook.backends.jetstream.link import Link
from kirimhook.backends.jetstream.settings import JetStreamSettings
from kirimhook.backends.jetstream.streams import Layout

PING = "$SYS.REQ.SERVER.PING.VARZ"
WITHIN = 0.5
"""Seconds in which servers answer."""
ALWAYS = 0.0


class Promise(NamedTuple):
    """What is known. `durable`: every server that keeps a copy is known to sync each write before it says so."""

    text: str
    durable: bool


async def promise_of(link: Link, settings: JetStreamSettings, layout: Layout) -> Promise:
    """Asks the servers. What they do not say is said to be unknown."""
    syncs = dict(await _over_nats(link))
    for url in settings.monitor.split(",") if settings.monitor else ():
        syncs.update(_sync_of(await asyncio.to_thread(_fetch, f"{url.rstrip('/')}/varz")))
    return promise(layout, syncs)


def promise(layout: Layout, syncs: Mapping[str, float | None]) -> Promise:
    """`syncs`: by server, seconds between two syncs; `ALWAYS`: on every write; None: it has no JetStream."""
    ours = layout.peers or syncs.keys()
    known = [syncs.get(peer) for peer in ours]
    slowest = max((seconds for seconds in known if seconds is not None), default=None)
    unknown = not known or None in known
    durable = not unknown and slowest == ALWAYS
    return Promise(f"{_kept(layout.replicas, synced=durable)} {_lost(layout.replicas, slowest, unknown)}", durable)


def _kept(replicas: int, *, synced: bool) -> str:
    where = "on the disk" if synced else "in the memory"
    if replicas == 1:
        return f"An acknowledged event is {where} of its one server."
    most = replicas // 2 + 1
    return f"An acknowledged event is {where} of {most} of {replicas} servers; {replicas - most} may be lost."


def _lost(replicas: int, slowest: float | None, unknown: bool) -> str:
    if not unknown and slowest == ALWAYS:
        return "It survives a power cut of all machines."
    power = "a power cut" if replicas == 1 else "a power cut of several machines at once"
    if unknown:
        how = "How often the servers sync to disk is not known (monitor=URL of their monitoring ports tells)"
        return f"{how}: {power} may lose the last minutes."
    return f"The servers sync to disk every {slowest:g} s: {power} may lose what came since."


async def _over_nats(link: Link) -> dict[str, float | None]:
    syncs: dict[str, float | None] = {}
    for data in await link.gather(PING, WITHIN):
        try:
            syncs.update(_sync_of(json.loads(data).get("data") or {}))
        except (ValueError, AttributeError):
            continue  # something else answers there
    return syncs


def _sync_of(varz: Mapping[str, Any]) -> dict[str, float | None]:
    """By name of the server. Empty: it did not say."""
    name, jetstream = varz.get("server_name"), varz.get("jetstream") or {}
    config = jetstream.get("config")
    if not name or not isinstance(config, dict):
        return {}
    if config.get("sync_always"):
        return {name: ALWAYS}
    interval = config.get("sync_interval")
    return {name: interval / 1e9 if interval else None}


def _fetch(url: str) -> dict[str, Any]:
    """Empty where nothing of use answers."""
    try:
        with urllib.request.urlopen(url, timeout=WITHIN * 2) as response:  # noqa: S310  # settings allow http(s) only
            found = json.load(response)
    except (urllib.error.URLError, OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
