"""Only named paths are read: accounts, posts and cursors at other places of an answer change nothing."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from instagram.parse_form import form
from tests.support.instagram import Recorded, data_cases

USER: dict[str, Any] = {
    "pk": "99", "id": "99", "ig_id": "99", "username": "decoy", "full_name": "decoy", "biography": "decoy",
    "follower_count": 1, "edge_followed_by": {"count": 1}, "is_private": True, "profile_pic_url": "https://decoy",
}  # fmt: skip
POST: dict[str, Any] = {
    "pk": "1", "id": "1", "code": "DECOY", "shortcode": "DECOY", "media_type": 2, "__typename": "GraphVideo",
    "like_count": 7, "play_count": 7, "taken_at": 1600000000, "taken_at_timestamp": 1600000000,
    "caption": {"text": "decoy"}, "user": USER, "owner": USER, "display_url": "https://decoy",
}  # fmt: skip
TRAY = {"id": "99", "user": USER, "items": [POST]}
BOTH = {"user": USER, "shortcode_media": POST}
DECOYS: dict[str, Any] = {
    **dict.fromkeys(("user", "owner", "viewer", "result", "profile", "friend", "target", "business_discovery"), USER),
    **dict.fromkeys(("media", "node", "child", "reshared_media", "original_media", "shortcode_media", "clip"), POST),
    **{name: [USER] for name in ("users", "collector", "coauthor_producers", "chaining", "followers")},
    **{name: [POST] for name in ("items", "carousel_media", "medias", "posts", "related")},
    **{name: {"edges": [{"node": POST}]} for name in ("edge_owner_to_timeline_media", "edge_sidecar_to_children")},
    **dict.fromkeys(("data", "graphql", "body", "response"), BOTH),
    **{name: {"data": [POST], "paging": {"cursors": {"after": "DECOY"}, "next": "x"}} for name in ("stories", "tags")},
    "reels": {"99": TRAY},
    "reels_media": [TRAY],
    "edges": [{"node": POST}],
    "comments": [{"pk": "5", "id": "5", "text": "decoy", "user": USER}],
    "sections": [{"layout_content": {"medias": [{"media": POST}]}}],
    "paging": {"cursors": {"after": "DECOY"}, "next": "https://decoy"},
    "page_info": {"has_next_page": True, "end_cursor": "DECOY"},
    "next_max_id": "DECOY",
}
MAPS = ("value", "reels")
"""Objects whose keys are data: cities and their counts, accounts and their stories."""
CASES = [case for case in data_cases() if case.file != "fetch_hashtag_posts.id-search"]


def objects(value: Any, name: str = "") -> Iterator[dict[str, Any]]:
    """Every object of a body whose keys are names."""
    if isinstance(value, dict):
        if name not in MAPS:
            yield value
        for key, inner in value.items():
            yield from objects(inner, key)
    elif isinstance(value, list):
        for inner in value:
            yield from objects(inner)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_what_stands_elsewhere_in_an_answer_does_not_leak(case: Recorded) -> None:
    body = case.body
    wanted = form(case.function, case.parse(body))
    for place in list(objects(body)):
        added = DECOYS.keys() - place.keys()
        place.update({name: copy.deepcopy(DECOYS[name]) for name in added})
        assert form(case.function, case.parse(body)) == wanted
        for name in added:
            del place[name]
