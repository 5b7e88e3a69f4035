"""Which addresses media may be fetched from: public unicast ones and no others.

A list of what is refused (IANA's registries of special purpose), because an address that merely holds a private one
(mapped, NAT64, 6to4, Teredo) reaches it on some networks. IPv6 is closed except for the one block that is handed out.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address

_REFUSED_V4 = tuple(
    IPv4Network(block)
    for block in (
        "0.0.0.0/8",  # this network; 0.0.0.0 connects to the host itself
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier NAT; the metadata service of one cloud
        "127.0.0.0/8",
        "168.63.129.16/32",  # a public address, but it is the host agent inside Azure
        "169.254.0.0/16",  # link-local; metadata services of most clouds
        "172.16.0.0/12",
        "192.0.0.0/24",  # protocol assignments; metadata of one cloud
        "192.0.2.0/24",  # documentation
        "192.31.196.0/24",  # AS112
        "192.52.193.0/24",  # AMT
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "192.175.48.0/24",  # AS112
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/3",  # multicast, reserved, broadcast
    )
)
_GLOBAL_V6 = IPv6Network("2000::/3")
_REFUSED_V6 = tuple(
    IPv6Network(block)
    for block in (
        "2001::/23",  # Teredo, ORCHID, benchmarks, anycast of protocols
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: holds an IPv4 address
        "2620:4f:8000::/48",  # AS112
        "3fff::/20",  # documentation
    )
)


@lru_cache(maxsize=4096)
def is_public(address: str) -> bool:
    """Whether an IP address (as text; no name, no zone) may be dialled.

    Raises:
        ValueError: it is no address.
    """
    found = ip_address(address)
    if isinstance(found, IPv6Address):
        return found.scope_id is None and found in _GLOBAL_V6 and not any(found in block for block in _REFUSED_V6)
    return not any(found in block for block in _REFUSED_V4)
