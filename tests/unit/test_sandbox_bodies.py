"""Rendered bodies have the keys and JSON types of the documented ones, no others, and leave none out."""

from __future__ import annotations

import json
import re
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
    """Shape of all documented answers of a function (or ``source:function``) that are not errors."""
    source, _, function = function.rpartition(":") if ":" in function else (source, "", function)
    files = [*(SAMPLES / source).glob(f"{function}.json"), *(SAMPLES / source).glob(f"{function}.*.json")]
    bodies = [path for path in files if not re.search(r"error|200\.json|done-", path.name)]
    return set().union(*(shape(json.loads(path.read_bytes())) for path in bodies))


def moved(source: str, function: str, old: str, new: str) -> set[str]:
    """Documented paths of items that another function (or ``source:function``) has at another place."""
    return {new + path.removeprefix(old) for path in documented(source, function) if path.startswith(old)}


@dataclass(frozen=True)
class Case:
    """One function of one source: requests to make, and how its answers may differ from the one documented body."""

    source: str
    function: str
    path: str | tuple[str, ...]
    like: tuple[tuple[str, str, str], ...] = ()  # (function, where an item stands there, where it stands here)
    more: frozenset[str] = field(default_factory=frozenset)  # paths known from the provider's page, not from a body
    never: frozenset[str] = field(default_factory=frozenset)  # documented paths that need not occur

    def __str__(self) -> str:
        return f"{self.source}:{self.function}"


def subjects() -> Iterator[dict[str, str]]:
    for who in PUBLIC:
        post = next(iter(posts_of(WORLD, who)), None)
        words = {"handle": who.handle, "pk": str(who.pk), "code": "", "media": "", "own": OWN_ID}
        yield {**words, "code": post.shortcode, "media": str(post.pk)} if post else words
        for later in posts_of(WORLD, who)[1:4]:
            yield {**words, "code": later.shortcode, "media": str(later.pk)}


def ask(host: Host, url: str) -> Answer:
    """Route and render one GET, or one POST where JSON follows the path, with a valid credential."""
    path, _, text = url.partition("?")
    posted = text if text.startswith("{") else ""
    query = {} if posted else dict(pair.split("=", 1) for pair in text.split("&") if pair)
    method = "POST" if posted else "GET"
    call = host.route(Asked(path, query, {}, method, posted.encode()), host.credentials[1])
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
N, B, IG = "rapidapi-neotank", "rapidapi-bestsolutions", "rapidapi-igapi"
L, R = "lama", "rocketapi"
INNER = ".response.body"
NEWEST = ".edge_owner_to_timeline_media.edges[].node"
WEB_POSTS, OLD_POSTS = f"{A}:fetch_profile_posts_by_id", f"{IG}:fetch_profile_posts_by_handle"
L_POSTS, L_SHORT, COAUTHOR = f"{L}:fetch_profile_posts_by_id", f"{L}:fetch_post_likes", "[][].coauthor_producers[]"
LAMA_UNSAID = frozenset({".category: null", ".category_name: null", ".external_url: null"})
COLLECTED = ((f"{IG}:fetch_followers", "", ""), (f"{IG}:fetch_following", "", ""))

MORE_FOLLOWERS = frozenset({".data.user.edge_followed_by.page_info.end_cursor: null"})  # one page of many


def unsaid(at: str) -> frozenset[str]:
    """What a web profile may lack."""
    names = ("category_name", "external_url", "external_url_linkshimmed")
    return frozenset(f"{at}.{name}: null" for name in names)


