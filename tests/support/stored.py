"""What a flow left behind: posts by shortcode, and the events that wait in the outbox."""

from __future__ import annotations

import json
from typing import Any

import asyncpg

from tests.sandbox.posts import Media, Post
from tests.sandbox.universe import Universe

POST_TYPES = {Media.IMAGE: "image", Media.CAROUSEL: "carousel", Media.REEL: "reels", Media.VIDEO: "reels"}


async def stored_posts(pg: asyncpg.Connection) -> dict[str, dict[str, Any]]:
    """shortcode -> row."""
    return {row["shortcode"]: dict(row) for row in await pg.fetch("select * from instagram_post")}


async def announced(pg: asyncpg.Connection, routing_key: str = "post_log_events") -> list[dict[str, Any]]:
    """Payloads in the order in which they were added; there are no others."""
    rows = await pg.fetch("select routing_key, payload from event_outbox order by id")
    assert {row["routing_key"] for row in rows} <= {routing_key}
    return [json.loads(row["payload"]) for row in rows]


def truth(universe: Universe, post: Post) -> dict[str, Any]:
    """Columns that every source tells alike."""
    owner = universe.creator(post.owner)
    return {
        "profile_id": str(owner.pk),
        "post_type": POST_TYPES[post.media],
        "caption": post.caption,
        "likes": None if post.likes_hidden else post.likes,
        "comments": post.comments,
    }


def told(row: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    """The part of a row that is to be compared."""
    return {key: row[key] for key in wanted}
