"""Compares what Beat stored with what the simulator's universe says, row by row and column by column."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import aio_pika
import asyncpg

from tests.sandbox.expected import ExpectedCreator, ExpectedPost, expected_rows
from tests.sandbox.universe import Universe

PUBLISHED = {"profile_log_events": "profile_log", "post_log_events": "post_log"}


@dataclass
class Verdict:
    """What was compared, and what differs."""

    rows: int = 0
    problems: list[str] = field(default_factory=list)

    def same(self, what: str, is_: object, should: object) -> None:
        """Note a difference."""
        if is_ != should:
            self.problems.append(f"{what}: is {is_!r}, should be {should!r}")

    def present(self, what: str, row: object, *, there: bool) -> None:
        """Note a row that is missing, or one too many."""
        self.rows += 1
        if (row is not None) != there:
            self.problems.append(f"{what}: missing" if there else f"{what}: should not be there")

    def columns(self, what: str, expected: Mapping[str, Any], row: asyncpg.Record | None) -> None:
        """Note every column of a row that differs, or that there is no row."""
        self.present(what, row, there=True)
        if row is not None:
            for column, value in expected.items():
                self.same(f"{what}: {column}", row[column], value)


async def compare(pg: asyncpg.Connection, universe: Universe, handles: Sequence[str]) -> Verdict:
    """Tasks, profiles, posts and audit rows of the main job against the universe."""
    verdict = Verdict()
    expected = expected_rows(universe, handles)
    tasks = {
        row["handle"]: row
        for row in await pg.fetch("select params ->> 'handle' as handle, status, data, result from scrape_request_log")
    }
    profiles = {row["profile_id"]: row for row in await pg.fetch("select * from instagram_account")}
    posts = {row["shortcode"]: row for row in await pg.fetch("select * from instagram_post")}
    wanted: dict[str, ExpectedPost] = {}
    for handle, creator in expected.items():
        _compare_task(verdict, handle, creator, tasks.get(handle))
        sources = _sources(tasks[handle]) if handle in tasks else Sources()
        profile = creator.profiles.get(sources.profile, creator.profile)
        if profile is not None:
            verdict.columns(f"profile {handle}", vars(profile), profiles.pop(profile.profile_id, None))
        wanted |= creator.posts_through(sources.profile, sources.posts, sources.reels)
    for shortcode, post in wanted.items():
        verdict.columns(f"post {shortcode}", vars(post), posts.pop(shortcode, None))
    verdict.problems += [f"profile {profile_id} should not be there" for profile_id in profiles]
    verdict.problems += [f"post {shortcode} should not be there" for shortcode in posts]
    await _compare_audit(verdict, pg, sum(c.profile is not None for c in expected.values()), len(wanted))
    return verdict


def compare_broker(verdict: Verdict, depths: Mapping[str, int], confirmed: Mapping[str, int]) -> None:
    """The broker holds exactly what it has confirmed."""
    for key, count in confirmed.items():
        verdict.same(f"messages in {queue_of(key)}", depths.get(key, 0), count)


def queue_of(key: str) -> str:
    """The queue that a routing key leads to."""
    return "sentiment_analysis_q" if key == "post_activity_log_bulk" else f"{key}_q"


async def queue_depths(rmq_url: str, keys: Sequence[str]) -> dict[str, int]:
    """Messages waiting per routing key; 0 for a queue that does not exist yet."""
    depths: dict[str, int] = {}
    async with await aio_pika.connect(rmq_url) as connection:
        for key in keys:
            channel = await connection.channel()
            try:
                queue = await channel.declare_queue(queue_of(key), passive=True)
                depths[key] = queue.declaration_result.message_count or 0
            except aio_pika.exceptions.ChannelNotFoundEntity:
                depths[key] = 0
    return depths


class Sources(NamedTuple):
    """Which sources a task got the profile, the posts and the reels from; empty for none."""

    profile: str = ""
    posts: str = ""
    reels: str = ""


def _sources(task: asyncpg.Record) -> Sources:
    """What a complete task says of its sources."""
    if task["status"] != "COMPLETE":
        return Sources()
    sources = json.loads(task["result"])["sources"]
    return Sources(sources.get("profile", ""), sources.get("posts", ""), sources.get("reels", ""))


def _compare_task(verdict: Verdict, handle: str, creator: ExpectedCreator, task: asyncpg.Record | None) -> None:
    verdict.rows += 1
    if task is None:
        verdict.problems.append(f"task {handle}: missing")
        return
    verdict.same(f"task {handle}: status", task["status"], creator.status)
    if creator.code is not None and not (task["data"] or "").startswith(f"({creator.code}, "):
        verdict.problems.append(f"task {handle}: data is {task['data']!r}, should begin with ({creator.code}, ")


async def _compare_audit(verdict: Verdict, pg: asyncpg.Connection, profiles: int, posts: int) -> None:
    verdict.same("rows of profile_log", await pg.fetchval("select count(*) from profile_log"), profiles)
    verdict.same("rows of post_log", await pg.fetchval("select count(*) from post_log"), posts)
    confirmed = Counter({r["routing_key"]: r["confirmed"] for r in await pg.fetch("select * from event_confirmed")})
    verdict.same("profile events confirmed", confirmed["profile_log_events"], profiles)
    verdict.same("post events confirmed", confirmed["post_log_events"], posts)
