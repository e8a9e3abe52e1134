"""The streams of an inbox, how they have to be set, and whether they are.

What an operator sets beside that (`max_bytes`, placement, compression, more replicas) is left alone.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from kirimhook.backends.jetstream.link import NO_STREAM, Link, Refused
from kirimhook.backends.jetstream.names import Names
from kirimhook.receiver.inbox import InboxUnavailable

SCHEMA = 2
"""Of subjects, messages and settings. `migrate` brings older streams to it. 2: bookmarks, and tombstones."""
SCHEMA_KEY = "kirimhook_schema"
PARTITIONS_KEY = "kirimhook_partitions"
FIRST_MIGRATE = "run kirimhook migrate --inbox URL first"

_NEVER_LOSE: dict[str, Any] = {
    "retention": "limits",  # a work queue would forget a claim together with its event
    "storage": "file",
    "discard": "new",  # full means no, never that something old goes
    "max_age": 0,  # age would remove what nobody has handled yet
    "max_msgs_per_subject": -1,
    "allow_direct": True,
    "sealed": False,
    "deny_delete": False,
    "deny_purge": False,
    "mirror_direct": False,
}
_ABSENT = ("persist_mode", "allow_msg_ttl", "allow_rollup_hdrs", "subject_transform", "republish", "mirror", "sources")
"""Settings that must be off: writes acknowledged early, messages that expire, other names."""


class Layout(NamedTuple):
    """How the streams of an inbox are made."""

    partitions: int
    replicas: int
    """Of the stream that has fewest."""
    peers: frozenset[str]
    """Names of the servers that keep them. Empty for a server that is in no cluster."""


def wanted(names: Names) -> dict[str, dict[str, Any]]:
    """By stream: the settings that are ours."""
    return {
        names.events: {**_NEVER_LOSE, "subjects": [names.all_events()]},
        names.journal: {**_NEVER_LOSE, "subjects": [f"{names.name}.jr.*", f"{names.name}.sn.*"]},
        names.aside: {**_NEVER_LOSE, "subjects": [names.all_aside(), names.all_bookmarks()], "max_msgs_per_subject": 1},
    }


async def check(link: Link, names: Names) -> Layout:
    """How they are made. Raises `InboxUnavailable` when they are not there, or not as they have to be."""
    infos: list[dict[str, Any]] = []
    for stream, ours in wanted(names).items():
        info = await find(link, stream)
        if info is None:
            raise InboxUnavailable("not_migrated", FIRST_MIGRATE)
        if wrong := differences(stream, info["config"], ours):
            raise InboxUnavailable("not_migrated", f"{'; '.join(wrong)}: {FIRST_MIGRATE}")
        infos.append(info)
    partitions = int(infos[0]["config"]["metadata"][PARTITIONS_KEY])
    replicas = min(int(info["config"]["num_replicas"]) for info in infos)
    return Layout(partitions, replicas, frozenset(peer for info in infos for peer in _peers(info)))


async def find(link: Link, stream: str) -> dict[str, Any] | None:
    """What is known of a stream of ours. Raises `InboxUnavailable` where it is not ours, or too new."""
    try:
        info = await link.info(stream)
    except Refused as refused:
        if refused.code == NO_STREAM:
            return None
        raise
    version = schema_of(info["config"])
    if version == 0:
        raise InboxUnavailable("foreign_stream", f"the stream {stream} is not one of kirimhook")
    if version > SCHEMA:
        raise InboxUnavailable("newer_schema", f"the inbox has schema {version}, this kirimhook knows {SCHEMA}")
    return info


def schema_of(config: dict[str, Any]) -> int:
    """0: not a stream of ours."""
    version = (config.get("metadata") or {}).get(SCHEMA_KEY, "")
    return int(version) if version.isdigit() else 0


def differences(stream: str, config: dict[str, Any], ours: dict[str, Any]) -> list[str]:
    """What is set otherwise than it has to be."""
    found = [f"{stream} has schema {schema_of(config)}"] if schema_of(config) != SCHEMA else []
    found += [f"{stream}: {key} is {config.get(key)!r}" for key in ours if (config.get(key) or 0) != (ours[key] or 0)]
    return found + [f"{stream}: {key} is {config[key]!r}" for key in _ABSENT if is_on(config.get(key))]


def is_on(setting: object) -> bool:
    """Whether one of those that must be off is on."""
    return bool(setting) and setting != "default"


def _peers(info: dict[str, Any]) -> list[str]:
    cluster = info.get("cluster") or {}
    names = [cluster.get("leader"), *(replica.get("name") for replica in cluster.get("replicas") or [])]
    return [str(name) for name in names if name]
