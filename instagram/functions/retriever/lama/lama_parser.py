"""Payloads of lama -> logs. A page is ``[items, cursor]``; calls without pages give the bare list of items."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from core.crawler.errors import NotFoundHere
from core.crawler.provider import Parser, Payload
from core.models.logs import PostLog
from instagram.functions.retriever import either, v1
from instagram.functions.retriever.checks import check_named, check_owner, check_post, container, entries
from instagram.functions.retriever.comments import comments_page
from instagram.functions.retriever.comments import web_page as web_comments
from instagram.functions.retriever.lama.lama_media import accounts, any_media, comment, story
from instagram.functions.retriever.people import people_page, person
from instagram.functions.retriever.reader import Reader
from instagram.models import keys as k
from instagram.models.pages import CommentsPage, PeoplePage, PostsPage, ProfilePage, posts_page


def parse_profile(payload: Payload) -> ProfilePage:
    """A user at the root, or ``graphql.user`` of the web site with its newest posts."""
    body = container(Reader(payload.data), "")
    if "pk" not in body.value and "graphql" in body.value:
        return either.profile(payload, "graphql.user")
    if body.raw("pk") is None and body.raw("username") is None:
        raise NotFoundHere("the answer holds no account")
    log = v1.profile(body, payload)
    named = {k.CATEGORY: body.word("category_name"), k.BUSINESS_CATEGORY: body.word("business_category_name")}
    log.dimensions = {**{key: value for key, value in named.items() if value}, **log.dimensions}
    return ProfilePage(log)


def parse_posts(payload: Payload) -> PostsPage:
    """Media of the account asked for."""
    items, tail = _page(payload)
    posts = [any_media(item, payload) for item in items]
    check_named(posts, "code")
    check_owner(posts, [accounts(item, log) for item, log in zip(items, posts, strict=True)], payload.asked)
    return posts_page(posts, tail.cursor("0"))


def parse_others_posts(payload: Payload) -> PostsPage:
    """Media of anybody: under a hashtag, or with the account asked for tagged in them."""
    items, tail = _page(payload)
    posts = [any_media(item, payload) for item in items]
    check_named(posts, "code")
    return posts_page(posts, tail.cursor("0"))


def parse_stories(payload: Payload) -> PostsPage:
    """Stories of the account asked for; an empty list when it has none now."""
    items, tail = _page(payload)
    posts = [story(item, payload) for item in items]
    check_owner(posts, [accounts(item, log) for item, log in zip(items, posts, strict=True)], payload.asked)
    return posts_page(posts, tail.cursor("0"))


def parse_post(payload: Payload) -> PostLog:
    """A media object at the root, or ``graphql.shortcode_media`` of the web site, or the first of ``items[]``."""
    body = container(Reader(payload.data), "")
    if any(body.raw(name) is not None for name in ("pk", "code")):
        return check_post(any_media(body, payload), payload.asked)
    if "graphql" in body.value:
        return either.post(payload, "graphql.shortcode_media")
    items = entries(body, "items")
    if not items:
        raise NotFoundHere("the answer holds no post")
    return check_post(any_media(items[0], payload), payload.asked)


def parse_people(payload: Payload) -> PeoplePage:
    """Short user objects."""
    items, tail = _page(payload)
    people = [person(item, "id" if item.raw("pk") is None and item.raw("id") is not None else "pk") for item in items]
    return people_page(people, tail.cursor("0"))


def parse_comments(payload: Payload) -> CommentsPage:
    """``[comments, next_min_id, next_max_id]``, or the comments of ``shortcode_media`` of the web site."""
    if isinstance(payload.data, dict):
        envelope = "graphql" if "graphql" in payload.data else "data"
        media = container(Reader(payload.data), f"{envelope}.shortcode_media")
        name = "edge_media_to_parent_comment"
        return web_comments(container(media, name if name in media.value else "edge_media_to_comment"))
    items, tail = _page(payload)
    found, cursor = [comment(item) for item in items], tail.cursor("0")
    if cursor is not None:
        return comments_page(found, cursor)
    return replace(comments_page(found, tail.cursor("1")), beside={"cursor_name": "max_id"})


def _page(payload: Payload) -> tuple[list[Reader], Reader]:
    """The items, and what follows them in a page."""
    data = payload.data
    if data is None or data == {}:
        raise NotFoundHere("the answer has no content")
    if not isinstance(data, list):
        raise Reader(data).wrong("", "a list", data)
    if data and not isinstance(data[0], dict):
        found = Reader(data).array("0")
        if found is None:
            raise NotFoundHere("the answer has no list of items")
        return found, Reader(data[1:])
    items = [Reader(item, str(index)) for index, item in enumerate(data)]
    for item in items:
        if not isinstance(item.value, dict):
            raise item.wrong("", "an object", item.value)
    return items, Reader([])


PARSERS: Mapping[str, Parser] = {
    "fetch_profile_by_id": parse_profile,
    "fetch_profile_by_handle": parse_profile,
    "fetch_profile_posts_by_id": parse_posts,
    "fetch_reels_posts": parse_posts,
    "fetch_post_by_shortcode": parse_post,
    "fetch_tagged_posts": parse_others_posts,
    "fetch_hashtag_posts": parse_others_posts,
    "fetch_hashtag_top_posts": parse_others_posts,
    "fetch_story_posts_by_profile_id": parse_stories,
    "fetch_followers": parse_people,
    "fetch_following": parse_people,
    "fetch_post_likes": parse_people,
    "fetch_post_comments": parse_comments,
}
