"""What people do to some posts: their comments, likes, and how the comments sound."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from scripts.demo.check import Verdict
from scripts.demo.parts.base import Scene, Task
from tests.sandbox.expected_parts import expected_comments
from tests.sandbox.lists import likers_of
from tests.sandbox.posts import Post, posts_of
from tests.sandbox.universe import OPEN_KINDS, Kind, Universe

NAME = "comments"
FLOWS = ("fetch_post_comments", "fetch_post_likes", "extract_post_sentiment")
POSTS = 12
JUDGED = 4
"""Further posts, whose comments are fetched because they are to be judged."""


def tasks(universe: Universe, creators: int) -> list[Task]:
    """Comments and likes of some posts, the sentiment of others."""
    listed, judged = posts(universe, creators)
    return [
        *(Task("fetch_post_comments", {"shortcode": post.shortcode, "max_comments": None}) for post in listed),
        *(Task("fetch_post_likes", {"shortcode": post.shortcode}) for post in listed),
        *(Task("extract_post_sentiment", {"shortcode": post.shortcode}) for post in judged),
    ]


def posts(universe: Universe, creators: int) -> tuple[list[Post], list[Post]]:
    """The newest post of some accounts that has comments: those that are listed, and those that are judged."""
    kinds = OPEN_KINDS - {Kind.RENAMED}
    known = (universe.creator(index) for index in range(creators))
    newest = [
        next((post for post in posts_of(universe, who) if post.owner == who.index and post.comments), None)
        for who in known
        if who.kind in kinds
    ]
    found = [post for post in newest if post is not None][: POSTS + JUDGED]
    return found[:POSTS], found[POSTS:]


def events(universe: Universe, creators: int) -> Mapping[str, int]:
    """One per comment, like and sentiment."""
    listed, judged = posts(universe, creators)
    comments = sum(len(expected_comments(universe, post)) for post in (*listed, *judged))
    return {
        "post_activity_log_events": comments + sum(len(likers_of(universe, post)) for post in listed),
        "sentiment_log_events": sum(len(expected_comments(universe, post)) for post in judged),
    }


async def compare(scene: Scene, verdict: Verdict) -> None:
    """Rows of post_activity_log and sentiment_log: every comment and like, and no other."""
    listed, judged = posts(scene.universe, scene.creators)
    comments = {
        (post.shortcode, comment_id): one
        for post in (*listed, *judged)
        for comment_id, one in expected_comments(scene.universe, post).items()
    }
    likes = {(post.shortcode, str(who.pk)) for post in listed for who in likers_of(scene.universe, post)}
    for row in await scene.pg.fetch("select * from post_activity_log"):
        if row["activity_type"] == "LIKE":
            _take(verdict, likes, (row["platform_post_id"], row["actor_profile_id"]), "like")
            continue
        key = row["platform_post_id"], row["comment_id"]
        wanted = comments.pop(key, None)
        verdict.present(f"comment {key}", row, there=wanted is not None)
        if wanted is not None:
            said = {**_flat(row["dimensions"]), **_flat(row["metrics"])}
            verdict.same(f"comment {key}", {name: said.get(name) for name in vars(wanted)}, vars(wanted))
    verdict.problems += [f"comment {key}: missing" for key in comments]
    verdict.problems += [f"like {key}: missing" for key in likes]
    await _compare_sentiments(scene, verdict, judged)


async def _compare_sentiments(scene: Scene, verdict: Verdict, judged: list[Post]) -> None:
    """Each comment of these posts is judged once, by its own text."""
    wanted = {
        (post.shortcode, comment_id): one.text
        for post in judged
        for comment_id, one in expected_comments(scene.universe, post).items()
    }
    for row in await scene.pg.fetch("select * from sentiment_log"):
        key = row["platform_post_id"], row["comment_id"]
        verdict.rows += 1
        verdict.same(f"sentiment {key}: comment", row["comment"], wanted.pop(key, None))
        verdict.same(f"sentiment {key}: word", row["sentiment"] in ("positive", "negative", "neutral"), True)
    verdict.problems += [f"sentiment {key}: missing" for key in wanted]


def _take(verdict: Verdict, wanted: set[tuple[str, str]], key: tuple[str, str], what: str) -> None:
    verdict.rows += 1
    if key in wanted:
        wanted.remove(key)
    else:
        verdict.problems.append(f"{what} {key} should not be there")


def _flat(pairs: str | None) -> dict[str, Any]:
    return {one["key"]: one["value"] for one in json.loads(pairs or "[]")}
