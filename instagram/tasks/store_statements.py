"""The statements that store a refresh: one looks at what is there, one writes everything.

Through a transaction pooler a statement is sent, parsed and planned anew each time, and costs two round trips: few are
better than many, and columns that no row has are left out of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from core.amqp import outbox
from core.entities.instagram import InstagramAccount, InstagramPost
from instagram.tasks.averages import NAMES, Numbers, newest_of
from instagram.tasks.upserts import upsert

_FIRST_VALUE_STAYS = ("profile_follower", "profile_er", "profile_static_er", "profile_reels_er")

ACCOUNTS = upsert(InstagramAccount, "profile_id", rules=dict.fromkeys(NAMES, "excluded.{0}"))
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

LOOK_AT_ACCOUNT = f"""
select 'account' as what, a.xmin::text as version, a.followers, exists (
    select from profile_quarantine q where q.profile_id = a.profile_id and q.platform = $2
    and q."column" = 'followers' and q.resolved_at is null) as doubts,
    null::text as shortcode, null::text as owner, {_NO_NUMBERS}, a.id
from instagram_account a where a.profile_id = $1"""  # noqa: S608 - own names
"""The account ``$1`` of platform ``$2``: its version, followers, and whether some are waiting to be confirmed."""

_OTHERS = newest_of("profile_id = $1 and shortcode <> all($3::text[])")
LOOK = f"""{LOOK_AT_ACCOUNT}
union all
select 'post', null, null, null, shortcode, profile_id, {_NUMBERS}, id
from instagram_post where shortcode = any($3::text[])
union all
select 'newest', null, null, null, null, null, n.* from ({_OTHERS}) n
"""  # noqa: S608
"""The account with the posts ``$3`` as they are stored, and the newest of its other posts."""

_SEEN = """
insert into handle_history as t (platform, handle, profile_id)
select $3::text, r.handle, r.profile_id
from account, jsonb_to_recordset($1::jsonb) as r(handle text, profile_id text) where r.handle is not null
on conflict (platform, handle, profile_id) do update set last_seen = now()"""

_PROFILE_LOG = """
insert into profile_log (profile_id, platform, dimensions, metrics, source, timestamp)
select profile_id, platform, dimensions, metrics, source, timestamp
from jsonb_to_recordset({rows}::jsonb)
     as r(profile_id text, platform text, dimensions jsonb, metrics jsonb, source text, timestamp timestamptz)
where {condition}"""

_POST_LOGS = """
insert into post_log (platform_post_id, profile_id, platform, dimensions, metrics, source, timestamp)
select platform_post_id, profile_id, platform, dimensions, metrics, source, timestamp
from jsonb_to_recordset({rows}::jsonb)
     as r(platform_post_id text, profile_id text, platform text, dimensions jsonb, metrics jsonb, source text,
          timestamp timestamptz)
where {condition}"""

ADD_PROFILE_LOG = _PROFILE_LOG.format(rows="$1", condition="true")
ADD_POST_LOGS = _POST_LOGS.format(rows="$1", condition="true")
"""Audit rows ``$1``, a JSON array."""

SAY_POSTS = f"with audit as ({_POST_LOGS.format(rows='$5', condition='true')}) {outbox.ADD}"
"""Events as ``outbox.ADD`` takes them, and audit rows ``$5`` of the posts that they speak of."""

_ACCOUNT_FIRST = "(select count(*) from account) > 0"
_ALL_LOCKED = f"{_ACCOUNT_FIRST} and (select count(*) from posts) >= 0"  # noqa: S608


def columns_of(rows: Iterable[Mapping[str, Any]]) -> Columns:
    """The columns that any of the rows has."""
    return tuple(sorted(set().union(*rows)))


@lru_cache(maxsize=256)
def write_profile(account: Columns, posts: Columns, *, refreshed: bool) -> str:
    """Everything of a refresh, if the account's row is still of the version ``$4`` (null: there was none).

    ``$1`` the account's row and ``$2`` rows of posts as JSON arrays, ``$3`` platform, ``$5`` and ``$6`` audit rows of
    the profile and the posts, ``$7`` to ``$10`` events. Gives one row, or none when nothing was written. The account's
    row is locked first, then those of posts, and events come last. ``refreshed`` stamps the account so.
    """
    guard, stamp = "t.xmin::text = $4", "refreshed_at" if refreshed else None
    written = ACCOUNTS.statement(account, "$1::jsonb", returning="t.profile_id", stamp=stamp, guard=guard)
    return f"""
with account as ({written}),
seen as ({_SEEN}),
posts as ({POSTS.statement(posts, "$2::jsonb", returning="t.id", where=_ACCOUNT_FIRST)}),
audit as ({_PROFILE_LOG.format(rows="$5", condition=_ACCOUNT_FIRST)}),
audits as ({_POST_LOGS.format(rows="$6", condition=_ACCOUNT_FIRST)}),
said as ({outbox.adding(7, _ALL_LOCKED)})
select profile_id from account"""  # noqa: S608 - own names
