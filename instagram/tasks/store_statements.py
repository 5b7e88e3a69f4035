"""The two statements that store a refresh: first the rows, then what is said about them.

Through a transaction pooler a statement is sent, parsed and planned anew each time, and costs two round trips: few are
better than many, and columns that no row has are left out of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from core.amqp import outbox
from core.entities.instagram import InstagramAccount, InstagramPost
from instagram.tasks.averages import Numbers, newest_of, set_averages
from instagram.tasks.upserts import upsert

_FIRST_VALUE_STAYS = ("profile_follower", "profile_er", "profile_static_er", "profile_reels_er")

ACCOUNTS = upsert(InstagramAccount, "profile_id")
POSTS = upsert(
    InstagramPost,
    "shortcode",
    rules={
        **dict.fromkeys(_FIRST_VALUE_STAYS, "coalesce(t.{0}, excluded.{0})"),
        # A media pk stands in for the Graph media id only until that is known.
        "post_id": "case when excluded.post_id is distinct from excluded.media_pk"
        " then coalesce(excluded.{0}, t.{0}) else coalesce(t.{0}, excluded.{0}) end",
    },
)

Columns = tuple[str, ...]

_NUMBERS = ", ".join(Numbers._fields)
_NO_NUMBERS = ", ".join(f"null::{POSTS.types[name]} as {name}" for name in Numbers._fields)

_SEEN = """
insert into handle_history as t (platform, handle, profile_id)
select $3::text, r.handle, r.profile_id
from account, jsonb_to_recordset($1::jsonb) as r(handle text, profile_id text) where r.handle is not null
on conflict (platform, handle, profile_id) do update set last_seen = now()"""

# What the statement itself writes is not visible in its tables.
_KNOWN = f"""
select id, {_NUMBERS} from posts where profile_id = (select profile_id from account)
union all
select id, {_NUMBERS} from instagram_post
where profile_id = (select profile_id from account) and shortcode <> all(array(select shortcode from posts))"""  # noqa: S608

_ACCOUNT_ANSWER = (
    f"select 'account' as what, followers, null::text as shortcode, profile_id, {_NO_NUMBERS} from account"  # noqa: S608
)
_POST_ANSWER = f"select 'post', null::bigint, shortcode, profile_id, {_NO_NUMBERS} from posts"  # noqa: S608
_NEWEST_ANSWER = f"select 'newest', null::bigint, null::text, null::text, n.* from ({newest_of('known', 'true')}) n"  # noqa: S608

OWNER = "t.shortcode, t.profile_id"
"""What is told of a written post."""

_ADD_PROFILE_LOG = """
insert into profile_log (profile_id, platform, dimensions, metrics, source, timestamp)
select profile_id, platform, dimensions, metrics, source, timestamp
from jsonb_to_recordset({rows}::jsonb)
     as r(profile_id text, platform text, dimensions jsonb, metrics jsonb, source text, timestamp timestamptz)"""

_ADD_POST_LOGS = """
insert into post_log (platform_post_id, profile_id, platform, dimensions, metrics, source, timestamp)
select platform_post_id, profile_id, platform, dimensions, metrics, source, timestamp
from jsonb_to_recordset({rows}::jsonb)
     as r(platform_post_id text, profile_id text, platform text, dimensions jsonb, metrics jsonb, source text,
          timestamp timestamptz)"""


def columns_of(rows: Iterable[Mapping[str, Any]]) -> Columns:
    """The columns that any of the rows has."""
    return tuple(sorted(set().union(*rows)))


@lru_cache(maxsize=256)
def write_profile(account: Columns, posts: Columns, *, owners: bool, averages: bool) -> str:
    """Write an account's row ``$1`` and rows of posts ``$2``, JSON arrays; ``$3`` is the platform.

    Gives rows of ``what``: ``account`` with its followers; with ``owners`` each ``post`` with its shortcode and its
    owner; with ``averages`` the ``newest`` posts of the account with their numbers. The account is written first, so
    that its row is locked before those of posts.
    """
    after_account = "(select count(*) from account) > 0"
    written = f"t.id, t.shortcode, t.profile_id, {', '.join(f't.{name}' for name in Numbers._fields)}"
    steps = [
        f"account as ({ACCOUNTS.statement(account, '$1::jsonb', returning='t.profile_id, t.followers')})",
        f"seen as ({_SEEN})",
        f"posts as ({POSTS.statement(posts, '$2::jsonb', returning=written, where=after_account)})",
    ]
    answers = [_ACCOUNT_ANSWER]
    if owners:
        answers.append(_POST_ANSWER)
    if averages:
        steps.append(f"known as ({_KNOWN})")
        answers.append(_NEWEST_ANSWER)
    return f"with {', '.join(steps)}\n{' union all '.join(answers)}"


def _say(*steps: str) -> str:
    """Audit rows, and events as ``outbox.ADD`` takes them."""
    named = ", ".join(f"step_{number} as ({step})" for number, step in enumerate(steps))
    return f"with {named} {outbox.ADD}"


ADD_PROFILE_LOG, ADD_POST_LOGS = _ADD_PROFILE_LOG.format(rows="$1"), _ADD_POST_LOGS.format(rows="$1")
"""Audit rows ``$1``, a JSON array."""

_POST_LOGS, _PROFILE_LOG = _ADD_POST_LOGS.format(rows="$5"), _ADD_PROFILE_LOG.format(rows="$6")
SAY_POSTS = _say(_POST_LOGS)
SAY_PROFILE = _say(_POST_LOGS, _PROFILE_LOG)
SAY_REFRESHED = _say(_POST_LOGS, _PROFILE_LOG, set_averages(7, refreshed=True))
"""Audit rows of posts ``$5`` and of the profile ``$6``, JSON arrays; then id and averages for ``set_averages``."""
