"""What is asked of the Graph API: paths, parameters, versions, and what becomes of calls that fail beside others."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from core.crawler.errors import CredentialInvalid, InsufficientData, NotCovered, NotFound, NotFoundHere, Unsupported
from core.crawler.provider import Asked, Credential
from instagram.functions.retriever.graphapi.graphapi import GraphApi
from instagram.functions.retriever.graphapi.graphapi_insights import (
    BY_28_DAYS,
    BY_DAY,
    CAROUSEL,
    FEED,
    IMAGE,
    NEW_STORY,
    REELS,
    STORY,
    VIDEO,
)
from tests.support.instagram import SAMPLES
from tests.support.raw_server import Seen, http, raw_server
from utils.request import HttpClient, HttpOptions

USER_ID, HANDLE = "17841499000000001", "own.account"
MINE = Asked(handle=HANDLE)
EMPTY: dict[str, Any] = {"data": []}
Answers = Callable[[str, dict[str, str]], Any]


@dataclass
class Graph:
    """A server that answers by path and query; a body with ``error`` has status 400."""

    answers: Answers = lambda path, query: EMPTY  # noqa: ARG005
    version: str = "v15.0"
    seen: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    async def fetch(self, function: str, asked: Asked) -> Any:
        """What the parser makes of the answer."""
        async with (
            raw_server(self._answer) as server,
            aclosing(HttpClient(HttpOptions(sandbox_url=server.url))) as client,
        ):
            keys = {"token": "t0ken", "user_id": USER_ID}
            provider = GraphApi.at_version(self.version)(Credential(7, "graphapi", HANDLE, keys), client)
            return provider.parsers[function](await getattr(provider, function)(asked))

    async def _answer(self, seen: Seen, writer: Any) -> bool:
        target = urlsplit(seen.target)
        query = dict(parse_qsl(target.query))
        assert query.pop("access_token") == "t0ken"
        assert target.path.startswith(f"/{self.version}/")
        path = target.path.removeprefix(f"/{self.version}/")
        self.seen.append((path, query))
        body = self.answers(path, query)
        status = 400 if isinstance(body, dict) and "error" in body else 200
        writer.write(http(status, json.dumps(body).encode()))
        await writer.drain()
        return True


def sample(name: str) -> Any:
    return json.loads((SAMPLES / "graphapi" / f"{name}.json").read_text(encoding="utf-8"))


def number(name: str, value: Any = 3) -> dict[str, Any]:
    return {"name": name, "values": [{"value": value}]}


def error(code: int, message: str = "no") -> dict[str, Any]:
    return {"error": {"code": code, "message": message}}


@pytest.mark.parametrize(
    ("function", "asked", "path", "query"),
    [
        ("fetch_profile_posts_by_id", MINE, f"{USER_ID}/media", {"limit": "50"}),
        ("fetch_profile_posts_by_id", Asked(profile_id=USER_ID, cursor="QV=="), f"{USER_ID}/media", {"after": "QV=="}),
        ("fetch_stories_posts", MINE, f"{USER_ID}/stories", {}),
        ("fetch_tagged_posts", Asked(profile_id="99000000001"), f"{USER_ID}/tags", {"limit": "50"}),
        ("fetch_post_comments", Asked(post_id="178_5"), "178/comments", {"limit": "50"}),
        ("fetch_post_comment_replies", Asked(comment_id="179", cursor="c"), "179/replies", {"after": "c"}),
    ],
)
async def test_lists_are_asked_for_below_the_account_or_post(
    function: str, asked: Asked, path: str, query: dict[str, str]
) -> None:
    graph = Graph()
    await graph.fetch(function, asked)
    [(called, given)] = graph.seen
    assert called == path
    assert given == {**given, **query}
    assert "id" in given["fields"].split(",")
    assert ("after" in given) is (asked.cursor is not None)


async def test_the_own_profile_is_asked_for_without_discovery() -> None:
    graph = Graph(lambda path, query: {"id": USER_ID, "ig_id": 58, "username": HANDLE})  # noqa: ARG005
    page = await graph.fetch("fetch_profile_by_id", MINE)
    assert (page.profile.profile_id, graph.seen[0][0]) == ("58", USER_ID)
    assert "business_discovery" not in graph.seen[0][1]["fields"]


@pytest.mark.parametrize(("cursor", "media"), [("QVFI", "media.after(QVFI).limit("), (None, "media.limit(")])
async def test_the_cursor_of_discovered_media_stands_inside_their_edge(cursor: str | None, media: str) -> None:
    found = {"business_discovery": {"id": "17", "ig_id": 58, "username": HANDLE}}
    graph = Graph(lambda path, query: found)  # noqa: ARG005
    await graph.fetch("fetch_profile_posts_by_handle", Asked(handle=HANDLE, cursor=cursor))
    [(_, query)] = graph.seen
    assert (media in query["fields"], "after" in query) == (True, False)


OWN = [
    "fetch_profile_by_id",
    "fetch_profile_posts_by_id",
    "fetch_stories_posts",
    "fetch_tagged_posts",
    "fetch_profile_insights",
    "fetch_audience_insights",
    "fetch_follower_audience_insights",
]


@pytest.mark.parametrize("asked", [Asked(), Asked(profile_id="5820113374"), Asked(handle="someone.else")])
@pytest.mark.parametrize("function", OWN)
async def test_another_account_than_the_tokens_is_not_covered_and_not_asked_for(function: str, asked: Asked) -> None:
    graph = Graph()
    with pytest.raises(NotCovered):
        await graph.fetch(function, asked)
    assert graph.seen == []


@pytest.mark.parametrize(
    ("function", "asked"),
    [
        ("fetch_post_insights", Asked()),
        ("fetch_post_insights", Asked(post_id="me/feed")),
        ("fetch_post_insights", Asked(post_id="17/comments")),
        ("fetch_story_insights", Asked(post_id="CnOAG9Tl0uH")),
        ("fetch_post_comments", Asked(post_id="../17")),
        ("fetch_post_comment_replies", Asked(post_id="17")),
        ("fetch_hashtag_posts", Asked()),
        ("fetch_hashtag_posts", Asked(hashtag="#")),
        ("fetch_hashtag_posts", Asked(hashtag="two words")),
        ("fetch_profile_posts_by_id", Asked(handle=HANDLE, cursor="a b")),
        ("fetch_hashtag_posts", Asked(hashtag="food", cursor="a&b")),
    ],
)
async def test_what_is_none_of_graphs_names_never_reaches_a_path(function: str, asked: Asked) -> None:
    graph = Graph()
    with pytest.raises(Unsupported):
        await graph.fetch(function, asked)
    assert graph.seen == []


@pytest.mark.parametrize(
    ("function", "edge"), [("fetch_hashtag_posts", "recent_media"), ("fetch_hashtag_top_posts", "top_media")]
)
async def test_a_hashtag_is_searched_and_then_listed(function: str, edge: str) -> None:
    def answers(path: str, query: dict[str, str]) -> Any:
        return sample("fetch_hashtag_posts.id-search" if path == "ig_hashtag_search" else "fetch_hashtag_posts")

    graph = Graph(answers)
    page = await graph.fetch(function, Asked(hashtag="#Saffron", cursor="same"))
    assert len(page.posts) == 2
    assert graph.seen[0] == ("ig_hashtag_search", {"user_id": USER_ID, "q": "Saffron"})
    path, query = graph.seen[1]
    assert path == f"17843826142012701/{edge}"
    assert query == {**query, "user_id": USER_ID, "limit": "50", "after": "same"}
    assert "username" not in query["fields"]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [({"data": []}, NotFoundHere), (sample("fetch_hashtag_posts.error-400-24-no-hashtag"), NotFound)],
)
async def test_an_unknown_hashtag_is_not_found(answer: Any, kind: type[Exception]) -> None:
    graph = Graph(lambda path, query: answer)  # noqa: ARG005
    with pytest.raises(kind):
        await graph.fetch("fetch_hashtag_posts", Asked(hashtag="strikke1"))
    assert len(graph.seen) == 1


@pytest.mark.parametrize(
    ("post_type", "product_type", "old", "new"),
    [
        ("image", "FEED", [IMAGE], [FEED, IMAGE]),
        ("image", None, [IMAGE], [FEED, IMAGE]),
        ("carousel", "carousel_container", [CAROUSEL], [FEED, CAROUSEL]),
        (None, "carousel_container", [CAROUSEL], [FEED, CAROUSEL]),
        ("reels", "REELS", [REELS], [REELS]),
        ("reels", "clips", [REELS], [REELS]),
        ("reels", "FEED", [VIDEO], [FEED, VIDEO]),
        ("reels", "igtv", [VIDEO], [FEED, VIDEO]),
        ("reels", None, [REELS, VIDEO], [REELS, FEED, VIDEO]),
        (None, None, [REELS, VIDEO, IMAGE, CAROUSEL], [REELS, FEED, VIDEO, IMAGE, CAROUSEL]),
        ("", "FEED", [REELS, VIDEO, IMAGE, CAROUSEL], [REELS, FEED, VIDEO, IMAGE, CAROUSEL]),
    ],
)
async def test_each_kind_of_post_has_its_metrics(
    post_type: str | None, product_type: str | None, old: list[str], new: list[str]
) -> None:
    for version, sets in (("v15.0", old), ("v18.0", new)):
        graph = Graph(lambda path, query: error(100, "(#100) metric"), version)  # noqa: ARG005
        with pytest.raises(Unsupported):
            await graph.fetch(
                "fetch_post_insights", Asked(post_id="17", post_type=post_type, product_type=product_type)
            )
        assert graph.seen == [("17/insights", {"metric": metrics}) for metrics in sets]


async def test_the_first_metrics_that_a_post_has_are_enough() -> None:
    graph = Graph(lambda path, query: {"data": [number("reach")]} if query["metric"] == VIDEO else error(100))  # noqa: ARG005
    found = await graph.fetch("fetch_post_insights", Asked(post_id="17"))
    assert (found.metrics, len(graph.seen)) == ({"reach": 3}, 2)


async def test_only_code_100_leads_to_other_metrics() -> None:
    graph = Graph(lambda path, query: error(190))  # noqa: ARG005
    with pytest.raises(CredentialInvalid):
        await graph.fetch("fetch_post_insights", Asked(post_id="17"))
    assert len(graph.seen) == 1


async def test_a_story_is_one_call_below_v18() -> None:
    graph = Graph(lambda path, query: sample("fetch_story_insights"))  # noqa: ARG005
    found = await graph.fetch("fetch_story_insights", Asked(post_id="17298827483257500"))
    assert graph.seen == [("17298827483257500/insights", {"metric": STORY})]
    assert found.metrics["taps_back"] == 833


NAVIGATION = {
    "name": "navigation",
    "total_value": {
        "value": 5,
        "breakdowns": [
            {
                "dimension_keys": ["story_navigation_action_type"],
                "results": [{"dimension_values": ["tap_forward"], "value": 5}],
            }
        ],
    },
}


def story(numbers: Any, navigation: Any) -> Answers:
    return lambda path, query: navigation if query["metric"] == "navigation" else numbers  # noqa: ARG005


async def test_a_story_is_two_calls_from_v18() -> None:
    graph = Graph(story({"data": [number("reach")]}, {"data": [NAVIGATION]}), "v18.0")
    found = await graph.fetch("fetch_story_insights", Asked(post_id="17"))
    assert (found.metrics, found.gaps) == ({"reach": 3, "navigation": 5, "tap_forward": 5}, {})
    assert sorted((query for _, query in graph.seen), key=len) == [
        {"metric": NEW_STORY},
        {"metric": "navigation", "breakdown": "story_navigation_action_type"},
    ]


@pytest.mark.parametrize("second", [error(2), error(10, "not enough viewers"), {"ok": True}, EMPTY, "?"])
async def test_numbers_of_a_story_survive_a_failed_second_call(second: Any) -> None:
    found = await Graph(story({"data": [number("reach")]}, second), "v18.0").fetch(
        "fetch_story_insights", Asked(post_id="17")
    )
    assert found.metrics == {"reach": 3}
    assert list(found.gaps) == ([] if second == EMPTY else ["navigation"])


async def test_navigation_survives_a_failed_first_call() -> None:
    found = await Graph(story(error(100), {"data": [NAVIGATION]}), "v18.0").fetch(
        "fetch_story_insights", Asked(post_id="17")
    )
    assert found.metrics == {"navigation": 5, "tap_forward": 5}
    assert found.gaps["story"].startswith("unsupported: ")


async def test_a_story_of_which_all_calls_fail_has_the_first_error() -> None:
    graph = Graph(story(error(10, "(#10) Not enough viewers for the media to show insights"), error(2)), "v18.0")
    with pytest.raises(InsufficientData):
        await graph.fetch("fetch_story_insights", Asked(post_id="17"))


async def test_numbers_of_an_account_are_asked_by_day_and_by_28_days() -> None:
    graph = Graph(lambda path, query: {"data": [{**number("reach"), "period": query["period"]}]})  # noqa: ARG005
    found = await graph.fetch("fetch_profile_insights", MINE)
    assert [series.period for series in found.series] == ["day", "days_28"]
    asked = {query["period"]: query for _, query in graph.seen}
    assert {period: query["metric"] for period, query in asked.items()} == {"day": BY_DAY, "days_28": BY_28_DAYS}
    assert {int(query["until"]) - int(query["since"]) for query in asked.values()} == {28 * 86400}
    assert {path for path, _ in graph.seen} == {f"{USER_ID}/insights"}


async def test_an_audience_is_one_call_below_v18_and_the_rest_are_gaps() -> None:
    body = sample("fetch_audience_insights")
    for item in body["data"]:
        item["id"] = item["id"].replace("17841405820113374", USER_ID)
    graph = Graph(lambda path, query: body)  # noqa: ARG005
    found = await graph.fetch("fetch_audience_insights", MINE)
    metrics = "audience_city,audience_country,audience_gender_age,audience_locale"
    assert graph.seen == [(f"{USER_ID}/insights", {"metric": metrics, "period": "lifetime"})]
    assert (found.country["PT"], found.reached, found.engaged) == (98211, None, None)
    assert found.gaps == {
        f"{who}_audience_demographics": (
            f"unsupported: {who}_audience_demographics needs Graph API v18.0, v15.0 is set"
        )
        for who in ("reached", "engaged")
    }


def broken_down(path: str, query: dict[str, str]) -> Any:
    """total_value numbers of whatever breakdown is asked for."""
    keys = query["breakdown"].split(",")
    values = {"country": "PT", "city": "Lisbon", "age": "25-34", "gender": "F"}
    result = {"dimension_values": [values[key] for key in keys], "value": len(query["metric"])}
    total = {"breakdowns": [{"dimension_keys": keys, "results": [result]}]}
    return {"data": [{"name": query["metric"], "total_value": total, "id": f"{USER_ID}/insights/x/lifetime"}]}


async def test_an_audience_is_nine_calls_from_v18() -> None:
    graph = Graph(broken_down, "v18.0")
    found = await graph.fetch("fetch_audience_insights", MINE)
    wanted = {"metric_type": "total_value", "timeframe": "last_90_days", "period": "lifetime"}
    assert all(query == {**query, **wanted} for _, query in graph.seen)
    assert len({(query["metric"], query["breakdown"]) for _, query in graph.seen}) == len(graph.seen) == 9
    for audience, size in ((found, 21), (found.reached, 29), (found.engaged, 29)):
        assert (audience.city, audience.country, audience.gender_age) == (
            {"Lisbon": size},
            {"PT": size},
            {"F.25-34": size},
        )
    assert found.gaps == {"audience_locale": "unsupported: audience_locale is gone since Graph API v18.0, v18.0 is set"}


async def test_a_failed_breakdown_is_a_gap_and_never_an_empty_audience() -> None:
    def answers(path: str, query: dict[str, str]) -> Any:
        if query["metric"].startswith("reached") or query["breakdown"] == "city":
            return error(100, "(#100) Not enough followers to show insights")
        return broken_down(path, query)

    found = await Graph(answers, "v19.0").fetch("fetch_audience_insights", MINE)
    assert (found.city, found.reached, found.country) == (None, None, {"PT": 21})
    assert {name.partition(" ")[0] for name in found.gaps} == {
        "follower_demographics",
        "reached_audience_demographics",
        "engaged_audience_demographics",
        "audience_locale",
    }
    assert found.gaps["follower_demographics by city"].startswith("insufficient_data: ")


async def test_an_audience_of_which_nothing_comes_is_an_error() -> None:
    graph = Graph(lambda path, query: error(190, "Error validating access token"), "v18.0")  # noqa: ARG005
    with pytest.raises(CredentialInvalid):
        await graph.fetch("fetch_audience_insights", MINE)


@pytest.mark.parametrize(
    ("version", "calls"),
    [
        ("v15.0", [("audience_city,audience_gender_age", None)]),
        ("v18.0", [("follower_demographics", "age,gender"), ("follower_demographics", "city")]),
    ],
)
async def test_followers_alone_are_fewer_calls(version: str, calls: list[tuple[str, str | None]]) -> None:
    graph = Graph(lambda path, query: EMPTY, version)  # noqa: ARG005
    found = await graph.fetch("fetch_follower_audience_insights", MINE)
    assert sorted((query["metric"], query.get("breakdown")) for _, query in graph.seen) == calls
    assert found.gaps == {}


@pytest.mark.parametrize("version", ["v9.0", "v15.0", "v17.0"])
async def test_a_call_that_the_version_lacks_says_so(version: str) -> None:
    async with aclosing(HttpClient(HttpOptions())) as client:
        provider = GraphApi.at_version(version)(Credential(7, "graphapi", HANDLE, {"user_id": USER_ID}), client)
        with pytest.raises(Unsupported, match=f"follower_demographics needs Graph API v18.0, {version} is set"):
            await provider.demographics("fetch_audience_insights", MINE, "follower_demographics", "city")
