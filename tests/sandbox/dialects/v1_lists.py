"""Mobile API lists: feeds, people, comments, story trays and hashtag sections."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from tests.sandbox.dialects import v1
from tests.sandbox.lists import Comment, comment, comment_count
from tests.sandbox.paging import Opaque, Page, cut
from tests.sandbox.posts import Media, Post, stories_of
from tests.sandbox.templates import Json, Template, typed_like
from tests.sandbox.universe import Creator, Trait, Universe

_ROCKET = "rocketapi"
_BODY = "response", "body"
_COMMENTS = Template(_ROCKET, "fetch_post_comments", *_BODY)
_LATER_COMMENTS = Template(_ROCKET, "fetch_post_comments.page2", *_BODY)
_COMMENT = Template(_ROCKET, "fetch_post_comments", *_BODY, "comments", 1)
_PEOPLE = Template(_ROCKET, "fetch_followers", *_BODY)
_PERSON = Template(_ROCKET, "fetch_followers", *_BODY, "users", 0)
_STORIES = Template(_ROCKET, "fetch_story_posts_by_profile_id", *_BODY)
_NO_STORIES = Template(_ROCKET, "fetch_story_posts_by_profile_id.no-stories", *_BODY)
_TRAY = "reels", next(iter(_STORIES.new()["reels"]))
_STORY = {
    is_video: Template(_ROCKET, "fetch_story_posts_by_profile_id", *_BODY, *_TRAY, "items", int(is_video))
    for is_video in (False, True)
}
_SECTIONS = Template(_ROCKET, "fetch_hashtag_posts", *_BODY)
_FIRST = "sections", 0, "layout_content", "medias", 0
_IN_SECTION = {
    Media.IMAGE: Template(_ROCKET, "fetch_hashtag_posts", *_BODY, *_FIRST, "media"),
    Media.REEL: Template(_ROCKET, "fetch_reels_posts", *_BODY, "items", 0, "media"),
}
COMMENTS_PAGE = 15


def feed(universe: Universe, page: Page[Post], templates: dict[Media, Template]) -> Json:
    """A feed's items and flags; ``next_max_id`` is absent where there is no cursor."""
    items = [v1.fill_media(templates[post.media].new(), universe, post) for post in page.items]
    body: Json = {
        "items": items,
        "num_results": len(items),
        "more_available": page.more,
        "auto_load_more_enabled": True,
        "status": "ok",
    }
    return body | ({"next_max_id": page.cursor} if page.cursor else {})


def people(page: Page[Creator]) -> Json:
    """``users[]``; ``next_max_id`` is absent on the last page, and the flag is called ``big_list``."""
    body: Json = _PEOPLE.new()
    del body["next_max_id"]
    body.update(users=[v1.fill_user(_PERSON.new(), who) for who in page.items], big_list=page.more)
    return body | ({"next_max_id": page.cursor} if page.cursor else {})


def comments(universe: Universe, post: Post, cursor: str, trait: Trait) -> Json | None:
    """``comments[]``: the cursor ``next_min_id`` is JSON text, and ``has_more_comments`` is no sign of it."""
    page = cut(range(comment_count(post)), cursor, COMMENTS_PAGE, JsonText(), trait)
    if page is None:
        return None
    body: Json = (_LATER_COMMENTS if cursor else _COMMENTS).new()
    body.update(
        comments=[_comment(comment(universe, post, number)) for number in page.items],
        comment_count=post.comments,
        has_more_headload_comments=bool(page.cursor),
    )
    body.pop("next_min_id", None)
    if "caption" in body:
        _fill_caption(body, universe, post)
    return body | ({"next_min_id": page.cursor} if page.cursor else {})


class JsonText:
    """A cursor that is itself a JSON text."""

    def write(self, offset: int) -> str:
        return json.dumps({"cached_comments_cursor": Opaque().write(offset), "bifilter_token": "KDsBEABAACgAGAAYABAA"})

    def read(self, text: str) -> int | None:
        try:
            return Opaque().read(str(json.loads(text)["cached_comments_cursor"]))
        except (ValueError, KeyError, TypeError):
            return None


def _comment(said: Comment) -> Json:
    item: Json = _COMMENT.new()
    writer = said.writer
    item.update(
        pk=str(said.pk),
        user_id=typed_like(item["user_id"], writer.pk),
        text=said.text,
        created_at=said.created_at,
        created_at_utc=said.created_at,
        comment_like_count=said.likes,
        child_comment_count=int(said.replied),
    )
    v1.fill_user(item["user"], writer)
    return item


def _fill_caption(body: Json, universe: Universe, post: Post) -> None:
    if post.caption is None:
        body["caption"] = None
        return
    holder: Json = {"caption": body["caption"]}
    v1.fill_caption(holder, universe.creator(post.owner), post)


def trays(universe: Universe, creators: Sequence[Creator]) -> Json:
    """Reels-media of some accounts; those without stories have no key, private ones neither."""
    body: Json = _NO_STORIES.new()
    for who in creators:
        stories = () if who.is_private else stories_of(universe, who)
        if stories:
            tray = _tray(universe, who, stories)
            body["reels"][str(who.pk)] = tray
            body["reels_media"].append(tray)
    return body


def _tray(universe: Universe, who: Creator, stories: Sequence[Post]) -> Json:
    (tray,) = _STORIES.new()["reels"].values()
    found: Json = tray
    v1.fill_user(found["user"], who)
    newest = stories[-1].taken_at
    found.update(
        id=who.pk,
        latest_reel_media=newest,
        expiring_at=newest + 86_400,
        items=[v1.fill_story(_STORY[story.is_video].new(), universe, story) for story in stories],
        media_count=len(stories),
        media_ids=[story.pk for story in stories],
    )
    return found


def section_posts(posts: Sequence[Post]) -> list[Post]:
    """Those of a hashtag's posts that its grid shows."""
    return [post for post in posts if post.media in _IN_SECTION]


def sections(universe: Universe, page: Page[Post], size: int) -> Json:
    """A grid in one section; ``next_page`` and ``next_media_ids`` stand beside the cursor."""
    body: Json = _SECTIONS.new()
    section: Any = body["sections"][0]
    medias = [{"media": v1.fill_media(_IN_SECTION[post.media].new(), universe, post)} for post in page.items]
    section["layout_content"]["medias"] = medias
    body.update(
        more_available=page.more,
        next_page=page.start // size + 1,
        next_max_id=page.cursor,
        sections=[section] if medias else [],
    )
    return body
