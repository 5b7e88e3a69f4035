"""Accounts that have connected themselves: their own token is stored and may be used."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

_HANDLES = text("""
select distinct handle from credential
where source = :source and handle is not null and enabled and not data_access_expired
order by handle
""")


async def connected_handles(session: AsyncSession, source: str) -> list[str]:
    """Handles (lower case) with a credential of the source that is enabled and whose data access has not run out."""
    return list(await session.scalars(_HANDLES, {"source": source}))
