"""The pipeline's limit: the same requests over the same HTTP client, then one hand-written upsert of the same rows.

``python -m scripts.bench.replay URL SANDBOX FILE SLOTS`` replays every profile of FILE: it says "ready", waits for a
line, says the seconds that it took and the CPU seconds of its own.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import asyncpg
import uvloop

from utils.request import HttpClient, HttpOptions, Response

ACCOUNTS, POSTS = "bench_account", "bench_post"
MAKE = f"""
create table {ACCOUNTS} (like instagram_account including all);
create table {POSTS} (like instagram_post including all)"""
COLUMNS = """
select string_agg(quote_ident(attname) || ' = excluded.' || quote_ident(attname), ', ') from pg_attribute
where attrelid = $1::regclass and attnum > 0 and not attisdropped and attname <> all($2::text[])"""


@dataclass(frozen=True, slots=True)
class Call:
    """One request as the flow made it."""

    method: str
    url: str
    options: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Profile:
    """What one refresh asked, and the rows that it stored."""

    calls: list[Call]
    account: dict[str, Any] | None
    posts: list[dict[str, Any]]

    def as_json(self) -> dict[str, Any]:
        """For the file."""
        return asdict(self)

    @classmethod
    def read(cls, data: dict[str, Any]) -> Profile:
        """From the file."""
        return cls([Call(**call) for call in data["calls"]], data["account"], data["posts"])


class Recorder(HttpClient):
    """The client of production, remembering what was asked within ``recording()``."""

    _tape: ContextVar[list[Call] | None] = ContextVar("tape", default=None)

    async def request(self, method: str, url: str, **options: Any) -> Response:
        """As HttpClient."""
        if (tape := self._tape.get()) is not None:
            kept = {name: value for name, value in options.items() if name in ("params", "headers", "json", "data")}
            tape.append(Call(method, url, {name: value for name, value in kept.items() if value is not None}))
        return await super().request(method, url, **options)

    @contextmanager
    def recording(self) -> Iterator[list[Call]]:
        """Collect the calls of this task and of those it starts."""
        calls: list[Call] = []
        token = self._tape.set(calls)
        try:
            yield calls
        finally:
            self._tape.reset(token)


async def upsert_statement(url: str) -> str:
    """Account ``$1`` and posts ``$2``, JSON lists, in one statement; column names come from the catalog."""
    conn = await asyncpg.connect(url)
    accounts = await conn.fetchval(COLUMNS, ACCOUNTS, ["id", "profile_id"])
    posts = await conn.fetchval(COLUMNS, POSTS, ["id", "shortcode"])
    await conn.close()
    return f"""
with a as (insert into {ACCOUNTS} select * from jsonb_populate_recordset(null::instagram_account, $1::jsonb)
    on conflict (profile_id) do update set {accounts})
insert into {POSTS} select * from jsonb_populate_recordset(null::instagram_post, $2::jsonb)
    on conflict (shortcode) do update set {posts}"""


async def _replay(url: str, sandbox: str, file: Path, slots: int) -> None:
    profiles = [Profile.read(data) for data in json.loads(file.read_text(encoding="utf-8"))]  # noqa: ASYNC240
    client = HttpClient(HttpOptions(sandbox_url=sandbox))
    upsert = await upsert_statement(url)
    pool = await asyncpg.create_pool(url, min_size=2, max_size=2)
    waiting = iter(profiles)

    async def slot() -> None:
        for profile in waiting:
            for call in profile.calls:
                response = await client.request(call.method, call.url, **call.options)
                if response.status == 200:
                    response.json()
            if profile.account is not None:
                await pool.execute(upsert, json.dumps([profile.account]), json.dumps(profile.posts))

    print("ready", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    started, cpu = time.monotonic(), time.process_time()
    await asyncio.gather(*(slot() for _ in range(slots)))
    print(json.dumps({"seconds": time.monotonic() - started, "cpu_s": time.process_time() - cpu}), flush=True)
    await client.aclose()
    await pool.close()


if __name__ == "__main__":
    uvloop.run(_replay(sys.argv[1], sys.argv[2], Path(sys.argv[3]), int(sys.argv[4])))
