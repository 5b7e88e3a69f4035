"""A name server on loopback whose answers a test makes up, and may change between two questions."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast

from dnslib import AAAA, CNAME, QTYPE, RCODE, RR, A, DNSRecord

Answers = Callable[[int], list[str]]
"""Number of the question about a name and kind, from 0 -> the addresses."""


@dataclass(slots=True)
class NameServer:
    """``names``: name -> addresses, or a function of how often it was asked. Unknown names do not exist."""

    place: str = ""
    names: dict[str, list[str] | Answers] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    deaf: int = 0
    """So many questions are not answered."""

    def answer(self, data: bytes) -> bytes | None:
        """The answer to one question."""
        question = DNSRecord.parse(data)
        name, kind = str(question.q.qname).rstrip("."), QTYPE[question.q.qtype]
        before = self.asked.count((name, kind))
        self.asked.append((name, kind))
        if self.deaf > 0:
            self.deaf -= 1
            return None
        reply = question.reply()
        real = self.aliases.get(name, name)
        if real != name:
            reply.add_answer(RR(name, QTYPE.CNAME, rdata=CNAME(real)))
        known = self.names.get(real)
        if known is None:
            reply.header.rcode = RCODE.NXDOMAIN
            return bytes(reply.pack())
        for address in known(before) if callable(known) else known:
            if (":" in address) == (kind == "AAAA"):
                record = AAAA(tuple(socket.inet_pton(socket.AF_INET6, address))) if kind == "AAAA" else A(address)
                reply.add_answer(RR(real, getattr(QTYPE, kind), rdata=record, ttl=0))
        return bytes(reply.pack())


class _Serving(asyncio.DatagramProtocol):
    def __init__(self, server: NameServer) -> None:
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        answer = self._server.answer(data)
        if answer is not None:
            self._transport.sendto(answer, addr)


@asynccontextmanager
async def name_server() -> AsyncIterator[NameServer]:
    """A server on a free port of loopback."""
    server = NameServer()
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: _Serving(server), local_addr=("127.0.0.1", 0)
    )
    host, port = transport.get_extra_info("sockname")
    server.place = f"{host}:{port}"
    try:
        yield server
    finally:
        transport.close()
