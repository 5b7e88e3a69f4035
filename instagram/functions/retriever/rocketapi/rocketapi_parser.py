"""Payloads of rocketapi -> logs. What is read stands under ``response.body``, in the mobile or the web dialect."""

from __future__ import annotations

from collections.abc import Mapping

from core.crawler.provider import Parser, Payload
from core.models.logs import PostLog
from instagram.functions.retriever import comments, either, people, stories, v1, web
from instagram.functions.retriever.checks import container, entries
from instagram.functions.retriever.reader import Reader
from instagram.models.pages import CommentsPage, PeoplePage, PostsPage, ProfilePage


def parse_profile_by_handle(payload: Payload) -> ProfilePage:
    """``data.user`` of the web site with its newest posts, else ``user`` of the mobile API."""
    return either.profile(payload, "response.body.data.user", "response.body.user")


def parse_profile_by_id(payload: Payload) -> ProfilePage:
    """``user`` of the mobile API, else ``data.user`` of the web site."""
    return either.profile(payload, "response.body.user", "response.body.data.user")


def parse_posts(payload: Payload) -> PostsPage:
    """``items[]`` of the mobile API, or the timeline of the web site."""
    body = _body(payload)
    if "items" not in body.value and "data" in body.value:
        return web.page(container(body, "data.user.edge_owner_to_timeline_media"), payload)
    items = entries(body, "items")
    return v1.page(items, payload, body.cursor("next_max_id"), more=body.flag("more_available"))


def parse_reels(payload: Payload) -> PostsPage:
    """``items[].media``; the cursor is ``paging_info.max_id``."""
    body = _body(payload)
    items = entries(body, "items")
    return v1.page(items, payload, body.cursor("paging_info.max_id"), more=body.flag("paging_info.more_available"))


def parse_post(payload: Payload) -> PostLog:
    """The first of ``items[]``."""
    return either.post(payload, "response.body.items.0")


def parse_tagged(payload: Payload) -> PostsPage:
    """Posts of anybody in which the account is tagged."""
    return web.feed(container(_body(payload), "data.user.edge_user_to_photos_of_you"), payload)


def parse_hashtag(payload: Payload) -> PostsPage:
    """A grid in sections; the next page's number stands beside the cursor."""
    return v1.sections(_body(payload), payload)


def parse_stories(payload: Payload) -> PostsPage:
    """``reels.<profile id>``."""
    return stories.page(_body(payload), payload)


def parse_people(payload: Payload) -> PeoplePage:
    """``users[]``."""
    return people.v1_page(_body(payload))


def parse_likes(payload: Payload) -> PeoplePage:
    """``users[]``. The call has no pages, whatever a cursor in its answer suggests."""
    return PeoplePage(people.v1_page(_body(payload)).people)


def parse_comments(payload: Payload) -> CommentsPage:
    """``comments[]``; an empty list, too, where they are switched off."""
    return comments.v1_page(_body(payload))


def _body(payload: Payload) -> Reader:
    return container(Reader(payload.data), "response.body")


PARSERS: Mapping[str, Parser] = {
    "fetch_profile_by_id": parse_profile_by_id,
    "fetch_profile_by_handle": parse_profile_by_handle,
    "fetch_profile_posts_by_id": parse_posts,
    "fetch_profile_posts_by_handle": parse_posts,
    "fetch_reels_posts": parse_reels,
    "fetch_post_by_shortcode": parse_post,
    "fetch_tagged_posts": parse_tagged,
    "fetch_hashtag_posts": parse_hashtag,
    "fetch_hashtag_top_posts": parse_hashtag,
    "fetch_story_posts_by_profile_id": parse_stories,
    "fetch_followers": parse_people,
    "fetch_following": parse_people,
    "fetch_post_likes": parse_likes,
    "fetch_post_comments": parse_comments,
}
