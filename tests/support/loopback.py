"""Closes the outside network for a test process: connections and look-ups beyond loopback raise."""

from __future__ import annotations

import ipaddress
import sys
from typing import Any

LOCAL_NAMES = frozenset({None, "", "localhost", "localhost.localdomain"})


class OutsideNetworkError(RuntimeError):
    """A test tried to leave this machine."""


def close_outside_network() -> None:
    """Refuse from now on, whichever library asks (an audit hook: it stays until the process ends)."""
    sys.addaudithook(_refuse_outside)


def _refuse_outside(event: str, arguments: tuple[Any, ...]) -> None:
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        address = arguments[1]
        if isinstance(address, tuple) and not is_loopback(address[0]):
            raise OutsideNetworkError(f"tests stay on this machine, {event} to {address[0]} does not")
    elif event in ("socket.getaddrinfo", "socket.gethostbyname") and not is_literal_or_local(arguments[0]):
        raise OutsideNetworkError(f"tests stay on this machine, a look-up of {arguments[0]!r} does not")


def is_loopback(host: str) -> bool:
    """Whether an address or one of the local names means this machine."""
    if host in LOCAL_NAMES:
        return True
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False


def is_literal_or_local(host: str | bytes | None) -> bool:
    """Whether resolving this needs no name server."""
    text = host.decode() if isinstance(host, bytes) else host
    if text in LOCAL_NAMES:
        return True
    try:
        ipaddress.ip_address(str(text).partition("%")[0])
    except ValueError:
        return False
    return True
