"""What parsers give: one profile with the posts that came along, or one page of posts."""

from __future__ import annotations

from dataclasses import dataclass, field

from core.models.logs import PostLog, ProfileLog


@dataclass(frozen=True, slots=True)
class ProfilePage:
    """A profile and the posts embedded in its payload (none for most sources)."""

    profile: ProfileLog
    posts: list[PostLog] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class PostsPage:
    """Posts in the order of the answer. Without a next page ``cursor`` is null, and the other way round."""

    posts: list[PostLog]
    has_next_page: bool = False
    cursor: str | None = None


def posts_page(posts: list[PostLog], cursor: str | None, *, more: bool | None = True) -> PostsPage:
    """A page whose source gave ``cursor`` and a flag: both are needed, and a flag that was not given counts as true."""
    has_next = cursor is not None and more is not False
    return PostsPage(posts, has_next, cursor if has_next else None)
