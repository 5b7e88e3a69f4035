"""What is already stored about accounts and posts. Each look is one short statement."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import text

from core.enums import Platform
from core.models.logs import ProfileLog
from core.runtime import FlowContext
from instagram.models.keys import HANDLE, PROFILE_ID
from utils.times import utc_now

_BY_HANDLE = text("""
select profile_id, handle from instagram_account where handle = lower(:handle)
order by updated_at desc limit 1
""")
"""Handles are recycled: of several accounts the one seen last owns it."""
_BY_ID = text("select profile_id, handle from instagram_account where profile_id = :profile_id")
_SHORTCODE = text("""
select shortcode from instagram_post where post_id = any(array[:given, :plain]) or media_pk = :plain
order by updated_at desc limit 1
""")


@dataclass(frozen=True, slots=True)
class Account:
    """An account as posts that are found with it need it: each part is null while it is unknown."""

    profile_id: str | None
    handle: str | None = None

    def as_log(self) -> ProfileLog | None:
        """What ``complete_posts`` wants; None without an id."""
        if self.profile_id is None:
            return None
        named = {PROFILE_ID: self.profile_id} | ({HANDLE: self.handle} if self.handle else {})
        return ProfileLog(Platform.INSTAGRAM, self.profile_id, "", utc_now(), named)


async def account_by_handle(ctx: FlowContext, handle: str) -> Account:
    """The account that has this handle, as far as it is stored."""
    async with ctx.runtime.database.sessions() as session:
        row = (await session.execute(_BY_HANDLE, {"handle": handle})).one_or_none()
    return Account(row.profile_id if row else None, handle.lower())


async def account_by_id(ctx: FlowContext, profile_id: str) -> Account:
    """The account of this id, as far as it is stored."""
    async with ctx.runtime.database.sessions() as session:
        row = (await session.execute(_BY_ID, {"profile_id": profile_id})).one_or_none()
    return Account(profile_id, row.handle if row else None)


async def stored_shortcode(ctx: FlowContext, given: str, plain: str) -> str | None:
    """The shortcode of the post with this Graph media id or media pk; ``plain`` is the id without ``_<user>``."""
    async with ctx.runtime.database.sessions() as session:
        found: str | None = await session.scalar(_SHORTCODE, {"given": given, "plain": plain})
    return found
