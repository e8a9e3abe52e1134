"""File descriptors: a connection is one, and Linux gives a process 1024 of them unless it asks for more."""

from __future__ import annotations

import resource

SPARE = 128
"""For the inbox, the log, the worker's own connections."""


def make_room(connections: int) -> int:
    """Let this process open so many connections; how many it can open. Raises the soft limit where it must."""
    wanted = connections + SPARE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return connections if soft == resource.RLIM_INFINITY else min(connections, max(1, soft - SPARE))
