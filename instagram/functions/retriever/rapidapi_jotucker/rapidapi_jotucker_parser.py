"""Payloads of rapidapi-jotucker -> logs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from core.crawler.errors import NotFoundHere
from core.crawler.provider import Parser, Payload
from core.models.logs import PostLog
from instagram.functions.retriever import comments, either, people, stories, v1, web
from instagram.functions.retriever.checks import check_said, container, entries
from instagram.functions.retriever.reader import Reader
from instagram.models.pages import CommentsPage, PeoplePage, PostsPage, ProfilePage


def parse_profile(payload: Payload) -> ProfilePage:
    """``user`` of the mobile API; the call's web variant has ``data.user``."""
    _body(payload)
    return either.profile(payload, "user", "data.user")


def parse_posts(payload: Payload) -> PostsPage:
    """``items[]`` of the mobile API, ``next_max_id`` absent on the last page; the web variant has a timeline."""
    body = _body(payload)
    if "items" not in body.value and "data" in body.value:
        return web.page(container(container(body, "data.user"), "edge_owner_to_timeline_media"), payload)
    items = entries(body, "items")
    return v1.page(items, payload, body.cursor("next_max_id"), more=body.flag("more_available"))


def parse_post(payload: Payload) -> PostLog:
    """The first of ``items[]``; the web variant has ``data.shortcode_media``."""
    _body(payload)
    return either.post(payload, "items.0", "data.xdt_shortcode_media", "data.shortcode_media")


def parse_stories(payload: Payload) -> PostsPage:
    """The trays of the mobile API."""
    return stories.page(_body(payload), payload)


def parse_hashtag(payload: Payload) -> PostsPage:
    """The top posts of a hashtag, else its newest; their accounts may be named by id alone."""
    hashtag = container(_body(payload), "data.hashtag")
    name, asked = hashtag.word("name"), payload.asked.hashtag
    check_said(name and name.casefold(), asked and asked.lstrip("#").casefold(), "hashtag")
    path = "edge_hashtag_to_ranked_media"
    newest = "edge_hashtag_to_media"
    return web.feed(container(hashtag, path if hashtag.raw(path) is not None else newest), payload)


def parse_followers(payload: Payload) -> PeoplePage:
    """Followers as the web site lists them."""
    return people.web_page(container(_account(payload), "edge_followed_by"))


def parse_following(payload: Payload) -> PeoplePage:
    """Followed accounts as the web site lists them."""
    return people.web_page(container(_account(payload), "edge_follow"))


def parse_likes(payload: Payload) -> PeoplePage:
    """Likers as the web site lists them."""
    return people.web_page(container(_post(payload), "edge_liked_by"))


def parse_comments(payload: Payload) -> CommentsPage:
    """Top-level comments of the web site; their cursor is JSON text."""
    return comments.web_page(container(_post(payload), "edge_media_to_parent_comment"))


def parse_replies(payload: Payload) -> CommentsPage:
    """Replies to one comment, from the page of comments that it stands on; on other pages there are none."""
    connection = container(_post(payload), "edge_media_to_parent_comment")
    for edge in entries(connection, "edges"):
        node = edge.need_object("node")
        if node.id("id") == payload.asked.comment_id:
            thread = container(node, "edge_threaded_comments")
            found = [comments.web_comment(reply.need_object("node")) for reply in entries(thread, "edges")]
            return CommentsPage(found, announced=max(thread.count("count") or 0, len(found)))
    return replace(comments.web_page(connection), comments=[])


def _account(payload: Payload) -> Reader:
    user = container(_body(payload), "data.user")
    check_said(user.id("id"), payload.asked.profile_id, "profile")
    return user


def _post(payload: Payload) -> Reader:
    post = container(_body(payload), "data.shortcode_media")
    check_said(post.word("shortcode"), payload.asked.shortcode, "post")
    return post


def _body(payload: Payload) -> Reader:
    """The payload; a bare JSON list is how this source says that there is nothing."""
    if isinstance(payload.data, list):
        raise NotFoundHere("the answer is a bare list")
    return container(Reader(payload.data), "")


PARSERS: Mapping[str, Parser] = {
    "fetch_profile_by_id": parse_profile,
    "fetch_profile_by_handle": parse_profile,
    "fetch_profile_posts_by_id": parse_posts,
    "fetch_post_by_shortcode": parse_post,
    "fetch_story_posts_by_profile_id": parse_stories,
    "fetch_hashtag_posts": parse_hashtag,
    "fetch_hashtag_top_posts": parse_hashtag,
    "fetch_followers": parse_followers,
    "fetch_following": parse_following,
    "fetch_post_likes": parse_likes,
    "fetch_post_comments": parse_comments,
    "fetch_post_comment_replies": parse_replies,
}
