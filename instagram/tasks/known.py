"""What the database knows of an account before a refresh is stored, and what its posts will be once it is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from core.models.logs import PostLog, ProfileLog
from instagram.tasks import store_statements as sql
from instagram.tasks.averages import Numbers, averages_of, newest

Run = Callable[..., Awaitable[list[asyncpg.Record]]]
"""Runs a statement with its parameters and gives its rows."""

_NEW = 2**63
"""Ids of new posts are higher than those of all that are stored."""


@dataclass(slots=True)
class Known:
    """``version`` is that of the account's row, None when there is none; ``doubts``: its followers are in question.

    ``owners`` and ``stored`` (id and numbers) are those of the posts that are about to be written, by shortcode;
    ``others`` are the newest of the account's other posts.
    """

    version: str | None = None
    followers: int | None = None
    doubts: bool = False
    owners: dict[str, str | None] = field(default_factory=dict)
    stored: dict[str, tuple[int, Numbers]] = field(default_factory=dict)
    others: list[tuple[int, Numbers]] = field(default_factory=list)

    def averages(self, account: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
        """The averages of the account once these rows, in order of shortcode, are written over what is stored."""
        written = [self._written(row, place) for place, row in enumerate(rows) if self._is_of(row, account)]
        followers = account.get("followers")
        return averages_of(newest(self.others + written), self.followers if followers is None else followers)

    def _is_of(self, row: Mapping[str, Any], account: Mapping[str, Any]) -> bool:
        owner = row.get("profile_id") or self.owners.get(row["shortcode"])
        return bool(owner == account["profile_id"])

    def _written(self, row: Mapping[str, Any], place: int) -> tuple[int, Numbers]:
        """What an absent value leaves as it is."""
        row_id, before = self.stored.get(row["shortcode"], (_NEW + place, _NOTHING))
        said = (row.get(name) for name in Numbers._fields)
        return row_id, Numbers._make(old if new is None else new for new, old in zip(said, before, strict=True))


_NOTHING = Numbers(*(None for _ in Numbers._fields))


async def look(run: Run, profile: ProfileLog, posts: Sequence[PostLog], *, averages: bool) -> Known:
    """Ask the database; its posts are asked for only when ``averages`` or owners hang on them."""
    known = Known()
    asked: tuple[Any, ...] = (sql.LOOK_AT_ACCOUNT, profile.profile_id, profile.platform.value)
    if averages or not all(log.profile_id for log in posts):
        asked = (sql.LOOK, *asked[1:], [log.shortcode for log in posts])
    for row in await run(*asked):
        numbers = row["id"], Numbers(*(row[name] for name in Numbers._fields))
        if row["what"] == "account":
            known.version, known.followers, known.doubts = row["version"], row["followers"], row["doubts"]
        elif row["what"] == "post":
            known.owners[row["shortcode"]] = row["owner"]
            known.stored[row["shortcode"]] = numbers
        else:
            known.others.append(numbers)
    return known