def inner(function: str) -> tuple[tuple[str, str, str], ...]:
    """A mobile answer as documented in rocketapi's envelope."""
    return ((f"{R}:{function}", INNER, ""),)


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
        N,
        "fetch_profile_by_handle",
        "/account-info?username={handle}",
        ((WEB_POSTS, NODES, NEWEST),),
        coauthors(NEWEST) | unsaid(""),
    ),
    Case(
        N,
        "fetch_profile_posts_by_handle",
        "/account-feed?username={handle}",
        more=coauthors("[].node"),
    ),
    Case(
        N,
        "fetch_profile_posts_by_id",
        "/account-medias?userid={pk}&first=40",
        ((OLD_POSTS, ".edges", ".edges"),),
    ),
    Case(
        N,
        "fetch_post_by_shortcode",
        "/media-info?code={code}",
        (
            (f"{A}:fetch_post_by_shortcode", "", ".data.shortcode_media"),
            (WEB_POSTS, NODES, ".data.shortcode_media"),
        ),
        coauthors(".data.shortcode_media") | frozenset({": object", ".data: object", ".status: str"}),
    ),
    Case(B, "fetch_profile_by_id", "/profile?user_id={pk}"),
    Case(B, "fetch_profile_by_handle", "/profile?username={handle}"),
    Case(B, "fetch_profile_posts_by_id", "/feed?user_id={pk}", more=frozenset({".items[].caption: null"})),
    Case(
        B,
        "fetch_post_by_shortcode",
        ("/post?shortcode={code}", "/media?id={media}"),
        ((f"{B}:fetch_profile_posts_by_id", ".items", ".items"), (f"{R}:fetch_post_by_shortcode", INNER, "")),
        frozenset({".items[].caption: null"}),
    ),
    Case(B, "fetch_story_posts_by_profile_id", "/stories?user_id={pk}", inner("fetch_story_posts_by_profile_id")),
    Case(B, "fetch_followers", "/followers?user_id={pk}", inner("fetch_followers")),
    Case(B, "fetch_following", "/following?user_id={pk}", inner("fetch_following")),
    Case(
        B,
        "fetch_post_comments",
        "/comments?id={media}",
        inner("fetch_post_comments"),
        frozenset({".caption: null"}),
    ),
    Case(
        B,
        "fetch_hashtag_posts",
        "/?hashtag=cooking",
        (*inner("fetch_hashtag_posts"), (f"{R}:fetch_reels_posts", f"{INNER}.items[].media", SECTION)),
    ),
    Case(
        IG,
        "fetch_profile_by_handle",
        "/user/info?username={handle}",
        ((WEB_POSTS, NODES, NEWEST),),
        coauthors(NEWEST) | unsaid(""),
    ),
    Case(
        IG,
        "fetch_profile_by_id",
        "/user/info/id?user_id={pk}",
        ((f"{IG}:fetch_profile_by_handle", "", ""), (WEB_POSTS, NODES, NEWEST)),
        coauthors(NEWEST) | unsaid(""),
    ),
    Case(IG, "fetch_profile_posts_by_handle", "/user/feed?username={handle}"),
    Case(IG, "fetch_profile_posts_by_id", "/user/feed?user_id={pk}", ((OLD_POSTS, "", ""),)),
    Case(IG, "fetch_reels_posts", "/user/reels?user_id={pk}"),
    Case(
        IG,
        "fetch_post_by_shortcode",
        "/post/info?post={code}",
        (
            (f"{J}:fetch_profile_posts_by_id", ".items[].carousel_media", ".carousel_media"),
            (f"{J}:fetch_profile_posts_by_id", ".items[].caption: null", ".caption: null"),
        ),
    ),
    Case(IG, "fetch_tagged_posts", "/user/tagged/feed?user_id={pk}", ((OLD_POSTS, "", ""),)),
    Case(IG, "fetch_hashtag_posts", "/hashtag/feed?hashtag=cooking", ((OLD_POSTS, "", ""),)),
    Case(IG, "fetch_story_posts_by_profile_id", "/user/stories?user_id={pk}", inner("fetch_story_posts_by_profile_id")),
    Case(IG, "fetch_followers", "/followers?user_id={pk}", ((f"{IG}:fetch_following", "", ""),)),
    Case(IG, "fetch_following", "/followings?user_id={pk}", ((f"{IG}:fetch_followers", "", ""),)),
    Case(IG, "fetch_post_likes", "/likers?post={code}", COLLECTED),
    Case(
        IG,
        "fetch_post_comments",
        "/comments?post={code}",
        (
            *COLLECTED,
            (
                f"{J}:fetch_post_comments",
                ".data.shortcode_media.edge_media_to_parent_comment.edges[].node",
                ".collector[]",
            ),
        ),
    ),
    Case(L, "fetch_profile_by_handle", "/v1/user/by/username?username={handle}", more=LAMA_UNSAID),
    Case(L, "fetch_profile_by_id", "/v1/user/by/id?id={pk}", more=LAMA_UNSAID),
    Case(L, "fetch_profile_posts_by_id", "/v1/user/medias/chunk?user_id={pk}", ((L_SHORT, "[]", COAUTHOR),)),
    Case(L, "fetch_reels_posts", "/v1/user/clips/chunk?user_id={pk}", ((L_POSTS, "", ""), (L_SHORT, "[]", COAUTHOR))),
    Case(
        L,
        "fetch_post_by_shortcode",
        ("/v1/media/by/code?code={code}", "/v1/media/by/id?id={media}"),
        ((L_POSTS, "[][]", ""), (L_SHORT, "[]", ".coauthor_producers[]")),
    ),
    Case(
        L,
        "fetch_tagged_posts",
        "/v1/user/tag/medias?user_id={pk}",
        ((L_POSTS, "[][]", "[]"), (L_SHORT, "[]", "[].coauthor_producers[]")),
        frozenset({": list"}),
    ),
    Case(
        L,
        "fetch_hashtag_posts",
        ("/v1/hashtag/medias/recent/chunk?name=cooking", "/v1/hashtag/medias/top/chunk?name=cooking"),
        ((L_POSTS, "", ""), (L_SHORT, "[]", COAUTHOR)),
    ),
    Case(L, "fetch_story_posts_by_profile_id", "/v1/user/stories?user_id={pk}"),
    Case(L, "fetch_followers", "/v1/user/followers/chunk?user_id={pk}"),
    Case(L, "fetch_following", ("/v1/user/following/chunk?user_id={pk}", "/v1/user/following?user_id={pk}&amount=9")),
    Case(L, "fetch_post_likes", "/v1/media/likers?id={media}"),
    Case(
        L,
        "fetch_post_comments",
        "/v1/media/comments/chunk?id={media}",
    ),
    Case(
        R,
        "fetch_profile_by_handle",
        '/instagram/user/get_info?{{"username":"{handle}"}}',
        ((WEB_POSTS, NODES, f"{INNER}.data.user{NEWEST}"),),
        coauthors(f"{INNER}.data.user{NEWEST}") | unsaid(f"{INNER}.data.user"),
    ),
    Case(R, "fetch_profile_by_id", '/instagram/user/get_info_by_id?{{"id":{pk}}}'),
    Case(
        R,
        "fetch_profile_posts_by_id",
        (
            '/instagram/user/get_media?{{"id":{pk},"count":12}}',
            '/instagram/user/get_media_by_username?{{"username":"{handle}"}}',
        ),
        ((f"{B}:fetch_profile_posts_by_id", ".items", f"{INNER}.items"),),
        frozenset({f"{INNER}.items[].caption: null"}),
    ),
    Case(R, "fetch_reels_posts", '/instagram/user/get_clips?{{"id":{pk},"count":12}}'),
    Case(
        R,
        "fetch_post_by_shortcode",
        (
            '/instagram/media/get_info_by_shortcode?{{"shortcode":"{code}"}}',
            '/instagram/media/get_info?{{"id":{media}}}',
        ),
        ((f"{R}:fetch_profile_posts_by_id", f"{INNER}.items", f"{INNER}.items"),),
        frozenset({f"{INNER}.items[].caption: null"}),
    ),
    Case(
        R,
        "fetch_tagged_posts",
        '/instagram/user/get_tags?{{"id":{pk},"count":50}}',
        ((WEB_POSTS, NODES, f"{INNER}{TAGGED}.edges[].node"),),
        coauthors(f"{INNER}{TAGGED}.edges[].node"),
    ),
    Case(
        R,
        "fetch_hashtag_posts",
        '/instagram/hashtag/get_media?{{"name":"cooking"}}',
        ((f"{R}:fetch_reels_posts", f"{INNER}.items[].media", f"{INNER}{SECTION}"),),
    ),
    Case(R, "fetch_story_posts_by_profile_id", '/instagram/user/get_stories?{{"ids":[{pk}]}}'),
    Case(R, "fetch_followers", '/instagram/user/get_followers?{{"id":{pk},"count":50}}'),
    Case(R, "fetch_following", '/instagram/user/get_following?{{"id":{pk},"count":200}}'),
    Case(
        R,
        "fetch_post_likes",
        ('/instagram/media/get_likes?{{"shortcode":"{code}"}}', '/instagram/media/get_likes_by_id?{{"id":{media}}}'),
    ),
    Case(
        R,
        "fetch_post_comments",
        '/instagram/media/get_comments?{{"id":{media}}}',
        more=frozenset({f"{INNER}.caption: null"}),
    ),
    Case(A, "fetch_followers", "/ig/followers/?id_user={pk}", inner("fetch_followers")),
    Case(A, "fetch_following", "/ig/following/?id_user={pk}", inner("fetch_following")),
    Case(A, "fetch_post_likes", "/ig/likes/?shortcode={code}", inner("fetch_followers")),
    Case(
        A,
        "fetch_post_comments",
        "/ig/comments/?shortcode={code}",
        inner("fetch_post_comments"),
        frozenset({".caption: null"}),
    ),
    Case(J, "fetch_story_posts_by_profile_id", "/stories?user_id={pk}", inner("fetch_story_posts_by_profile_id")),
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
    paths = (case.path,) if isinstance(case.path, str) else case.path
    urls = {
        path.format(**words)
        for path in paths
        for words in subjects()
        if all(words[name] for name in ("code", "media") if f"{{{name}}}" in path)
    }
    found = set[str]()
    for url in urls:
        answer = ask(HOSTS[case.source], url)
        body = json.loads(answer.body)
        if answer.status == 200 and not _says_no(body):
            found |= shape(body)
    return found


def _says_no(body: Any) -> bool:
    inner = body.get("response", {}).get("body", {}) if isinstance(body, dict) else {}
    return isinstance(body, dict) and ("message" in body or "message" in inner)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_bodies_have_the_documented_keys_and_types(case: Case) -> None:
    known = documented(case.source, case.function).union(*(moved(case.source, *place) for place in case.like))
    found = rendered(case)
    assert sorted(found - known - case.more) == []
    assert sorted(documented(case.source, case.function) - found - case.never) == []
