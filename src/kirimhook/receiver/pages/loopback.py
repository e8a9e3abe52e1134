"""Which addresses nobody but this machine reaches."""

from __future__ import annotations

from ipaddress import ip_address


def is_loopback(host: str) -> bool:
    """Whether that address, or localhost, is this machine's alone. Any other name is not taken for one."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
