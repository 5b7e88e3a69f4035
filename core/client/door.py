"""The HTTP sessions that media come through: one to the world, and one to the simulator where that is wanted."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from core.client.connector import PUBLIC, OneServer, Reach, media_connector, resolver
from core.client.places import host_of

SIMULATED = re.compile(
    r"(?:[a-z0-9-]+\.)*(?:cdninstagram\.com|fbcdn\.net|ytimg\.com|ggpht\.com|googleusercontent\.com)"
)
"""Hosts of the simulator's CDN."""

_READ_BUFFER = 1 << 16
_AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36"
_HEADERS = {"Accept-Encoding": "identity", "User-Agent": _AGENT}
"""Neutral: no cookie, no referrer, nothing that says who asks."""


class Door:
    """Requests by GET that follow no redirect and send the URL to the byte."""

    def __init__(self, outside: aiohttp.ClientSession, simulator: aiohttp.ClientSession | None) -> None:
        self._outside = outside
        self._simulator = simulator

    @classmethod
    def open(
        cls,
        *,
        per_host: int,
        connect_s: float,
        read_s: float,
        simulator: str | None = None,
        name_server: str | None = None,
        reach: Reach = PUBLIC,
    ) -> Door:
        """Make the sessions. ``simulator``: ``http://address:port`` that stands for the hosts of ``SIMULATED``;
        ``name_server``: ``address:port``."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=connect_s, sock_read=read_s)
        outside = _session(resolver(name_server), reach, per_host, timeout)
        if simulator is None:
            return cls(outside, None)
        parts = urlsplit(simulator)
        address, port = parts.hostname or "", parts.port or 80
        only = Reach(lambda given: given == address, frozenset({port}))
        return cls(outside, _session(OneServer(address, port), only, per_host, timeout))

    def get(self, url: str, headers: dict[str, str]) -> Any:
        """The response as an asynchronous context."""
        session = self._outside
        if self._simulator is not None and SIMULATED.fullmatch(host_of(url)):
            session, url = self._simulator, "http:" + url.partition(":")[2]
        return session.get(URL(url, encoded=True), headers=headers, allow_redirects=False)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._outside.close()
        if self._simulator is not None:
            await self._simulator.close()


def _session(
    names: AbstractResolver, reach: Reach, per_host: int, timeout: aiohttp.ClientTimeout
) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=media_connector(names, reach, limit=0, per_host=per_host),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=timeout,
        headers=_HEADERS,
        auto_decompress=False,
        read_bufsize=_READ_BUFFER,
        requote_redirect_url=False,
    )
