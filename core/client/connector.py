"""Connections that cannot lead into the own network: the address is checked that the socket is about to dial.

Checked twice: names when they are resolved, so that a private address among public ones is passed over, and every
address when its socket is made, whatever way it came. Between the two nothing is looked up again.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.connector import Connection
from aiohttp.resolver import ThreadedResolver
from aiohttp.tracing import Trace

from core.client.addresses import is_public
from core.client.dns import DnsClient
from core.client.errors import MediaRefused
from core.client.places import PORTS

KEEP_ALIVE_S = 30.0
_MOST_SPOILED = 100
_AddrInfo = tuple[int, int, int, str, tuple[str, int] | tuple[str, int, int, int]]


@dataclass(frozen=True, slots=True)
class Reach:
    """What may be dialled."""

    address: Callable[[str], bool] = is_public
    ports: frozenset[int] = PORTS

    def allows(self, address: str, port: int) -> bool:
        """Whether a socket may be connected there."""
        try:
            return port in self.ports and self.address(address)
        except ValueError:
            return False


PUBLIC = Reach()


def media_connector(resolver: AbstractResolver, reach: Reach, *, limit: int, per_host: int) -> aiohttp.TCPConnector:
    """A pool of connections within ``reach``. Requests through it fail with MediaRefused REFUSED_ADDRESS beyond it."""

    def checked_socket(info: _AddrInfo) -> socket.socket:
        family, kind, protocol, _, place = info
        if not reach.allows(place[0], place[1]):
            raise MediaRefused("REFUSED_ADDRESS", "the address or port is not one that may be dialled")
        return socket.socket(family, kind, protocol)

    return _Unspoiled(
        resolver=CheckedResolver(resolver, reach),
        socket_factory=checked_socket,
        limit=limit,
        limit_per_host=per_host,
        keepalive_timeout=KEEP_ALIVE_S,
    )


class _Unspoiled(aiohttp.TCPConnector):
    """Uses no kept connection again on which something came that nobody had asked for: it would pass for the answer to
    the next request."""

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - its callers name it
    ) -> Connection:
        found = await super().connect(req, traces, timeout)
        for _ in range(_MOST_SPOILED):
            if found.protocol is None or not found.protocol.should_close:
                break
            found.close()
            found = await super().connect(req, traces, timeout)
        return found


class CheckedResolver(AbstractResolver):
    """Passes on the addresses within reach."""

    def __init__(self, inner: AbstractResolver, reach: Reach) -> None:
        self._inner = inner
        self._reach = reach

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Resolve a name.

        Raises:
            MediaRefused: REFUSED_ADDRESS: none of its addresses may be dialled.
            OSError: it has none.
        """
        found = await self._inner.resolve(host, port, family)
        allowed = [one for one in found if self._reach.allows(one["host"], one["port"])]
        if not allowed:
            raise MediaRefused("REFUSED_ADDRESS", f"{host} is on no public address")
        return allowed

    async def close(self) -> None:
        await self._inner.close()


class OneServer(AbstractResolver):
    """Every name is the same address and port: the simulator's."""

    def __init__(self, address: str, port: int) -> None:
        self._place = (address, port)

    async def resolve(
        self,
        host: str,
        port: int = 0,  # noqa: ARG002
        family: socket.AddressFamily = socket.AF_INET,  # noqa: ARG002
    ) -> list[ResolveResult]:
        return [_result(host, *self._place)]

    async def close(self) -> None:
        pass


class NamedServer(AbstractResolver):
    """Asks a name server of one's own."""

    def __init__(self, client: DnsClient) -> None:
        self._client = client

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [_result(host, address, port) for address in await self._client.addresses(host, family)]

    async def close(self) -> None:
        pass


def resolver(name_server: str | None) -> AbstractResolver:
    """The system's resolver, or one that asks ``address:port``."""
    if name_server is None:
        return ThreadedResolver()
    address, _, port = name_server.rpartition(":")
    return NamedServer(DnsClient((address.strip("[]"), int(port))))


def _result(host: str, address: str, port: int) -> ResolveResult:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=socket.AI_NUMERICHOST)
