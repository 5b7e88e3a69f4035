"""Merging what several sources said of one post, and preparing logs and rows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from core.enums import Platform
from core.models.logs import PostLog, ProfileLog
from instagram.tasks.ingestion import complete_post, complete_posts, complete_profile, impossible, merge_posts, nameless
from instagram.tasks.transformer import account_row, post_row

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)


def post(shortcode: str | None = "A", age_s: Any = 0, source: Any = "graphapi", **values: Any) -> PostLog:
    metrics: dict[str, Any] = {key: values.pop(key) for key in ("likes", "comments", "play_count") if key in values}
    owner = values.pop("owner", None)
    return PostLog(Platform.INSTAGRAM, shortcode, owner, source, NOON - timedelta(seconds=age_s), values, metrics)


def account(**values: Any) -> ProfileLog:
    metrics: dict[str, Any] = {key: values.pop(key) for key in ("followers", "following") if key in values}
    return ProfileLog(Platform.INSTAGRAM, "1", "graphapi", NOON, {"handle": "Me", **values}, metrics)


def test_the_newest_value_wins_and_what_it_leaves_out_stays() -> None:
    old = post(age_s=9, source="graphapi", likes=1, post_id="17", caption="old")
    new = post(age_s=1, source="rapidapi-jotucker", likes=2, play_count=7, caption=None)
    for order in ([old, new], [new, old]):
        merged = merge_posts(order)
        assert [(log.source, log.metrics, log.dimensions) for log in merged] == [
            ("rapidapi-jotucker", {"likes": 2, "play_count": 7}, {"post_id": "17", "caption": "old"})
        ]


def test_what_the_newest_does_not_know_is_as_the_older_said() -> None:
    old = post(age_s=9, owner="7", likes=1, comments=3, caption="old")
    (merged,) = merge_posts([post(owner=None, likes=None, comments=4, caption=None), old])
    assert (merged.profile_id, merged.metrics, merged.dimensions) == (
        "7",
        {"likes": 1, "comments": 4},
        {"caption": "old"},
    )


def test_merging_changes_none_of_its_inputs() -> None:
    old, new = post(age_s=9, likes=1), post(likes=2)
    merge_posts([old, new])
    assert (old.metrics, new.metrics) == ({"likes": 1}, {"likes": 2})


def test_merged_posts_come_in_order_of_shortcode_and_nameless_ones_do_not() -> None:
    posts = [post("c"), post(None), post("B"), post("a"), post("c")]
    assert [log.shortcode for log in merge_posts(posts)] == ["B", "a", "c"]
    assert nameless(posts) == 1


def test_a_posts_own_owner_wins_and_the_account_becomes_its_collaborator() -> None:
    own, foreign, unknown = complete_posts(
        [post("a", owner="1", handle="me"), post("b", owner="2", handle="you"), post("c")], account()
    )
    assert (own.profile_id, own.dimensions["profile_id"], own.dimensions.get("collab_profile_id")) == ("1", "1", None)
    assert (foreign.profile_id, foreign.dimensions["profile_id"]) == ("2", "2")
    assert (foreign.dimensions["collab_profile_id"], foreign.dimensions["handle"]) == ("1", "you")
    assert (unknown.profile_id, unknown.dimensions["handle"]) == ("1", "Me")


def test_every_post_gets_keywords() -> None:
    assert complete_post(post(caption="Saffron rice")).dimensions["keywords"] == "['Saffron', 'rice']"
    assert complete_post(post()).dimensions["keywords"] == ""


def test_text_that_the_database_refuses_is_cleaned_everywhere() -> None:
    log = complete_post(post(caption="a\x00b\ud800", user_tags=[{"handle": "x\x00"}]))
    assert log.dimensions["caption"] == "ab\ufffd"
    assert log.dimensions["user_tags"] == [{"handle": "x"}]


@pytest.mark.parametrize("followers", [-1, 2 * 10**9 + 1, 10**30, float("inf"), float("nan"), None])
def test_impossible_counts_count_as_not_said(followers: Any) -> None:
    assert complete_profile(account(followers=followers, following=3)).metrics == {"following": 3}
    assert complete_post(post(likes=followers, comments=3)).metrics == {"comments": 3}
    assert impossible({"followers": followers, "following": 3}) == ([] if followers is None else ["followers"])


def test_counts_up_to_two_billion_are_possible() -> None:
    possible = {"followers": 2 * 10**9, "following": 0}
    assert complete_profile(account(**possible)).metrics == possible


def test_an_account_row_has_only_what_was_said() -> None:
    row = account_row(account(bio="", full_name="", category="", external_url="x", followers=0, fbid=None))
    assert row == {"profile_id": "1", "handle": "me", "biography": "", "full_name": "", "followers": 0}


def test_a_post_row_has_the_columns_of_its_keys() -> None:
    ids = {"post_id": "17", "media_pk": "3"}
    said: dict[str, Any] = {"likes": 1, "comments": 2, "play_count": 3, "post_type": "reels", "caption": "c", **ids}
    said["product_type"] = "clips"
    dropped = {"keywords": "", "user_tags": []}
    renamed = {"taken_at_timestamp": 1674813600, "thumbnail_src": "t", "tap_exit": 4, "handle": "ME"}
    log = post("A", owner="1", **said, **dropped, **renamed)
    assert post_row(log) == {
        "shortcode": "A",
        "profile_id": "1",
        "handle": "me",
        **ids,
        "post_type": "reels",
        "product_type": "clips",
        "caption": "c",
        "publish_time": datetime(2023, 1, 27, 10, 0, tzinfo=UTC),
        "thumbnail_url": "t",
        "likes": 1,
        "comments": 2,
        "plays": 3,
        "exits": 4,
    }


def test_a_post_without_a_shortcode_has_no_row() -> None:
    with pytest.raises(ValueError, match="shortcode"):
        post_row(post(None))
