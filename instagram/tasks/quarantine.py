"""Followers that nobody confirms stay out of the row, the audit trail and the events. No network here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from core.models.logs import ProfileLog
from core.queue import tasks
from instagram.models.keys import FOLLOWERS
from instagram.tasks.quality import Opinion, Verdict, judge, jump_text
from utils.db import fetch_in
from utils.times import utc_now

AGAIN_AFTER, AGAIN_WITHIN = timedelta(hours=1), timedelta(hours=6)
"""When an undecided account is refreshed once more, and how long that may wait for its turn."""

_STORED = """
select a.followers, (
    select coalesce(jsonb_agg(jsonb_build_object('source', q.source, 'new', q.new,
                                                 'recent', q.seen_at > now() - interval '1 day')), '[]')
    from profile_quarantine q
    where q.profile_id = a.profile_id and q.platform = $2 and q."column" = 'followers'
      and q.resolved_at is null) as open
from instagram_account a where a.profile_id = $1 for no key update of a
"""
_DOUBT = text("""
insert into profile_quarantine as q (platform, profile_id, source, "column", old, new, reason)
values (:platform, :profile_id, :source, 'followers', :old, :new, :reason)
on conflict (profile_id, platform, "column", source) where resolved_at is null
do update set old = excluded.old, new = excluded.new, reason = excluded.reason, seen_at = now()
""")
_FIRST_OPEN = text("""
select min(id) from profile_quarantine
where profile_id = :profile_id and platform = :platform and "column" = 'followers' and resolved_at is null
""")
_RESOLVE = text("""
update profile_quarantine set resolved_at = now(), resolution = :resolution
where profile_id = :profile_id and platform = :platform and "column" = 'followers' and resolved_at is null
""")


class Doubtful(Exception):
    """Followers jumped from ``old`` to what ``first`` says: other sources should be asked before it is stored."""

    def __init__(self, old: int | None, first: Opinion) -> None:
        super().__init__(jump_text(old, first.followers))
        self.old = old
        self.first = first


async def checked(
    session: AsyncSession, profile: ProfileLog, others: Sequence[Opinion] | None
) -> tuple[ProfileLog, Verdict | None]:
    """The profile with followers that can be believed, or without any, and how that was decided; locks the row.

    ``others`` is what sources said that were asked because of a doubt; None when they have not been asked yet.
    While nothing is decided, one more refresh is queued: one for all doubts until then.

    Raises:
        Doubtful: others should be asked first; nothing was written.
    """
    ids = {"platform": profile.platform.value, "profile_id": profile.profile_id}
    followers = profile.metrics.get(FOLLOWERS)
    rows = await fetch_in(session, _STORED, profile.profile_id, profile.platform.value)
    if not rows or type(followers) is not int:
        return profile, None
    old, doubts = rows[0]["followers"], rows[0]["open"]
    first = Opinion(profile.source, followers)
    waiting = [Opinion(one["source"], one["new"]) for one in doubts if one["recent"]]
    verdict = judge(old, first, others or (), waiting)
    if verdict.resolution is None and others is None:
        raise Doubtful(old, first)
    for one in verdict.doubted:
        reason = jump_text(old, one.followers)
        told = {"source": one.source, "old": old, "new": one.followers, "reason": reason}
        await session.execute(_DOUBT, {**ids, **told})
    if verdict.resolution is None:
        await _queue_another(session, ids)
    elif verdict.doubted or doubts:
        await session.execute(_RESOLVE, {**ids, "resolution": verdict.resolution})
    return _with_followers(profile, verdict.believed), verdict


def plainly(profile: ProfileLog, old: int | None) -> tuple[ProfileLog, Verdict | None] | None:
    """As ``checked``, of an account without open doubts that has ``old`` followers; None when they jump."""
    followers = profile.metrics.get(FOLLOWERS)
    if type(followers) is not int:
        return profile, None
    verdict = judge(old, Opinion(profile.source, followers), (), ())
    return None if verdict.resolution is None else (_with_followers(profile, verdict.believed), verdict)


def _with_followers(profile: ProfileLog, believed: Opinion | None) -> ProfileLog:
    metrics = {key: value for key, value in profile.metrics.items() if key != FOLLOWERS}
    return replace(profile, metrics=metrics if believed is None else {**metrics, FOLLOWERS: believed.followers})


async def _queue_another(session: AsyncSession, ids: dict[str, str]) -> None:
    first = await session.scalar(_FIRST_OPEN, ids)
    run_after = utc_now() + AGAIN_AFTER
    task = tasks.NewTask(
        flow="refresh_profile_by_profile_id",
        platform=ids["platform"],
        params={"profile_id": ids["profile_id"]},
        idempotency_key=f"quarantine-{first}",
        run_after=run_after,
        expires_at=run_after + AGAIN_WITHIN,
        reason="QUARANTINE",
    )
    await tasks.create(session, task)
