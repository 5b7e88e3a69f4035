"""Owners' numbers: the audience of each connected account, its posts, and what REST says of it."""

from __future__ import annotations

import json
from collections.abc import Mapping

import aiohttp

from scripts.demo.check import Verdict
from scripts.demo.parts.base import Scene, Task
from tests.sandbox.credentials import token_owners
from tests.sandbox.expected_parts import expected_audience, expected_insights, recent_own_posts
from tests.sandbox.posts import Post
from tests.sandbox.universe import Creator, Universe

NAME = "insights"
FLOWS = ("refresh_profile_insights", "refresh_profile_audience_insights", "refresh_post_insights")
POSTS = 12
"""So many of each account's posts."""


def tasks(universe: Universe, creators: int) -> list[Task]:
    """The audience by both flows, and the numbers of some posts."""
    found: list[Task] = []
    for who in owners(universe, creators):
        code = 400 if expected_audience(universe, who) is None else None
        found += [Task(flow, {"handle": who.handle}, code) for flow in FLOWS[:2]]
        found += [
            Task(
                "refresh_post_insights",
                {"handle": who.handle, "shortcode": post.shortcode, "post_id": str(post.graph_id), "post_type": ""},
            )
            for post in asked_posts(universe, who)
        ]
    return found


def owners(universe: Universe, creators: int) -> list[Creator]:
    """The connected accounts that were refreshed."""
    return [who for who in token_owners(universe) if who.index < creators]


def asked_posts(universe: Universe, who: Creator) -> list[Post]:
    """Posts whose numbers are asked for."""
    return recent_own_posts(universe, who)[:POSTS]


def events(universe: Universe, creators: int) -> Mapping[str, int]:  # noqa: ARG001 - the interface
    """Posts and profiles are announced by several parts."""
    return {}


async def compare(scene: Scene, verdict: Verdict) -> None:
    """Rows of instagram_profile_insights and instagram_post, and the answer of REST."""
    await compare_rows(scene, verdict)
    await _compare_rest(scene, verdict)


async def compare_rows(scene: Scene, verdict: Verdict) -> None:
    """What the tasks have stored."""
    audiences = {row["profile_id"]: row for row in await scene.pg.fetch("select * from instagram_profile_insights")}
    posts = {row["shortcode"]: row for row in await scene.pg.fetch("select * from instagram_post")}
    for who in owners(scene.universe, scene.creators):
        wanted = expected_audience(scene.universe, who)
        row = audiences.pop(str(who.pk), None)
        verdict.present(f"audience of {who.handle}", row, there=wanted is not None)
        if wanted is not None and row is not None:
            stored = {column: json.loads(row[column] or "null") for column in wanted}
            verdict.same(f"audience of {who.handle}", stored, wanted)
        for post in asked_posts(scene.universe, who):
            verdict.columns(
                f"insights of {post.shortcode}", expected_insights(scene.universe, post), posts.get(post.shortcode)
            )
    verdict.problems += [f"audience of {profile_id} should not be there" for profile_id in audiences]


async def _compare_rest(scene: Scene, verdict: Verdict) -> None:
    """The account as its own token sees it."""
    tokens = {one.handle: one.credentials for one in scene.world.sandbox.credentials["graphapi"]}
    async with aiohttp.ClientSession(scene.world.api_url) as session:
        for who in owners(scene.universe, scene.creators):
            keys = tokens[who.handle]
            headers = {"X-Access-Token": keys["token"], "X-User-Id": keys["user_id"]}
            url = f"/profiles/instagram/byhandle/{who.handle}/insights"
            async with session.get(url, headers=headers) as response:
                profile = (await response.json()).get("profile") or {}
            verdict.rows += 1
            said = {name: profile.get(name) for name in ("handle", "followers", "following")}
            should = {"handle": who.handle, "followers": who.followers, "following": who.following}
            verdict.same(f"REST insights of {who.handle}", said, should)
