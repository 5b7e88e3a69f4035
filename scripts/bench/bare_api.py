"""The limit of the REST API: the same rows by the same keys, the same bytes out, by raw asyncpg and bare ASGI.

``python -m scripts.bench.bare_api URL PORT``. It runs on the server of ``server.py``, and its connections keep no
statements, as those through a pooler cannot. No routes, no validation, no sessions, no log.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import asyncpg
import uvicorn

CONNECTIONS = 20
PROFILE = """
select handle, profile_id, fbid, full_name, biography, profile_pic_url, profile_type, followers, following, media_count,
    is_private, updated_at
from instagram_account where handle = $1 order by updated_at desc nulls last, id desc limit 1"""
RECENT = """
select p.shortcode, p.post_id, p.post_type, p.publish_time, p.updated_at, p.reach, p.views, p.likes, p.comments,
    p.plays, p.caption, p.thumbnail_url, p.display_url, a.followers
from instagram_account a join instagram_post p using (profile_id) where profile_id = $1
    and p.thumbnail_url is not null and p.thumbnail_url not in ('None', ' ', '') and p.post_type <> 'story'
order by p.publish_time desc nulls last, p.id desc limit 12"""
CREATE = """
insert into scrape_request_log (flow, platform, params, priority, expires_at)
values ($1, $2, $3::text::jsonb, 1, now() + interval '1 hour') returning id"""
CREATE_MANY = """
insert into scrape_request_log (flow, platform, params, priority, expires_at)
select flow, 'INSTAGRAM', params::jsonb, 1, now() + interval '1 hour'
from unnest($1::text[], $2::text[]) g(flow, params) returning id"""

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class Bare:
    """The application; callers are fewer than its connections."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._idle: list[asyncpg.Connection] = []

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        _, word, *_, last = scope["path"].split("/")
        if scope["method"] == "POST":
            body = json.loads(await _body(receive))
            answer = await (self._bulk(body) if last == "bulk" else self._create(body))
        else:
            answer = await (self._profile(last) if word == "profiles" else self._recent(last))
        text = json.dumps(answer, ensure_ascii=False, separators=(",", ":")).encode()
        headers = [(b"content-length", str(len(text)).encode()), (b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": text})

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        self._idle += [await asyncpg.connect(self._url, statement_cache_size=0) for _ in range(CONNECTIONS)]
        await send({"type": "lifespan.startup.complete"})
        await receive()
        for conn in self._idle:
            await conn.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _fetch(self, statement: str, *values: object) -> list[asyncpg.Record]:
        conn = self._idle.pop()
        try:
            rows: list[asyncpg.Record] = await conn.fetch(statement, *values)
            return rows
        finally:
            self._idle.append(conn)

    async def _profile(self, handle: str) -> dict[str, Any]:
        (row,) = await self._fetch(PROFILE, handle)
        profile = {"platform": "instagram", **row, "updated_at": _time(row["updated_at"])}
        return {**_done("Profile Retrieved"), "profile": {**profile, "post_metrics": {}, "recent_posts": None}}

    async def _recent(self, profile_id: str) -> dict[str, Any]:
        posts = [_post(row) for row in await self._fetch(RECENT, profile_id)]
        data = {"platform": "instagram", "profile_id": profile_id, "recent_posts": posts}
        return {**_done("Recent Posts Retrieved"), "data": data}

    async def _create(self, task: dict[str, Any]) -> dict[str, Any]:
        (row,) = await self._fetch(CREATE, task["flow"], task["platform"], json.dumps(task["params"]))
        return {**_done("Scrape request log added"), "code": 200, "scrape_id": row["id"]}

    async def _bulk(self, tasks: list[dict[str, Any]]) -> dict[str, Any]:
        flows, params = [task["flow"] for task in tasks], [json.dumps(task["params"]) for task in tasks]
        ids = [row["id"] for row in await self._fetch(CREATE_MANY, flows, params)]
        more = {"field": None, "message": None}
        rows = [{"row": number, "outcome": "created", "scrape_id": id_, **more} for number, id_ in enumerate(ids)]
        counts = {"created": len(ids), "existing": 0, "refused": 0}
        return {**_done(f"{len(ids)} of {len(tasks)} scrape requests added"), **counts, "rows": rows}


async def _body(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message["body"], message.get("more_body", False)
    return body


def _done(message: str) -> dict[str, Any]:
    return {"status": {"type": "SUCCESS", "message": message}}


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat()


def _post(row: asyncpg.Record) -> dict[str, Any]:
    """A post as it is answered; its reach is stored, so that nothing need be estimated."""
    place = "reel" if row["post_type"] == "reels" else "p"
    rate = round((row["likes"] + row["comments"]) / row["followers"] * 100, 2)
    return {
        "shortcode": row["shortcode"],
        "post_id": row["post_id"],
        "post_type": row["post_type"],
        "post_url": f"https://www.instagram.com/{place}/{row['shortcode']}",
        "publish_time": _time(row["publish_time"]),
        "updated_at": _time(row["updated_at"]),
        "metrics": {
            **{name: row[name] for name in ("reach", "views", "likes", "comments")},
            "play_count": row["plays"],
            "engagement_rate": rate,
        },
        "dimensions": {name: row[name] for name in ("caption", "comments", "thumbnail_url", "display_url")},
    }


if __name__ == "__main__":
    uvicorn.run(
        Bare(sys.argv[1]),
        port=int(sys.argv[2]),
        loop="uvloop",
        http="httptools",
        log_config=None,
        access_log=False,
        server_header=False,
    )
