"""Which lines of a secrets file are of one subscription. Pure.

A line of another subscription that was dropped by mistake would have its deliveries refused for ever, so that what is
not said is taken for ours only where nothing else fits, and is proven later (`proving`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kirimhook.operating.rotation.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from kirimhook.operating.secrets_file import Entry


class Lines(NamedTuple):
    """Fingerprints: of all lines of the subscription, and of those among them of which nobody said so."""

    old: tuple[str, ...]
    unsaid: tuple[str, ...]


def of_subscription(
    entries: Sequence[Entry], subscription_id: str, in_force: Collection[str], named: Sequence[str]
) -> Lines:
    """Those whose comment says so, and those that are `named` (fingerprints) or that nothing else explains.

    `in_force`: ids of the subscription's secrets. Raises RefusedError where that leaves a doubt.
    """
    said = [entry for entry in entries if entry.subscription_id == subscription_id]
    bare = [entry for entry in entries if entry.subscription_id is None]
    if named:
        chosen = [entry.secret.fingerprint for entry in bare if entry.secret.fingerprint in named]
        _check_named(entries, said, chosen, named)
        return Lines((*_fingerprints(said), *(one for one in chosen)), ())
    missing = [one for one in in_force if one not in {entry.secret_id for entry in said}]
    if not missing:
        return Lines(_fingerprints(said), ())
    if len(missing) != len(bare):
        raise RefusedError(_doubt(subscription_id, missing, bare))
    return Lines((*_fingerprints(said), *_fingerprints(bare)), _fingerprints(bare))


def _fingerprints(entries: Sequence[Entry]) -> tuple[str, ...]:
    return tuple(entry.secret.fingerprint for entry in entries)


def _check_named(entries: Sequence[Entry], said: Sequence[Entry], chosen: list[str], named: Sequence[str]) -> None:
    for fingerprint in named:
        if fingerprint in chosen or fingerprint in _fingerprints(said):
            continue
        others = [entry for entry in entries if entry.secret.fingerprint == fingerprint]
        why = f"its line says it is of {others[0].subscription_id}" if others else "no line of the file has it"
        raise RefusedError(f"--old {fingerprint}: {why}")


def _doubt(subscription_id: str, missing: list[str], bare: Sequence[Entry]) -> str:
    lacking = f"{', '.join(missing)} of {subscription_id} {'is' if len(missing) == 1 else 'are'} in force"
    if not bare:
        return (
            f"{lacking}, and no line of the file says it holds {'it' if len(missing) == 1 else 'them'}: add the line, "
            "or delete it with `kirimhook secrets remove`, where nobody verifies with it"
        )
    listed = ", ".join(_fingerprints(bare))
    return (
        f"{lacking}, and {len(bare)} line{'' if len(bare) == 1 else 's'} of the file "
        f"({listed}) do not say what they are of: name this subscription's with --old FINGERPRINT"
    )
