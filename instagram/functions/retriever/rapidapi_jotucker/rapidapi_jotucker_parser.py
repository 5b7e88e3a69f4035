"""Payloads of rapidapi-jotucker -> logs."""

from __future__ import annotations

from collections.abc import Mapping

from core.crawler.errors import NotFoundHere
from core.crawler.provider import Parser, Payload
from core.models.logs import PostLog
from instagram.functions.retriever import v1
from instagram.functions.retriever.checks import check_post, container, entries
from instagram.functions.retriever.reader import Reader
from instagram.models.pages import PostsPage, ProfilePage


def parse_profile(payload: Payload) -> ProfilePage:
    """``user`` of the mobile API."""
    return ProfilePage(v1.profile(container(_body(payload), "user"), payload))


def parse_posts(payload: Payload) -> PostsPage:
    """``items[]`` of the mobile API; ``next_max_id`` is absent on the last page."""
    body = _body(payload)
    items = entries(body, "items")
    return v1.page(items, payload, body.cursor("next_max_id"), more=body.flag("more_available"))


def parse_post(payload: Payload) -> PostLog:
    """The first of ``items[]``."""
    items = entries(_body(payload), "items")
    if not items:
        raise NotFoundHere("the answer holds no post")
    return check_post(v1.media(items[0], payload), payload.asked)


def _body(payload: Payload) -> Reader:
    """The payload; a bare JSON list is how this source says that there is nothing."""
    if isinstance(payload.data, list):
        raise NotFoundHere("the answer is a bare list")
    return Reader(payload.data)


PARSERS: Mapping[str, Parser] = {
    "fetch_profile_by_id": parse_profile,
    "fetch_profile_by_handle": parse_profile,
    "fetch_profile_posts_by_id": parse_posts,
    "fetch_post_by_shortcode": parse_post,
}
