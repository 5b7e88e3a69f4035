"""Payloads of rapidapi-neotank -> logs."""

from __future__ import annotations

from collections.abc import Mapping

from core.crawler.provider import Parser, Payload
from core.models.logs import PostLog
from instagram.functions.retriever import either, web
from instagram.functions.retriever.checks import container
from instagram.functions.retriever.reader import Reader
from instagram.models.pages import PostsPage, ProfilePage

_SINGLE = ("data.shortcode_media", "data.xdt_shortcode_media", "graphql.shortcode_media", "items.0", "")


def parse_profile(payload: Payload) -> ProfilePage:
    """A web user at the root, with the newest posts inside."""
    return either.profile(payload, "")


def parse_posts(payload: Payload) -> PostsPage:
    """``{count, page_info, edges[].node}`` at the root; private accounts have no edges."""
    return web.page(container(Reader(payload.data), ""), payload)


def parse_newest(payload: Payload) -> PostsPage:
    """A bare list of ``{node}`` without paging."""
    if isinstance(payload.data, list):
        return web.latest(Reader(payload.data).items(), payload)
    return parse_posts(payload)


def parse_post(payload: Payload) -> PostLog:
    """A single post in whichever envelope it comes."""
    return either.post(payload, *_SINGLE)


PARSERS: Mapping[str, Parser] = {
    "fetch_profile_by_handle": parse_profile,
    "fetch_profile_posts_by_handle": parse_newest,
    "fetch_profile_posts_by_id": parse_posts,
    "fetch_post_by_shortcode": parse_post,
}
