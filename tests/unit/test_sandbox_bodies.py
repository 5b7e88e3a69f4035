"""Rendered bodies have the keys and JSON types of the documented ones, no others, and leave none out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.sandbox.hosts import all_hosts
from tests.sandbox.hosts.base import Answer, Asked, Call, Host
from tests.sandbox.posts import posts_of
from tests.sandbox.templates import SAMPLES
from tests.sandbox.universe import OPEN_KINDS, Universe

WORLD = Universe(seed=3, size=60)
HOSTS = {host.source: host for host in all_hosts(WORLD).values()}
PUBLIC = [WORLD.creator(i) for i in range(WORLD.size) if WORLD.creator(i).kind in OPEN_KINDS]
OWN = HOSTS["graphapi"].credentials[1]
OWN_ID = OWN.credentials["user_id"]
GRAPH_USER = "biography,followers_count,follows_count,id,ig_id,media_count,name,profile_picture_url,username,website"
GRAPH_MEDIA = (
    "caption,comments_count,like_count,media_product_type,media_type,media_url,permalink,thumbnail_url,timestamp,"
    "username,children"
)
OWN_MEDIA = f"{GRAPH_MEDIA},ig_id,shortcode,is_comment_enabled,owner"

type_name = {bool: "bool", int: "int", float: "float", str: "str", type(None): "null"}


def shape(value: Any, path: str = "") -> set[str]:
    """Every key path with the JSON type found there; list positions and ids used as keys are one path."""
    if isinstance(value, dict):
        found = {f"{path}: object"}
        for key, item in value.items():
            found |= shape(item, f"{path}.{'<id>' if key.isdigit() else key}")
        return found
    if isinstance(value, list):
        return {f"{path}: list"}.union(*(shape(item, f"{path}[]") for item in value))
    return {f"{path}: {type_name[type(value)]}"}


def documented(source: str, function: str) -> set[str]:
    """Shape of all documented answers of a function that are not errors."""
    files = [*(SAMPLES / source).glob(f"{function}.json"), *(SAMPLES / source).glob(f"{function}.*.json")]
    bodies = [path for path in files if "error" not in path.name and not path.name.endswith("200.json")]
    return set().union(*(shape(json.loads(path.read_bytes())) for path in bodies))


def moved(source: str, function: str, old: str, new: str) -> set[str]:
    """Documented paths of items that another function has at another place."""
    return {new + path.removeprefix(old) for path in documented(source, function) if path.startswith(old)}


@dataclass(frozen=True)
class Case:
    """One function of one source: requests to make, and how its answers may differ from the one documented body."""

    source: str
    function: str
    path: str
    like: tuple[tuple[str, str, str], ...] = ()  # (function, where an item stands there, where it stands here)
    more: frozenset[str] = field(default_factory=frozenset)  # paths known from the provider's page, not from a body
    never: frozenset[str] = field(default_factory=frozenset)  # documented paths that need not occur

    def __str__(self) -> str:
        return f"{self.source}:{self.function}"


def subjects() -> Iterator[dict[str, str]]:
    for who in PUBLIC:
        post = next(iter(posts_of(WORLD, who)), None)
        words = {"handle": who.handle, "pk": str(who.pk), "code": post.shortcode if post else "", "own": OWN_ID}
        yield words
        for later in posts_of(WORLD, who)[1:4]:
            yield {**words, "code": later.shortcode}


def ask(host: Host, url: str) -> Answer:
    """Route and render one GET, with a valid credential."""
    path, _, text = url.partition("?")
    query = dict(pair.split("=", 1) for pair in text.split("&") if pair)
    call = host.route(Asked(path, query, {}), host.credentials[1])
    assert isinstance(call, Call), call
    return host.render(call)


WEB_NODE = frozenset(
    {
        ".id: str",
        ".is_verified: bool",
        ".profile_pic_url: str",
        ".username: str",
    }
)


def coauthors(at: str) -> frozenset[str]:
    return frozenset({f"{at}.coauthor_producers[]: object", *(f"{at}.coauthor_producers[]{key}" for key in WEB_NODE)})


TIMELINE = ".data.user.edge_owner_to_timeline_media"
HASHTAG = ".data.hashtag.edge_hashtag_to_ranked_media"
TAGGED = ".data.user.edge_user_to_photos_of_you"
SECTION = ".sections[].layout_content.medias[].media"
NODES = f"{TIMELINE}.edges[].node"
A, J = "rapidapi-arraybobo", "rapidapi-jotucker"

MORE_FOLLOWERS = frozenset({".data.user.edge_followed_by.page_info.end_cursor: null"})  # one page of many


def web_nodes(at: str) -> frozenset[str]:
    """Timeline nodes of all kinds, documented for another source of the same dialect."""
    return coauthors(at) | moved(A, "fetch_profile_posts_by_id", NODES, at)


CASES = [
    Case(A, "fetch_profile_by_id", "/ig/info/?id_user={pk}"),
    Case(A, "fetch_profile_by_handle", "/ig/info_username/?user={handle}"),
    Case(A, "fetch_profile_posts_by_id", "/ig/posts/?id_user={pk}", more=coauthors(NODES)),
    Case(
        A,
        "fetch_post_by_shortcode",
        "/ig/post_info/?shortcode={code}",
        (("fetch_profile_posts_by_id", NODES, ""),),
        coauthors(""),
    ),
    Case(A, "fetch_reels_posts", "/ig/reels_posts/?id_user={pk}"),
    Case(A, "fetch_story_posts_by_profile_id", "/ig/stories/?id_user={pk}"),
    Case(
        A,
        "fetch_tagged_posts",
        "/ig/tagged/?id_user={pk}",
        (("fetch_profile_posts_by_id", NODES, f"{TAGGED}.edges[].node"),),
        coauthors(f"{TAGGED}.edges[].node"),
    ),
    Case(A, "fetch_hashtag_posts", "/ig/hashtag/?hashtag=cooking", (("fetch_reels_posts", ".items[].media", SECTION),)),
    Case(J, "fetch_profile_by_id", "/user_info_by_id?user_id={pk}"),
    Case(J, "fetch_profile_by_handle", "/user_info_by_id?user_name={handle}"),
    Case(J, "fetch_profile_posts_by_id", "/medias_v2?user_id={pk}&batch_size=50"),
    Case(
        J,
        "fetch_post_by_shortcode",
        "/media_info_v2?short_code={code}",
        (("fetch_profile_posts_by_id", ".items", ".items"),),
    ),
    Case(
        J,
        "fetch_followers",
        "/followers?user_id={pk}&batch_size=50",
        never=MORE_FOLLOWERS,
    ),
    Case(J, "fetch_following", "/following?user_id={pk}&batch_size=50"),
    Case(J, "fetch_post_likes", "/media_likers?short_code={code}&batch_size=50"),
    Case(J, "fetch_post_comments", "/media_comments?short_code={code}&batch_size=50"),
    Case(
        J,
        "fetch_hashtag_posts",
        "/hash_tag_medias_v2?hash_tag=cooking&batch_size=50",
        more=web_nodes(f"{HASHTAG}.edges[].node"),
    ),
    Case(
        "graphapi",
        "fetch_profile_by_handle",
        f"/v15.0/{{own}}?fields=business_discovery.username({{handle}}){{{{{GRAPH_USER}}}}}",
    ),
    Case(
        "graphapi",
        "fetch_profile_posts_by_handle",
        f"/v15.0/{{own}}?fields=business_discovery.username({{handle}}){{{{{GRAPH_USER},media{{{{{GRAPH_MEDIA}}}}}}}}}",
        never=frozenset({".business_discovery.media.paging.cursors.before: str"}),
    ),
    Case("graphapi", "fetch_profile_by_id", f"/v15.0/{{own}}?fields={GRAPH_USER}", never=frozenset({".website: str"})),
    Case(
        "graphapi",
        "fetch_profile_posts_by_id",
        f"/v15.0/{{own}}/media?fields={OWN_MEDIA}&limit=50",
        never=frozenset({".paging.next: str"}),
    ),
]


def rendered(case: Case) -> set[str]:
    """Shape of all good answers over the whole universe."""
    urls = {case.path.format(**words) for words in subjects() if words["code"] or "{code}" not in case.path}
    found = set[str]()
    for url in urls:
        answer = ask(HOSTS[case.source], url)
        body = json.loads(answer.body)
        if answer.status == 200 and "message" not in body:
            found |= shape(body)
    return found


@pytest.mark.parametrize("case", CASES, ids=str)
def test_bodies_have_the_documented_keys_and_types(case: Case) -> None:
    known = documented(case.source, case.function).union(*(moved(case.source, *place) for place in case.like))
    found = rendered(case)
    assert sorted(found - known - case.more) == []
    assert sorted(documented(case.source, case.function) - found - case.never) == []
