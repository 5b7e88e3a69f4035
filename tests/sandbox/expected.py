"""What a complete refresh must leave in the database, worked out from the universe alone.

Nothing of Beat is imported here: this is the other side of the comparison.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from tests.sandbox.posts import DAY, Media, Post, posts_of, reels_of
from tests.sandbox.universe import GRAPH_KINDS, OPEN_KINDS, Creator, Kind, Universe, as_number, followers_at

POSTS_MORE_THAN, REELS_MORE_THAN, RECENT_DAYS = 50, 10, 30
GRAPH = "graphapi"
JOTUCKER, ARRAYBOBO = "rapidapi-jotucker", "rapidapi-arraybobo"
POSTS_PAGE = {JOTUCKER: 50, ARRAYBOBO: 12}
EMBEDDED = 25  # media that come with a profile of Graph
REELS_PAGE = 10
_POST_TYPE = {Media.IMAGE: "image", Media.CAROUSEL: "carousel", Media.REEL: "reels", Media.VIDEO: "reels"}


@dataclass(frozen=True)
class ExpectedProfile:
    """Columns of instagram_account. None: the first source that covers it (Graph) leaves it out."""

    profile_id: str
    handle: str
    full_name: str | None
    biography: str | None
    followers: int
    following: int
    media_count: int
    is_business_or_creator: bool
    is_private: bool | None


@dataclass(frozen=True)
class ExpectedPost:
    """Columns of instagram_post; null where the account hides it, or the kind of media or the source has none."""

    shortcode: str
    profile_id: str
    handle: str
    post_type: str
    caption: str | None
    likes: int | None
    comments: int
    plays: int | None
    views: int | None
    publish_time: datetime


@dataclass(frozen=True)
class ExpectedCreator:
    """The end of one refresh. ``posts``: source of the posts loop -> shortcode -> row, as pages differ by source.

    ``embedded`` rows are there besides when the profile came from Graph, with what the loops add to the same posts.
    """

    asked: str
    index: int | None
    kind: Kind
    status: str
    code: int | None
    profile: ExpectedProfile | None
    posts: dict[str, dict[str, ExpectedPost]]
    embedded: dict[str, ExpectedPost] = field(default_factory=dict)

    def posts_through(self, profile_source: str, posts_source: str) -> dict[str, ExpectedPost]:
        """Rows when these sources answered the profile call and the posts loop."""
        embedded = self.embedded if profile_source == GRAPH else {}
        return embedded | self.posts.get(posts_source, {})

    @property
    def usual_posts(self) -> dict[str, ExpectedPost]:
        """Rows when the first source of the posts loop answered."""
        return self.posts[JOTUCKER]


def expected_rows(universe: Universe, asked: Iterable[str]) -> dict[str, ExpectedCreator]:
    """Handle or profile id -> what refresh_profile_by_handle or _by_profile_id must leave behind.

    Missing accounts and dead handles fail with 404, accounts whose profile is refused with 403. An account that shows
    its profile but no posts completes with a profile and no posts.
    """
    return {text: _expected(universe, text) for text in asked}


def _expected(universe: Universe, asked: str) -> ExpectedCreator:
    who = universe.by_pk(asked) if as_number(asked) >= 0 else universe.by_handle(asked)
    if who is None:
        index = universe.index_of_handle(asked)
        kind = Kind.MISSING if index is None else universe.creator(index).kind
        return ExpectedCreator(asked, index, kind, "FAILED", 404, None, _no_posts())
    if who.kind is Kind.CLOSED:
        return ExpectedCreator(asked, who.index, who.kind, "FAILED", 403, None, _no_posts())
    by_handle = as_number(asked) < 0
    posts = (
        _no_posts() if who.kind not in OPEN_KINDS else {source: _posts(universe, who, source) for source in POSTS_PAGE}
    )
    profile = _profile(universe, who, by_handle)
    return ExpectedCreator(asked, who.index, who.kind, "COMPLETE", None, profile, posts, _embedded(universe, who))


def _no_posts() -> dict[str, dict[str, ExpectedPost]]:
    return {source: {} for source in POSTS_PAGE}


def _profile(universe: Universe, who: Creator, by_handle: bool) -> ExpectedProfile:
    from_graph = by_handle and who.kind in GRAPH_KINDS
    return ExpectedProfile(
        profile_id=str(who.pk),
        handle=who.handle,
        full_name=who.full_name or None if from_graph else who.full_name,
        biography=who.biography or None if from_graph else who.biography,
        followers=who.followers if by_handle else followers_at(who, JOTUCKER),
        following=who.following,
        media_count=len(posts_of(universe, who)),
        is_business_or_creator=who.account_type in {2, 3},
        is_private=None if from_graph else who.is_private,
    )


def _posts(universe: Universe, who: Creator, source: str) -> dict[str, ExpectedPost]:
    """Union of the two loops; a reel gets its plays from the reels loop also when the posts loop did not say them."""
    timeline = _loop(universe, posts_of(universe, who), POSTS_PAGE[source], POSTS_MORE_THAN)
    reels = _loop(universe, reels_of(universe, who), REELS_PAGE, REELS_MORE_THAN)
    found = {post.shortcode: _post(universe, post, plays=source == JOTUCKER) for post in timeline}
    found.update({post.shortcode: _post(universe, post, plays=True) for post in reels})
    return found


def _embedded(universe: Universe, who: Creator) -> dict[str, ExpectedPost]:
    """The newest media as Graph tells them: neither plays nor views."""
    if who.kind not in GRAPH_KINDS:
        return {}
    newest = posts_of(universe, who)[:EMBEDDED]
    return {post.shortcode: replace(_post(universe, post, plays=False), views=None) for post in newest}


def _loop(universe: Universe, posts: Sequence[Post], page: int, more_than: int) -> Sequence[Post]:
    """Whole pages, until none is left, the oldest of a page is older than 30 days, or more than so many are there."""
    end = 0
    while end < len(posts):
        oldest = min(post.taken_at for post in posts[end : end + page])
        end = min(end + page, len(posts))
        if oldest < universe.now - RECENT_DAYS * DAY or end > more_than:
            break
    return posts[:end]


def _post(universe: Universe, post: Post, plays: bool) -> ExpectedPost:
    owner = universe.creator(post.owner)
    return ExpectedPost(
        shortcode=post.shortcode,
        profile_id=str(owner.pk),
        handle=owner.handle,
        post_type=_POST_TYPE[post.media],
        caption=post.caption,
        likes=None if post.likes_hidden else post.likes,
        comments=post.comments,
        plays=post.plays if plays else None,
        views=post.views,
        publish_time=datetime.fromtimestamp(post.taken_at, UTC),
    )
