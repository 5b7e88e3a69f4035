"""A name server asked over UDP for A and AAAA records: what ASSET_DNS names instead of the system's resolver.

Only what tests on one machine need: no TCP, no search list, no cache (the connector has one).
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from collections.abc import Iterator

_A, _AAAA, _IN = 1, 28, 1
_FAMILIES = {socket.AF_INET: (_A,), socket.AF_INET6: (_AAAA,), socket.AF_UNSPEC: (_A, _AAAA)}
_NOT_FOUND, _TRUNCATED, _RESPONSE, _ERROR_MASK = 3, 0x0200, 0x8000, 0x000F
_TRIES, _WAIT_S = 3, 2.0
_dice = random.SystemRandom()


class DnsClient:
    """Asks one server."""

    def __init__(self, server: tuple[str, int]) -> None:
        self._server = server

    async def addresses(self, host: str, family: int = socket.AF_UNSPEC) -> list[str]:
        """The addresses of a name, IPv4 first.

        Raises:
            OSError: there are none, or the server did not answer.
        """
        kinds = _FAMILIES.get(socket.AddressFamily(family), (_A, _AAAA))
        answers = await asyncio.gather(*(self._ask(host, kind) for kind in kinds))
        found = [address for answer in answers for address in answer]
        if not found:
            raise OSError(None, f"no address is known of {host}")
        return found

    async def _ask(self, host: str, kind: int) -> list[str]:
        number = _dice.randrange(1 << 16)
        query = struct.pack("!6H", number, 0x0100, 1, 0, 0, 0) + _labels(host) + struct.pack("!2H", kind, _IN)
        loop = asyncio.get_running_loop()
        for _ in range(_TRIES):
            transport, waiting = await loop.create_datagram_endpoint(lambda: _Waiting(query), remote_addr=self._server)
            try:
                transport.sendto(query)
                async with asyncio.timeout(_WAIT_S):
                    return list(_records(await waiting.answer, kind))
            except (TimeoutError, struct.error, IndexError):
                continue
            finally:
                transport.close()
        raise OSError(None, f"the name server did not answer for {host}")


class _Waiting(asyncio.DatagramProtocol):
    """Takes the first answer to a query that repeats its number and question."""

    def __init__(self, query: bytes) -> None:
        self._query = query
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: object) -> None:  # noqa: ARG002
        question = slice(12, len(self._query))
        ours = data[:2] == self._query[:2] and data[question].lower() == self._query[question].lower()
        if ours and len(data) > 12 and not self.answer.done():
            self.answer.set_result(data)

    def error_received(self, exc: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(exc)


def _labels(host: str) -> bytes:
    parts = [label.encode("ascii") for label in host.rstrip(".").split(".")]
    return b"".join(bytes([len(part)]) + part for part in parts) + b"\0"


def _records(answer: bytes, kind: int) -> Iterator[str]:
    """The addresses in an answer, whatever chain of aliases leads to them."""
    _, flags, questions, count, _, _ = struct.unpack_from("!6H", answer)
    if not flags & _RESPONSE or flags & _TRUNCATED or flags & _ERROR_MASK not in (0, _NOT_FOUND):
        raise OSError(None, "the name server cannot say")
    at = 12
    for _ in range(questions):
        at = _after_name(answer, at) + 4
    family, length = (socket.AF_INET, 4) if kind == _A else (socket.AF_INET6, 16)
    for _ in range(count):
        at = _after_name(answer, at)
        found, _, _, size = struct.unpack_from("!2HIH", answer, at)
        at += 10
        if found == kind and size == length:
            yield socket.inet_ntop(family, answer[at : at + size])
        at += size


def _after_name(answer: bytes, at: int) -> int:
    """Where a name ends; a pointer to another place ends it."""
    while answer[at]:
        if answer[at] >= 0xC0:
            return at + 2
        at += answer[at] + 1
    return at + 1
