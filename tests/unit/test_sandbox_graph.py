"""Graph in the sandbox: its fields language, and the edges of a token owner's own account."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.sandbox.hosts.base import Answer, Asked, Call
from tests.sandbox.hosts.graph import Graph
from tests.sandbox.hosts.graph_fields import FieldsError, parse_fields
from tests.sandbox.posts import DAY, Media, posts_of, stories_of
from tests.sandbox.templates import SAMPLES
from tests.sandbox.universe import Universe

WORLD = Universe(seed=3, size=60)
GRAPH = Graph(WORLD)
METRICS = {
    Media.IMAGE: "engagement,impressions,reach,saved",
    Media.VIDEO: "engagement,impressions,reach,saved,video_views",
    Media.REEL: "plays,reach,saved,comments,likes,shares,total_interactions",
    Media.CAROUSEL: "carousel_album_engagement,carousel_album_impressions,carousel_album_reach,carousel_album_saved",
}


def ask(path: str, number: int = 0, **query: str) -> tuple[int, Any]:
    """(status, body) of one GET by the token of this number; ``{own}`` is its user id."""
    credential = GRAPH.credentials[number]
    path = path.replace("{own}", credential.credentials["user_id"])
    call = GRAPH.route(Asked(path, query, {}), credential)
    answer: Answer = GRAPH.render(call) if isinstance(call, Call) else call
    return answer.status, json.loads(answer.body)


def owner(number: int = 0) -> Any:
    return WORLD.by_fbid(GRAPH.credentials[number].credentials["user_id"])


def test_fields_nest_with_modifiers() -> None:
    found = parse_fields("id, business_discovery.username(a.b_c){name,media.after(X==).limit(5){id,children{id}}}")
    discovery = found["business_discovery"]
    assert discovery.modifiers == {"username": "a.b_c"}
    assert discovery.below is not None
    assert discovery.below["media"].modifiers == {"after": "X==", "limit": "5"}
    assert list(discovery.below["media"].below or {}) == ["id", "children"]


@pytest.mark.parametrize("text", ["a{b", "a}", "a..b", "a.b", "{", "a b;", "a.(x)"])
def test_broken_fields_are_refused(text: str) -> None:
    with pytest.raises(FieldsError):
        parse_fields(text)
    status, body = ask("/v15.0/{own}", fields=text)
    assert (status, body["error"]["code"]) == (400, 100)


def test_a_field_that_does_not_exist_is_an_error_100() -> None:
    status, body = ask("/v15.0/{own}", fields="business_discovery.username(x){shoe_size}")
    assert (status, body["error"]["message"]) == (
        400,
        "(#100) Tried accessing nonexistent field (shoe_size) on node type (IGUser)",
    )


def test_hidden_likes_and_absent_captions_are_left_out() -> None:
    fields = "caption,like_count,permalink"
    items = [
        item for number in range(4) for item in ask("/v15.0/{own}/media", number, fields=fields, limit="50")[1]["data"]
    ]
    posts = [post for number in range(4) for post in posts_of(WORLD, owner(number)) if post.owner == post.index]
    assert [item["id"] for item in items] == [str(post.graph_id) for post in posts]
    assert [("like_count" in item, "caption" in item) for item in items] == [
        (not post.likes_hidden, post.caption is not None) for post in posts
    ]


def test_insights_of_own_media_by_kind() -> None:
    recent = WORLD.now - 99 * DAY
    for number in range(4):
        for post in (post for post in posts_of(WORLD, owner(number)) if post.taken_at > recent):
            status, body = ask(f"/v15.0/{post.graph_id}/insights", number, metric=METRICS[post.media])
            assert status == 200
            assert [item["name"] for item in body["data"]] == METRICS[post.media].split(",")
            wrong = ask(f"/v15.0/{post.graph_id}/insights", number, metric="followers_of_followers")
            assert (wrong[0], wrong[1]["error"]["code"]) == (400, 100)


def test_media_of_others_do_not_exist_for_a_token() -> None:
    post = posts_of(WORLD, owner(0))[0]
    status, body = ask(f"/v15.0/{post.graph_id}/insights", 1, metric=METRICS[post.media])
    assert (status, body["error"]["error_subcode"]) == (400, 33)
    assert str(post.graph_id) in body["error"]["message"]


def test_stories_have_permalinks_that_end_in_their_pk() -> None:
    for number in range(4):
        _, body = ask("/v15.0/{own}/stories", number, fields="permalink,media_product_type,like_count,comments_count")
        stories = stories_of(WORLD, owner(number))
        assert [item["permalink"].split("/")[-2] for item in body["data"]] == [str(story.pk) for story in stories]
        assert all((item["media_product_type"], item["like_count"]) == ("STORY", 0) for item in body["data"])
        assert not [item for item in body["data"] if "comments_count" in item]


@pytest.mark.parametrize("breakdown", ["country", "city", "gender, age", "age,gender"])
def test_demographics_come_as_total_value(breakdown: str) -> None:
    status, body = ask(
        "/v18.0/{own}/insights",
        metric="follower_demographics",
        period="lifetime",
        metric_type="total_value",
        breakdown=breakdown,
    )
    (found,) = body["data"][0]["total_value"]["breakdowns"]
    assert status == 200
    assert found["dimension_keys"] == breakdown.replace(" ", "").split(",")
    assert all(len(row["dimension_values"]) == len(found["dimension_keys"]) for row in found["results"])


def test_daily_and_lifetime_user_insights_have_the_documented_names() -> None:
    for period, name in (("day", "fetch_profile_insights"), ("lifetime", "fetch_audience_insights")):
        documented = json.loads((SAMPLES / "graphapi" / f"{name}.json").read_bytes())["data"]
        metrics = ",".join(item["name"] for item in documented)
        status, body = ask("/v15.0/{own}/insights", metric=metrics, period=period)
        assert status == 200
        assert [(i["name"], i["period"], len(i["values"])) for i in body["data"]] == [
            (i["name"], period, len(i["values"])) for i in documented
        ]


def test_hashtag_pages_carry_the_same_after_and_only_next_tells_of_more() -> None:
    number = ask("/v15.0/ig_hashtag_search", user_id="1", q="cooking")[1]["data"][0]["id"]
    fields = "caption,like_count,media_type,permalink,username"
    _, first = ask(f"/v15.0/{number}/recent_media", user_id="1", fields=fields, limit="5")
    after = first["paging"]["cursors"]["after"]
    _, second = ask(f"/v15.0/{number}/recent_media", user_id="1", fields=fields, limit="5", after=after)
    assert "next" in first["paging"]
    assert second["paging"] == {"cursors": {"after": after}}
    assert not {item["id"] for item in first["data"]} & {item["id"] for item in second["data"]}
    assert not [item for item in first["data"] if "username" in item]


def test_an_unused_hashtag_does_not_exist() -> None:
    status, body = ask("/v15.0/ig_hashtag_search", user_id="1", q="nobodywritesthis")
    assert (status, body["error"]["code"], body["error"]["error_subcode"]) == (400, 24, 2207024)


def test_debug_token_tells_a_good_token_from_a_bad_one() -> None:
    good = ask("/v15.0/debug_token", input_token=GRAPH.credentials[2].credentials["token"])[1]["data"]
    bad = ask("/v15.0/debug_token", input_token="other")[1]["data"]
    assert (good["is_valid"], bad["is_valid"]) == (True, False)
    assert good["granular_scopes"][1]["target_ids"] == [GRAPH.credentials[2].credentials["user_id"]]


def test_comments_of_own_media_page_by_next() -> None:
    post = max(posts_of(WORLD, owner(1)), key=lambda post: post.comments)
    _, body = ask(f"/v15.0/{post.graph_id}/comments", 1, fields="id,text", limit="2")
    assert len(body["data"]) == min(post.comments, 2)
    assert ("next" in body.get("paging", {})) == (post.comments > 2)


def test_metrics_belong_to_versions() -> None:
    def insights(version: int, object_id: str, **query: str) -> int:
        return ask(f"/v{version}.0/{object_id}/insights", 1, **query)[0]

    who, totals = owner(1), {"metric_type": "total_value", "breakdown": "city"}
    post = next(p for p in posts_of(WORLD, who) if p.media is Media.IMAGE and p.taken_at > WORLD.now - 30 * DAY)
    media = str(post.graph_id)
    new = "impressions,reach,saved,comments,likes,shares,total_interactions"
    assert (insights(15, media, metric=new), insights(18, media, metric=new)) == (400, 200)
    assert (insights(15, media, metric="engagement"), insights(18, media, metric="engagement")) == (200, 400)
    asked = {"metric": "follower_demographics", "period": "lifetime", **totals}
    assert (insights(17, "{own}", **asked), insights(18, "{own}", **asked)) == (400, 200)


def test_an_account_may_ask_for_30_different_hashtags() -> None:
    graph = Graph(WORLD)

    def search(tag: str, number: int = 0) -> int:
        call = graph.route(Asked("/v15.0/ig_hashtag_search", {"q": tag}, {}), graph.credentials[number])
        return (graph.render(call) if isinstance(call, Call) else call).status

    assert [search("cooking"), *(search(f"tag{n}") for n in range(29))] == [200] + [400] * 29
    assert (search("travel"), search("cooking"), search("travel", 1)) == (403, 200, 200)
    graph.clear()
    assert search("travel") == 200
