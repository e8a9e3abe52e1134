"""Finished events put straight where they belong: handling a million of them takes too long.

A test compares what this leaves with what a worker leaves.
"""

from __future__ import annotations


def finish_postgresql(inbox_url: str, count: int) -> None:
    raise NotImplementedError


async def adopt_finished(inbox_url: str, count: int) -> None:
    """Through the verb that copies an inbox."""
    raise NotImplementedError
