"""Payloads of rapidapi-bestsolutions -> logs."""

from __future__ import annotations

from collections.abc import Mapping

from core.crawler.errors import NotFoundHere
from core.crawler.provider import Parser, Payload
from core.models.logs import PostLog
from instagram.functions.retriever import comments, either, people, stories, v1
from instagram.functions.retriever.checks import entries
from instagram.functions.retriever.reader import Reader
from instagram.models.pages import CommentsPage, PeoplePage, PostsPage, ProfilePage


def parse_profile(payload: Payload) -> ProfilePage:
    """A mobile user at the root."""
    user = _body(payload)
    if not user.value.get("pk"):
        raise NotFoundHere("the answer has no pk")
    return ProfilePage(v1.profile(user, payload))


def parse_posts(payload: Payload) -> PostsPage:
    """``items[]`` of the mobile API; ``next_max_id`` may be empty while ``more_available`` is true, and absent."""
    body = _body(payload)
    return v1.page(entries(body, "items"), payload, body.cursor("next_max_id"), more=body.flag("more_available"))


def parse_post(payload: Payload) -> PostLog:
    """A single post, alone or the first of ``items[]``."""
    return either.post(payload, "items.0", "")


def parse_stories(payload: Payload) -> PostsPage:
    """The trays of the mobile API."""
    return stories.page(_body(payload), payload)


def parse_hashtag(payload: Payload) -> PostsPage:
    """The sections of the mobile API."""
    return v1.sections(_body(payload), payload)


def parse_people(payload: Payload) -> PeoplePage:
    """``users[]`` of the mobile API."""
    return people.v1_page(_body(payload))


def parse_comments(payload: Payload) -> CommentsPage:
    """``comments[]`` of the mobile API."""
    return comments.v1_page(_body(payload))


def _body(payload: Payload) -> Reader:
    """The payload; a bare JSON list is how this source says that there is nothing."""
    if payload.data is None or isinstance(payload.data, list):
        raise NotFoundHere("the answer is a bare list" if payload.data is not None else "the answer has no content")
    body = Reader(payload.data)
    if not isinstance(payload.data, dict):
        raise body.wrong("", "an object", payload.data)
    return body


PARSERS: Mapping[str, Parser] = {
    "fetch_profile_by_id": parse_profile,
    "fetch_profile_by_handle": parse_profile,
    "fetch_profile_posts_by_id": parse_posts,
    "fetch_post_by_shortcode": parse_post,
    "fetch_story_posts_by_profile_id": parse_stories,
    "fetch_hashtag_posts": parse_hashtag,
    "fetch_followers": parse_people,
    "fetch_following": parse_people,
    "fetch_post_comments": parse_comments,
}
