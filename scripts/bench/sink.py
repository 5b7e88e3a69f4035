"""The least of an S3 server: takes PUTs, checks their signature, length and hash, and forgets them.

``python -m scripts.bench.sink`` says its port, then answers until its input ends. A GET says what it has taken so far.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import resource
import sys
from functools import lru_cache
from typing import cast

import uvloop

ACCESS, SECRET, REGION, BUCKET = "bench", "bench-secret", "us-east-1", "bench"

_OK = b'HTTP/1.1 200 OK\r\nETag: "0"\r\nContent-Length: 0\r\n\r\n'
_GONE = b"HTTP/1.1 204 No Content\r\n\r\n"


@lru_cache(maxsize=4)
def _signing_key(day: str) -> bytes:
    key = f"AWS4{SECRET}".encode()
    for part in (day, REGION, "s3", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def signature_error(line: str, headers: dict[str, str]) -> str | None:
    """What is wrong with the signature of a request; None when it is right. ``line``: its first line."""
    words = headers.get("authorization", "").replace(",", " ").split()
    fields = dict(word.split("=", 1) for word in words if "=" in word)
    try:
        names, moment = fields["SignedHeaders"].split(";"), headers["x-amz-date"]
        scope = f"{moment[:8]}/{REGION}/s3/aws4_request"
        if fields["Credential"] != f"{ACCESS}/{scope}":
            return "credential"
        lines = "".join(f"{name}:{' '.join(headers[name].split())}\n" for name in names)
        verb, target, _ = line.split(" ")
        path, _, query = target.partition("?")
        sent_hash = headers["x-amz-content-sha256"]
        request = f"{verb}\n{path}\n{query}\n{lines}\n{';'.join(names)}\n{sent_hash}"
    except (KeyError, ValueError) as error:
        return f"malformed: {error}"
    text = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    right = hmac.digest(_signing_key(moment[:8]), text.encode(), "sha256").hex()
    return None if hmac.compare_digest(right, fields.get("Signature", "")) else "signature"


class Taken:
    """What all connections have taken."""

    def __init__(self) -> None:
        self.objects = 0
        self.bytes = 0
        self.refused: list[str] = []


class Connection(asyncio.Protocol):
    """One connection; requests may follow one another, bodies come in pieces of any size."""

    def __init__(self, taken: Taken) -> None:
        self._taken = taken
        self._head = b""
        self._left = 0
        self._line = ""
        self._headers: dict[str, str] = {}
        self._hash = hashlib.sha256()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is there."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Read on."""
        while data:
            if self._left:
                piece, data = data[: self._left], data[self._left :]
                self._left -= len(piece)
                self._hash.update(piece)
            else:
                self._head += data
                head, found, data = self._head.partition(b"\r\n\r\n")
                if not found:
                    return
                self._head = b""
                self._begin(head.decode("latin-1"))
            if not self._left:
                self._end()

    def _begin(self, head: str) -> None:
        self._line, *lines = head.split("\r\n")
        self._headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        self._left = int(self._headers.get("content-length", "0"))
        self._hash = hashlib.sha256()
        if self._headers.get("expect"):
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _end(self) -> None:
        verb = self._line.partition(" ")[0]
        if verb == "GET":
            self._answer_count()
            return
        wrong = signature_error(self._line, self._headers)
        if wrong is None and self._hash.hexdigest() != self._headers["x-amz-content-sha256"]:
            wrong = "hash of the body"
        if wrong is not None:
            self._taken.refused.append(wrong)
            self._transport.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        elif verb == "DELETE":
            self._transport.write(_GONE)
        else:
            self._taken.objects += 1
            self._taken.bytes += int(self._headers.get("content-length", "0"))
            self._transport.write(_OK)

    def _answer_count(self) -> None:
        body = json.dumps(vars(self._taken)).encode()
        self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))


async def serve() -> None:
    """Serve until standard input ends."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 16384)), hard))
    taken, loop = Taken(), asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(taken), "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    uvloop.run(serve())
