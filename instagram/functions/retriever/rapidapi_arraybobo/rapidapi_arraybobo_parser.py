"""Payloads of rapidapi-arraybobo -> logs."""

from __future__ import annotations

from collections.abc import Mapping

from core.crawler.provider import Parser, Payload
from core.models.logs import PostLog
from instagram.functions.retriever import comments, either, people, stories, v1, web
from instagram.functions.retriever.checks import check_said, container, entries
from instagram.functions.retriever.reader import Reader
from instagram.models.pages import CommentsPage, PeoplePage, PostsPage, ProfilePage


def parse_profile(payload: Payload) -> ProfilePage:
    """``user`` of the mobile API; the call's web variant has ``data.user``."""
    return either.profile(payload, "user", "data.user")


def parse_posts(payload: Payload) -> PostsPage:
    """A page of the web timeline; ``data.user`` is null for unknown and for private accounts."""
    user = container(Reader(payload.data), "data.user")
    return web.page(container(user, "edge_owner_to_timeline_media"), payload)


def parse_reels(payload: Payload) -> PostsPage:
    """``items[].media`` of the mobile API."""
    body = Reader(payload.data)
    items = entries(body, "items")
    return v1.page(items, payload, body.cursor("paging_info.max_id"), more=body.flag("paging_info.more_available"))


def parse_post(payload: Payload) -> PostLog:
    """A single post of the web site, flattened to the root."""
    return either.post(payload, "", "data.xdt_shortcode_media", "data.shortcode_media")


def parse_tagged(payload: Payload) -> PostsPage:
    """Posts of anybody in which the account asked for is tagged."""
    user = container(Reader(payload.data), "data.user")
    return web.feed(container(user, "edge_user_to_photos_of_you"), payload)


def parse_stories(payload: Payload) -> PostsPage:
    """The tray of the account under its id."""
    return stories.page(Reader(payload.data), payload)


def parse_hashtag(payload: Payload) -> PostsPage:
    """The sections of the mobile API."""
    return v1.sections(Reader(payload.data), payload)


def parse_people(payload: Payload) -> PeoplePage:
    """``users[]`` of the mobile API."""
    return people.v1_page(Reader(payload.data))


def parse_likes(payload: Payload) -> PeoplePage:
    """Likers of the web site, or ``users[]`` of the mobile API."""
    body = container(Reader(payload.data), "")
    if "data" in body.value:
        return people.web_page(container(_post(body, payload), "edge_liked_by"))
    return people.v1_page(body)


def parse_comments(payload: Payload) -> CommentsPage:
    """``comments[]`` of the mobile API, or those of the web site."""
    body = container(Reader(payload.data), "")
    if "data" in body.value:
        return comments.web_page(container(_post(body, payload), "edge_media_to_parent_comment"))
    return comments.v1_page(body)


def _post(body: Reader, payload: Payload) -> Reader:
    post = container(body, "data.shortcode_media")
    check_said(post.word("shortcode"), payload.asked.shortcode, "post")
    return post


PARSERS: Mapping[str, Parser] = {
    "fetch_profile_by_id": parse_profile,
    "fetch_profile_by_handle": parse_profile,
    "fetch_profile_posts_by_id": parse_posts,
    "fetch_profile_posts_by_handle": parse_posts,
    "fetch_reels_posts": parse_reels,
    "fetch_post_by_shortcode": parse_post,
    "fetch_tagged_posts": parse_tagged,
    "fetch_story_posts_by_profile_id": parse_stories,
    "fetch_profile_highlights": stories.highlights,
    "fetch_highlight_posts": stories.highlight,
    "fetch_hashtag_posts": parse_hashtag,
    "fetch_followers": parse_people,
    "fetch_following": parse_people,
    "fetch_similar_profiles": parse_people,
    "fetch_post_likes": parse_likes,
    "fetch_post_comments": parse_comments,
}
