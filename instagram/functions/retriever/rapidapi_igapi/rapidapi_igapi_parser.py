"""Payloads of rapidapi-igapi -> logs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from core.crawler.provider import Parser, Payload
from core.models.logs import PostLog
from instagram.functions.retriever import comments, either, people, stories, v1, web
from instagram.functions.retriever.checks import check_said, container, entries
from instagram.functions.retriever.reader import Reader
from instagram.models.pages import CommentsPage, PeoplePage, PostsPage, ProfilePage


def parse_profile(payload: Payload) -> ProfilePage:
    """A web user at the root, with the newest posts inside."""
    return either.profile(payload, "")


def parse_posts(payload: Payload) -> PostsPage:
    """``{count, page_info, edges[].node}`` at the root, or the mobile feed of the call's second version."""
    body = _body(payload)
    if "items" in body.value and "edges" not in body.value:
        return v1.page(_items(body), payload, *_mobile_paging(body))
    return web.page(body, payload)


def parse_reels(payload: Payload) -> PostsPage:
    """``items[]`` of the mobile API."""
    body = _body(payload)
    return v1.page(_items(body), payload, *_mobile_paging(body))


def parse_anybodys(payload: Payload) -> PostsPage:
    """Posts of anybody in whichever shape of a feed: web edges, mobile items or sections."""
    body = _body(payload)
    if "sections" in body.value:
        return v1.sections(body, payload)
    if "items" in body.value and "edges" not in body.value:
        return v1.feed(_items(body), payload, *_mobile_paging(body))
    return web.feed(body, payload)


def parse_post(payload: Payload) -> PostLog:
    """A mobile media object at the root; its account stands under ``owner``, not under ``user``."""
    data = payload.data
    if isinstance(data, dict) and data.get("owner") is not None:
        payload = replace(payload, data={key: value for key, value in data.items() if key != "user"})
    return either.post(payload, "")


def parse_stories(payload: Payload) -> PostsPage:
    """The trays of the mobile API."""
    return stories.page(_body(payload), payload)


def parse_relationships(payload: Payload) -> PeoplePage:
    """``collector[]`` of the account whose ``id`` stands beside it."""
    body = _body(payload)
    check_said(body.id("id"), payload.asked.profile_id, "profile")
    return parse_people(payload)


def parse_people(payload: Payload) -> PeoplePage:
    """``{count, has_more, end_cursor, collector[]}``."""
    body = _body(payload)
    found = [people.person(user, "id") for user in entries(body, "collector")]
    return people.people_page(found, body.cursor("end_cursor"), more=body.flag("has_more"))


def parse_comments(payload: Payload) -> CommentsPage:
    """``{count, has_more, end_cursor, collector[]}`` of web comments."""
    body = _body(payload)
    found = [comments.web_comment(node) for node in entries(body, "collector")]
    return comments.comments_page(found, body.cursor("end_cursor"), more=body.flag("has_more"))


def _body(payload: Payload) -> Reader:
    return container(Reader(payload.data), "")


def _items(body: Reader) -> list[Reader]:
    return entries(body, "items")


def _mobile_paging(body: Reader) -> tuple[str | None, bool | None]:
    """The cursor and flag of reels, or those of a feed."""
    if body.object("paging_info") is not None:
        return body.cursor("paging_info.max_id"), body.flag("paging_info.more_available")
    return body.cursor("next_max_id"), body.flag("more_available")


PARSERS: Mapping[str, Parser] = {
    "fetch_profile_by_id": parse_profile,
    "fetch_profile_by_handle": parse_profile,
    "fetch_profile_posts_by_id": parse_posts,
    "fetch_profile_posts_by_handle": parse_posts,
    "fetch_reels_posts": parse_reels,
    "fetch_tagged_posts": parse_anybodys,
    "fetch_hashtag_posts": parse_anybodys,
    "fetch_post_by_shortcode": parse_post,
    "fetch_story_posts_by_profile_id": parse_stories,
    "fetch_followers": parse_relationships,
    "fetch_following": parse_relationships,
    "fetch_post_likes": parse_people,
    "fetch_post_comments": parse_comments,
}
