"""The least that copying a file costs: a raw aiohttp GET and a signed PUT of what came, a new key each time.

``python -m scripts.bench.media_limit CDN SINK SLOTS FIRST COUNT`` copies some files to be warm, says "ready", waits for
a line, copies the files of these numbers, and says what that took, as JSON. Kinds are dealt as to Beat. No queue, no
rows, no checks.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import resource
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from urllib.parse import urlsplit

import aiohttp
import uvloop
from yarl import URL

from core.client.sigv4 import Keys, Signer
from scripts.bench.cdn import picture_url
from scripts.bench.mix import clean_kind
from scripts.bench.sink import ACCESS, BUCKET, REGION, SECRET

WARM_ROUNDS = 5
"""Files of each slot before the clock runs: connections are there, as Beat's are."""


async def copy(session: aiohttp.ClientSession, signer: Signer, cdn: str, sink: str, number: int) -> None:
    """One file."""
    parts = urlsplit(picture_url(clean_kind(number), number))
    async with session.get(URL(f"{cdn}{parts.path}?{parts.query}", encoded=True)) as answer:
        body = await answer.read()
        assert answer.status == 200
    path = f"/{BUCKET}/assets/posts/instagram/{number}.jpg"
    headers = {"content-type": "image/jpeg", "content-length": str(len(body))}
    digest = hashlib.sha256(body).hexdigest()
    signed = signer.sign(Keys(ACCESS, SECRET), ("PUT", path), headers, digest, datetime.now(UTC))
    async with session.put(URL(sink + path, encoded=True), data=body, headers=signed) as answer:
        assert answer.status == 200


async def run(cdn: str, sink: str, slots: int, first: int, count: int) -> None:
    """Copy ``count`` files with ``slots`` at a time."""
    signer = Signer(sink.removeprefix("http://"), REGION)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def work(numbers: Iterator[int]) -> None:
            for number in numbers:
                await copy(session, signer, cdn, sink, number)

        async def all_of(numbers: range) -> None:
            left = iter(numbers)
            await asyncio.gather(*(work(left) for _ in range(slots)))

        await all_of(range(first, first + WARM_ROUNDS * slots))
        print("ready", flush=True)
        sys.stdin.readline()
        before, started = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
        await all_of(range(first, first + count))
        seconds, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_SELF)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(json.dumps({"seconds": seconds, "cpu_s": cpu_s}), flush=True)


if __name__ == "__main__":
    uvloop.run(run(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:6])))
