"""What a complete refresh must leave in the database, worked out from the universe alone.

Nothing of Beat is imported here: this is the other side of the comparison.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from tests.sandbox.posts import DAY, Media, Post, posts_of, reels_of
from tests.sandbox.universe import GRAPH_KINDS, OPEN_KINDS, Creator, Kind, Universe, as_number, followers_at

POSTS_MORE_THAN, REELS_MORE_THAN, RECENT_DAYS = 50, 10, 30
GRAPH, LAMA, ROCKETAPI = "graphapi", "lama", "rocketapi"
JOTUCKER, ARRAYBOBO, IGAPI = "rapidapi-jotucker", "rapidapi-arraybobo", "rapidapi-igapi"
NEOTANK, BESTSOLUTIONS = "rapidapi-neotank", "rapidapi-bestsolutions"
POSTS_PAGE = {
    JOTUCKER: 50, LAMA: 33, ARRAYBOBO: 12, BESTSOLUTIONS: 12, ROCKETAPI: 12, IGAPI: 50, NEOTANK: 40
}  # fmt: skip
REELS_PAGE = {ARRAYBOBO: 10, ROCKETAPI: 12, LAMA: 12, IGAPI: 150}
SAY_PLAYS = frozenset({JOTUCKER, BESTSOLUTIONS, ROCKETAPI})
"""Sources whose timelines say how often a reel was played; lists of reels always do."""
WEB_PROFILES = frozenset({ROCKETAPI, IGAPI, NEOTANK})
"""Sources whose profiles carry the newest posts without reels, as the web site shows them."""
ALL = (GRAPH, *POSTS_PAGE)
EMBEDDED, NEWEST = 25, 12  # media that come with a profile of Graph, and with one of the web site
_POST_TYPE = {Media.IMAGE: "image", Media.CAROUSEL: "carousel", Media.REEL: "reels", Media.VIDEO: "reels"}


@dataclass(frozen=True)
class ExpectedProfile:
    """Columns of instagram_account. None: the source (Graph) leaves it out."""

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


Rows = Mapping[str, ExpectedPost]
"""Shortcode -> row."""


@dataclass(frozen=True)
class ExpectedCreator:
    """The end of one refresh; what lists hold depends on their source, as pages and columns differ."""

    asked: str
    index: int | None
    kind: Kind
    status: str
    code: int | None
    profiles: Mapping[str, ExpectedProfile] = field(default_factory=dict)
    usual_source: str = ""
    timelines: Mapping[str, Rows] = field(default_factory=dict)
    reels: Mapping[str, Rows] = field(default_factory=dict)
    embedded: Mapping[str, Rows] = field(default_factory=dict)

    @property
    def profile(self) -> ExpectedProfile | None:
        """The row when the first source that covers the account answered."""
        return self.profiles.get(self.usual_source)

    def posts_through(self, profile_source: str, posts_source: str, reels_source: str = ARRAYBOBO) -> Rows:
        """Rows when these sources answered the profile call and the two loops."""
        lists = (
            self.embedded.get(profile_source, {}),
            self.timelines.get(posts_source, {}),
            self.reels.get(reels_source, {}),
        )
        found: dict[str, ExpectedPost] = {}
        for rows in lists:
            found |= {code: _filled(found.get(code), row) for code, row in rows.items()}
        return found

    @property
    def posts(self) -> Mapping[str, Rows]:
        """Source of the posts loop -> rows, the reels being those of the first source."""
        return {source: self.posts_through("", source) for source in POSTS_PAGE}

    @property
    def usual_posts(self) -> Rows:
        """Rows when the first sources of both loops answered."""
        return self.posts_through("", JOTUCKER)


def _filled(known: ExpectedPost | None, row: ExpectedPost) -> ExpectedPost:
    """Lists differ only in what they leave out."""
    if known is None:
        return row
    plays = known.plays if row.plays is None else row.plays
    return replace(row, plays=plays, views=known.views if row.views is None else row.views)


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
        return ExpectedCreator(asked, index, kind, "FAILED", 404)
    if who.kind is Kind.CLOSED:
        return ExpectedCreator(asked, who.index, who.kind, "FAILED", 403)
    first = JOTUCKER if as_number(asked) >= 0 else GRAPH if who.kind in GRAPH_KINDS else ARRAYBOBO
    found = ExpectedCreator(
        asked, who.index, who.kind, "COMPLETE", None, {source: _profile(universe, who, source) for source in ALL}, first
    )
    if who.kind not in OPEN_KINDS:
        return found
    return replace(
        found,
        timelines={source: _timeline(universe, who, source) for source in POSTS_PAGE},
        reels={source: _reels(universe, who, source) for source in REELS_PAGE},
        embedded={source: _embedded(universe, who, source) for source in (GRAPH, *WEB_PROFILES)},
    )


def _profile(universe: Universe, who: Creator, source: str) -> ExpectedProfile:
    from_graph = source == GRAPH
    return ExpectedProfile(
        profile_id=str(who.pk),
        handle=who.handle,
        full_name=who.full_name or None if from_graph else who.full_name,
        biography=who.biography or None if from_graph else who.biography,
        followers=followers_at(who, source),
        following=who.following,
        media_count=len(posts_of(universe, who)),
        is_business_or_creator=who.account_type in {2, 3},
        is_private=None if from_graph else who.is_private,
    )


def _timeline(universe: Universe, who: Creator, source: str) -> Rows:
    posts = _loop(universe, posts_of(universe, who), POSTS_PAGE[source], POSTS_MORE_THAN)
    return {post.shortcode: _post(universe, post, plays=source in SAY_PLAYS) for post in posts}


def _reels(universe: Universe, who: Creator, source: str) -> Rows:
    reels = _loop(universe, reels_of(universe, who), REELS_PAGE[source], REELS_MORE_THAN)
    return {post.shortcode: _post(universe, post, plays=True) for post in reels}


def _embedded(universe: Universe, who: Creator, source: str) -> Rows:
    """The newest media: Graph's are the account's own with neither plays nor views, the web site's are no reels."""
    posts = posts_of(universe, who)
    if source in WEB_PROFILES:
        newest = [post for post in posts if post.media is not Media.REEL][:NEWEST]
        return {post.shortcode: _post(universe, post, plays=False) for post in newest}
    own = [post for post in posts if post.owner == who.index and who.kind in GRAPH_KINDS][:EMBEDDED]
    return {post.shortcode: replace(_post(universe, post, plays=False), views=None) for post in own}


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
