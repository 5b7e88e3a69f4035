"""The Graph API lets an account ask for 30 different hashtags in 7 days: counted here, for all processes together."""

from __future__ import annotations

from sqlalchemy import text

from core.crawler.crawler import Admission
from core.crawler.errors import CredentialBusy
from core.crawler.provider import Asked, Credential
from instagram.functions.retriever.crawler import GRAPH
from instagram.models.functions import FETCH_HASHTAG_POSTS, FETCH_HASHTAG_TOP_POSTS
from utils.db import Database
from utils.json_safe import json_safe

HASHTAGS, DAYS = 30, 7

_COUNTED = frozenset({FETCH_HASHTAG_POSTS.name, FETCH_HASHTAG_TOP_POSTS.name})
_LOCK = text("select pg_advisory_xact_lock(hashtextextended('hashtag_budget:' || cast(:user_id as text), 0))")
_FORGET = text("""
delete from hashtag_budget where user_id = :user_id and used_at <= now() - make_interval(days => :days)
""")
_USE = text("""
insert into hashtag_budget as b (user_id, hashtag)
select cast(:user_id as text), cast(:hashtag as text)
where (select count(*) from hashtag_budget where user_id = :user_id and hashtag <> :hashtag) < :hashtags
on conflict (user_id, hashtag) do update set used_at = b.used_at
returning hashtag
""")
"""Asking again for the same hashtag within its days costs nothing and does not prolong them."""
_LEFT = text("""
select extract(epoch from min(used_at) + make_interval(days => :days) - now())::float8
from hashtag_budget where user_id = :user_id
""")


def hashtag_budget(database: Database) -> Admission:
    """Counts the hashtags that Graph credentials ask for, and refuses the one too many."""

    async def admit(credential: Credential, function: str, asked: Asked) -> None:
        if credential.source != GRAPH or function not in _COUNTED or asked.hashtag is None:
            return
        user_id = credential.keys.get("user_id", "")
        window = {"user_id": user_id, "days": DAYS}
        use = {"user_id": user_id, "hashtag": hashtag_word(asked.hashtag), "hashtags": HASHTAGS}
        async with database.sessions.begin() as session:
            await session.execute(_LOCK, {"user_id": user_id})
            await session.execute(_FORGET, window)
            if await session.scalar(_USE, use) is not None:
                return
            left_s = await session.scalar(_LEFT, window)
        raise CredentialBusy(
            f"the account has asked for {HASHTAGS} hashtags in {DAYS} days", retry_after_s=max(left_s or 0.0, 1.0)
        )

    return admit


def hashtag_word(text_: str) -> str:
    """A hashtag as it is counted and asked for: without its sign, in lower case."""
    return str(json_safe(text_.strip().removeprefix("#").lower()))
