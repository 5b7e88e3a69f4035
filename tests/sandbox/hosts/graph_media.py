"""Graph's media, story and user objects, cut down to the fields that were asked for."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from tests.sandbox import ids
from tests.sandbox.dialects.urls import avatar_url, image_url, video_url
from tests.sandbox.hosts.graph_fields import Field
from tests.sandbox.posts import Media, Post, posts_of, stories_of
from tests.sandbox.templates import Json, Template, sample
from tests.sandbox.universe import Creator, Universe, as_number

_S = "graphapi"
_MEDIA = {
    Media.REEL: Template(_S, "fetch_profile_posts_by_id", "data", 0),
    Media.CAROUSEL: Template(_S, "fetch_profile_posts_by_id", "data", 1),
    Media.IMAGE: Template(_S, "fetch_profile_posts_by_id", "data", 2),
    Media.VIDEO: Template(_S, "fetch_profile_posts_by_id", "data", 3),
}
_STORY = {
    Media.IMAGE: Template(_S, "fetch_stories_posts", "data", 0),
    Media.VIDEO: Template(_S, "fetch_stories_posts", "data", 1),
}
_USER = Template(_S, "fetch_profile_by_id")
USER_FIELDS = frozenset(sample(_S, "fetch_profile_by_id"))
MEDIA_FIELDS = frozenset(key for item in sample(_S, "fetch_profile_posts_by_id")["data"] for key in item)
DISCOVERY_DEFAULT, DISCOVERY_MAX = 25, 50
_CURSOR = "QVFIU"


def stamp(moment: int) -> str:
    """Graph's time text: UTC without a colon in the offset."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%S+0000")


def user_object(universe: Universe, who: Creator, asked: Iterable[str]) -> Json:
    """User fields in the order asked, ``id`` last; empty texts are left out; ig_id is a number, not so in media."""
    template: Json = _USER.new()
    template.update(
        biography=who.biography,
        followers_count=who.followers,
        follows_count=who.following,
        ig_id=who.pk,
        media_count=len(posts_of(universe, who)),
        name=who.full_name,
        profile_picture_url=avatar_url(who.pk),
        username=who.handle,
        website=who.external_url or "",
        id=str(who.fbid),
    )
    return _pick(template, asked, {"biography", "name", "website"})


def own_posts(universe: Universe, who: Creator) -> list[Post]:
    """What Graph lists: posts that the account itself published."""
    return [post for post in posts_of(universe, who) if post.owner == who.index]


def media_object(universe: Universe, post: Post, asked: Iterable[str]) -> Json:
    """Media fields in the order asked, ``id`` last. Hidden likes and an empty caption are left out."""
    owner = universe.creator(post.index)
    story = post.slot >= ids.FIRST_STORY
    item: Json = (_STORY if story else _MEDIA)[post.media].new()
    kind = "reel" if post.media is Media.REEL else "p"
    place = f"stories/{owner.handle}/{post.pk}" if story else f"{kind}/{post.shortcode}"
    item.update(
        caption=post.caption,
        comments_count=post.comments,
        like_count=post.likes,
        media_url=video_url(post.pk) if post.is_video else image_url(post.pk),
        permalink=f"https://www.instagram.com/{place}/",
        timestamp=stamp(post.taken_at),
        username=owner.handle,
        ig_id=str(post.pk),
        shortcode=post.shortcode,
        owner={"id": str(owner.fbid)},
        id=str(post.graph_id),
    )
    if post.is_video:
        item["thumbnail_url"] = image_url(post.pk, 720, 1280)
    if post.children:
        numbers = range(1, len(post.children) + 1)
        item["children"] = {"data": [{"id": str(ids.graph_media_id(post.index, post.slot, n))} for n in numbers]}
    _leave_out(item, post, story)
    return _pick(item, asked, {"caption"})


def _leave_out(item: Json, post: Post, story: bool) -> None:
    if story:
        item["like_count"] = 0
        del item["comments_count"]
    elif post.likes_hidden:
        del item["like_count"]
    if post.media is Media.REEL and post.slot % 16 == 15:
        del item["media_url"]  # copyrighted sound


def _pick(item: Json, asked: Iterable[str], droppable: set[str]) -> Json:
    empty = {key for key in droppable if not item.get(key)}
    found = {key: item[key] for key in asked if key in item and key != "id" and key not in empty}
    return {**found, "id": item["id"]}


def discovered_media(universe: Universe, who: Creator, asked: Field) -> Json | None:
    """``media`` of a discovery: cursors only, ``after`` present while there is more; None when there is nothing."""
    posts = own_posts(universe, who)
    offset = offset_of(asked.modifiers.get("after", ""))
    limit = min(positive(asked.modifiers.get("limit"), DISCOVERY_DEFAULT), DISCOVERY_MAX)
    page = posts[offset : offset + limit]
    if not posts:
        return None
    cursors = {}
    if offset:
        cursors["before"] = cursor(offset)
    if offset + len(page) < len(posts):
        cursors["after"] = cursor(offset + len(page))
    names = list(asked.below or {})
    return {"data": [media_object(universe, post, names) for post in page], "paging": {"cursors": cursors}}


def story_page(universe: Universe, who: Creator, names: list[str]) -> list[Json]:
    """Current stories."""
    return [media_object(universe, story, names) for story in stories_of(universe, who)]


def edge(items: Sequence[Any], query: Mapping[str, str], path: str, most: int = 50) -> tuple[Sequence[Any], Json]:
    """(page, paging) of an own edge: both cursors, and ``next`` only while there is more."""
    offset = offset_of(query.get("after", ""))
    page = items[offset : offset + min(positive(query.get("limit"), 25), most)]
    if not page:
        return page, {}
    end = offset + len(page)
    paging: Json = {"cursors": {"before": cursor(offset), "after": cursor(end)}}
    if end < len(items):
        fields = query.get("fields", "id").replace(",", "%2C")
        link = f"access_token=REDACTED&fields={fields}&limit={len(page)}&after={cursor(end)}"
        paging["next"] = f"https://graph.facebook.com{path}?{link}"
    return page, paging


def positive(text: str | None, otherwise: int) -> int:
    """The positive number that a parameter means."""
    number = as_number(text or "")
    return number if number > 0 else otherwise


def cursor(offset: int) -> str:
    """Opaque paging text."""
    return _CURSOR + base64.urlsafe_b64encode(f"offset-{offset:06d}".encode()).decode().rstrip("=")


def offset_of(text: str) -> int:
    """Where a cursor points; the start for one that was never issued."""
    raw = text.removeprefix(_CURSOR)
    try:
        return max(int(base64.urlsafe_b64decode(raw + "=" * (-len(raw) % 4)).removeprefix(b"offset-") or b"0"), 0)
    except ValueError:
        return 0
