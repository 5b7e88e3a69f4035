"""Payloads of rapidapi-arraybobo -> logs."""

from __future__ import annotations

from collections.abc import Mapping

from core.crawler.errors import NotFoundHere
from core.crawler.provider import Parser, Payload
from core.models.logs import PostLog
from instagram.functions.retriever import v1, web
from instagram.functions.retriever.checks import check_post, container, entries
from instagram.functions.retriever.reader import Reader
from instagram.models.pages import PostsPage, ProfilePage


def parse_profile(payload: Payload) -> ProfilePage:
    """``user`` of the mobile API."""
    return ProfilePage(v1.profile(container(Reader(payload.data), "user"), payload))


def parse_posts(payload: Payload) -> PostsPage:
    """A page of the web timeline; ``data.user`` is null for unknown and for private accounts."""
    user = container(Reader(payload.data), "data.user")
    return web.page(container(user, "edge_owner_to_timeline_media"), payload)


def parse_reels(payload: Payload) -> PostsPage:
    """``items[].media`` of the mobile API."""
    body = Reader(payload.data)
    items = [container(item, "media") for item in entries(body, "items")]
    return v1.page(items, payload, body.cursor("paging_info.max_id"), more=body.flag("paging_info.more_available"))


def parse_post(payload: Payload) -> PostLog:
    """A single post of the web site, flattened to the root."""
    body = container(Reader(payload.data), "")
    if body.raw("id") is None and body.raw("shortcode") is None:
        raise NotFoundHere("the answer holds no post")
    return check_post(web.media(body, payload), payload.asked)


PARSERS: Mapping[str, Parser] = {
    "fetch_profile_by_id": parse_profile,
    "fetch_profile_by_handle": parse_profile,
    "fetch_profile_posts_by_id": parse_posts,
    "fetch_profile_posts_by_handle": parse_posts,
    "fetch_reels_posts": parse_reels,
    "fetch_post_by_shortcode": parse_post,
}
