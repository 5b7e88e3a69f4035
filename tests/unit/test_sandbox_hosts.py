"""The hosts of all eight sources: who may ask, how they refuse, how lists end, and that they agree."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.sandbox.faults import PROVIDER_ERRORS, FaultIn, FaultKind
from tests.sandbox.hosts import all_hosts
from tests.sandbox.hosts.base import Answer, Asked, Call, Host, Refusal
from tests.sandbox.lists import comment_count, followers_of, following_of, likers_of, tagged_posts
from tests.sandbox.posts import by_shortcode, posts_of, stories_of
from tests.sandbox.spoil import spoiled
from tests.sandbox.universe import OPEN_KINDS, Creator, Kind, Trait, Universe

WORLD = Universe(seed=5, size=150)
HOSTS = {host.source: host for host in all_hosts(WORLD).values()}
CREATORS = [WORLD.creator(index) for index in range(WORLD.size)]
OPEN = [who for who in CREATORS if who.kind in OPEN_KINDS]
A, J, N = "rapidapi-arraybobo", "rapidapi-jotucker", "rapidapi-neotank"
B, IG, L, R = "rapidapi-bestsolutions", "rapidapi-igapi", "lama", "rocketapi"


def a(kind: Kind, trait: Trait = Trait.PLAIN) -> Creator:
    return next(who for who in CREATORS if who.kind is kind and who.trait is trait)


def get(path: str, **query: str) -> Asked:
    return Asked(path, query, {})


def post(path: str, **body: Any) -> Asked:
    return Asked(f"/instagram/{path}", {}, {}, "POST", json.dumps(body).encode())


def ask(source: str, asked: Asked) -> tuple[int, Any]:
    """(status, body); of rocketapi those in the envelope."""
    host = HOSTS[source]
    call = host.route(asked, host.credentials[0])
    answer: Answer = host.render(call) if isinstance(call, Call) else call
    body = json.loads(answer.body)
    inner = body.get("response") if isinstance(body, dict) else None
    return (inner["status_code"], inner["body"]) if inner else (answer.status, body)


def collector(body: Any) -> list[str]:
    return [user["id"] for user in body["collector"]]


def users(body: Any) -> list[str]:
    return [str(user["pk"]) for user in body["users"]]


def nodes(body: Any, *path: str) -> list[str]:
    for key in path:
        body = body[key]
    return [edge["node"]["id"] for edge in body["edges"]]


@dataclass(frozen=True)
class Paged:
    """A list of one source: a request for a page, and what stands on it: (ids, cursor, '' at the end)."""

    source: str
    asked: Callable[[str, str], Asked]
    read: Callable[[Any], list[str]]
    cursor: Callable[[Any], str | None]

    def page(self, subject: str, cursor: str = "") -> tuple[list[str], str]:
        status, body = ask(self.source, self.asked(subject, cursor))
        assert status == 200, body
        return self.read(body), self.cursor(body) or ""

    def walk(self, subject: str) -> Iterator[tuple[list[str], str]]:
        """Pages until no cursor, a known cursor, or two empty pages."""
        seen, empty, cursor = {""}, 0, ""
        while empty < 2:
            ids, cursor = self.page(subject, cursor)
            yield ids, cursor
            empty += not ids
            if cursor in seen:
                return
            seen.add(cursor)


def _end(body: Any) -> str | None:
    text: str | None = body["end_cursor"]
    return text


def _next(body: Any) -> str | None:
    text: str | None = body.get("next_max_id")
    return text


FOLLOWERS = [
    Paged(
        J,
        lambda pk, c: get("/followers", user_id=pk, next_cursor=c),
        lambda body: nodes(body, "data", "user", "edge_followed_by"),
        lambda body: _end(body["data"]["user"]["edge_followed_by"]["page_info"]),
    ),
    Paged(R, lambda pk, c: post("user/get_followers", id=int(pk), count=50, max_id=c), users, _next),
    Paged(
        L,
        lambda pk, c: get("/v1/user/followers/chunk", user_id=pk, max_id=c),
        lambda body: [user["pk"] for user in body[0]],
        lambda body: str(body[1]),
    ),
    Paged(A, lambda pk, c: get("/ig/followers/", id_user=pk, next_max_id=c), users, _next),
    Paged(IG, lambda pk, c: get("/followers", user_id=pk, end_cursor=c), collector, _end),
    Paged(B, lambda pk, c: get("/followers", user_id=pk, next_max_id=c), users, _next),
]
FOLLOWING = [
    Paged(R, lambda pk, c: post("user/get_following", id=int(pk), count=200, max_id=c), users, _next),
    Paged(
        L,
        lambda pk, c: get("/v1/user/following/chunk", user_id=pk, max_id=c),
        lambda body: [user["pk"] for user in body[0]],
        lambda body: str(body[1]),
    ),
    Paged(A, lambda pk, c: get("/ig/following/", id_user=pk, next_max_id=c), users, _next),
    Paged(IG, lambda pk, c: get("/followings", user_id=pk, end_cursor=c), collector, _end),
    Paged(B, lambda pk, c: get("/following", user_id=pk, next_max_id=c), users, _next),
]


@pytest.mark.parametrize("paged", FOLLOWERS, ids=lambda paged: paged.source)
def test_every_source_gives_the_same_followers(paged: Paged) -> None:
    who = a(Kind.BUSINESS)
    found = [pk for ids, _ in paged.walk(str(who.pk)) for pk in ids]
    assert found == [str(other.pk) for other in followers_of(WORLD, who)]


@pytest.mark.parametrize("paged", FOLLOWING, ids=lambda paged: paged.source)
def test_every_source_gives_the_same_followed_accounts(paged: Paged) -> None:
    who = a(Kind.CREATOR)
    found = [pk for ids, _ in paged.walk(str(who.pk)) for pk in ids]
    assert found == [str(other.pk) for other in following_of(WORLD, who)]


@pytest.mark.parametrize("paged", [*FOLLOWERS, *FOLLOWING], ids=lambda paged: paged.source)
def test_lists_with_a_trap_hold_everything_and_never_say_that_they_end(paged: Paged) -> None:
    truth = followers_of if paged in FOLLOWERS else following_of
    empty, same = (next(who for who in OPEN if who.trait is trait) for trait in (Trait.EMPTY_PAGES, Trait.SAME_CURSOR))
    for who in (empty, same):
        pages = list(paged.walk(str(who.pk)))
        found = list(dict.fromkeys(pk for ids, _ in pages for pk in ids))
        assert found == [str(other.pk) for other in truth(WORLD, who)]
        assert all(cursor for _, cursor in pages)
    last = list(paged.walk(str(same.pk)))[-1][1]
    assert paged.page(str(same.pk), last)[1] == last
    first, second = (cursor for _, cursor in list(paged.walk(str(empty.pk)))[-2:])
    assert first != second


def test_some_last_pages_claim_another_one_without_a_cursor() -> None:
    who = next(who for who in OPEN if who.trait is Trait.EMPTY_CURSOR)
    for paged in FOLLOWERS:
        cursor, flags = "", {"has_more", "big_list", "has_next_page"}
        while following := paged.page(str(who.pk), cursor)[1]:
            cursor = following
        text = json.dumps(ask(paged.source, paged.asked(str(who.pk), cursor))[1])
        assert paged.source == L or any(f'"{flag}": true' in text for flag in flags)


def test_every_source_gives_the_same_likers_and_comments() -> None:
    media = next(one for who in OPEN for one in posts_of(WORLD, who) if one.likes > 3 and 3 < one.comments < 12)
    code, pk = media.shortcode, str(media.pk)
    likers = [str(who.pk) for who in likers_of(WORLD, media)]
    assert [user["pk"] for user in ask(L, get("/v1/media/likers", id=pk))[1]] == likers
    assert users(ask(R, post("media/get_likes", shortcode=code))[1]) == likers
    assert users(ask(A, get("/ig/likes/", shortcode=code))[1]) == likers[:12]
    assert collector(ask(IG, get("/likers", post=code))[1]) == likers[:50]
    path = "data", "shortcode_media"
    assert nodes(ask(J, get("/media_likers", short_code=code))[1], *path, "edge_liked_by") == likers[:50]
    said = nodes(ask(J, get("/media_comments", short_code=code))[1], *path, "edge_media_to_parent_comment")
    assert len(said) == comment_count(media)
    assert [one["pk"] for one in ask(L, get("/v1/media/comments/chunk", id=pk))[1][0]] == said
    assert [one["pk"] for one in ask(R, post("media/get_comments", id=media.pk))[1]["comments"]] == said
    assert [one["pk"] for one in ask(B, get("/comments", id=pk))[1]["comments"]] == said
    assert [one["pk"] for one in ask(A, get("/ig/comments/", shortcode=code))[1]["comments"]] == said
    assert collector(ask(IG, get("/comments", post=code))[1]) == said


def counts(who: Creator) -> dict[str, tuple[int, int, int, str]]:
    """(pk, followers, posts, handle) as each source's profile says them."""
    pk, handle = str(who.pk), who.handle
    web = {
        N: ask(N, get("/account-info", username=handle))[1],
        IG: ask(IG, get("/user/info/id", user_id=pk))[1],
        R: ask(R, post("user/get_info", username=handle))[1]["data"]["user"],
    }
    mobile = {
        L: ask(L, get("/v1/user/by/id", id=pk))[1],
        B: ask(B, get("/profile", user_id=pk))[1],
        A: ask(A, get("/ig/info/", id_user=pk))[1]["user"],
        J: ask(J, get("/user_info_by_id", user_name=handle))[1]["user"],
    }
    found = {
        source: (int(user["pk"]), user["follower_count"], user["media_count"], user["username"])
        for source, user in mobile.items()
    }
    for source, user in web.items():
        posts = user["edge_owner_to_timeline_media"]["count"]
        found[source] = int(user["id"]), user["edge_followed_by"]["count"], posts, user["username"]
    return found


def test_all_sources_agree_on_an_account_and_one_jumps() -> None:
    for who in (a(Kind.BUSINESS), a(Kind.PERSONAL), next(who for who in OPEN if who.kind is Kind.RENAMED)):
        truth = (who.pk, who.followers, len(posts_of(WORLD, who)), who.handle)
        expected = dict.fromkeys((N, IG, R, L, B, A, J), truth)
        if who.trait is not Trait.FOLLOWER_JUMP:
            assert counts(who) == expected
    who = next(who for who in OPEN if who.trait is Trait.FOLLOWER_JUMP)
    said = {source: followers for source, (_, followers, _, _) in counts(who).items()}
    assert said.pop(J) == 25 * who.followers
    assert set(said.values()) == {who.followers}


UNKNOWN = {
    N: (get("/account-info", username="nobody"), 404),
    IG: (get("/user/info", username="nobody"), 200),
    B: (get("/profile", username="nobody"), 404),
    L: (get("/v1/user/by/username", username="nobody"), 404),
    R: (post("user/get_info", username="nobody"), 404),
}


@pytest.mark.parametrize("source", UNKNOWN)
def test_unknown_accounts_answer_as_documented(source: str) -> None:
    asked, wanted = UNKNOWN[source]
    status, body = ask(source, asked)
    assert status == wanted
    assert "not found" in json.dumps(body)


def test_an_unknown_id_is_a_bare_list_at_one_source() -> None:
    assert ask(B, get("/profile", user_id="1")) == (200, [])


def test_private_accounts_hide_their_posts_and_closed_ones_all() -> None:
    private, closed = (next(who for who in CREATORS if who.kind is kind) for kind in (Kind.PRIVATE, Kind.CLOSED))
    pk = str(private.pk)
    assert ask(L, get("/v1/user/by/id", id=pk))[1]["is_private"] is True
    assert ask(L, get("/v1/user/medias/chunk", user_id=pk))[0] == 403
    assert ask(R, post("user/get_media", id=private.pk))[0] == 403
    assert ask(R, post("user/get_info_by_id", id=closed.pk))[0] == 403
    assert ask(N, get("/account-medias", userid=pk))[1]["edges"] == []
    assert ask(N, get("/account-info", username=private.handle))[1]["edge_owner_to_timeline_media"]["edges"] == []
    assert ask(IG, get("/user/feed", user_id=pk))[1] == {"success": False, "message": "Profile is private"}
    assert "Not authorized" in json.dumps(ask(B, get("/feed", user_id=pk))[1])


def credential_headers(host: Host, number: int = 0) -> dict[bytes, bytes]:
    return {name.lower().encode(): text.encode() for name, text in host.credentials[number].credentials.items()}


@pytest.mark.parametrize("source", [N, B, IG, L, R])
def test_only_the_hosts_own_credentials_are_let_in(source: str) -> None:
    host = HOSTS[source]
    for number, credential in enumerate(host.credentials):
        asked = Asked("/", {}, credential_headers(host, number))
        found = host.identify(asked)
        assert found == credential
        assert host.refuse(asked, found) is None
    for headers in ({}, {b"authorization": b"Token x", b"x-access-key": b"x", b"x-rapidapi-key": b"x"}):
        asked = Asked("/", {}, headers)
        refused = host.refuse(asked, host.identify(asked))
        assert refused is not None
        assert refused.status == 401


def test_lama_takes_its_key_from_the_query_as_well() -> None:
    key = HOSTS[L].credentials[2].credentials["x-access-key"]
    assert HOSTS[L].identify(get("/v1/user/by/id", access_key=key)) == HOSTS[L].credentials[2]


def test_limits_are_those_of_the_providers() -> None:
    assert [(HOSTS[source].limit.count, HOSTS[source].limit.per_s) for source in (B, R)] == [(2, 1), (100, 30)]
    assert all(HOSTS[source].limit.count >= 1000 for source in (L, N, IG))


STATUSES = {
    "rate_limit": {429},
    "quota": {429, 402},
    "unauthorized": {401},
    "forbidden": {403, 200},
    "not_found": {404, 200},
    "server_error": {500, 504},
    "error_in_200": {200},
}


@pytest.mark.parametrize("kind", sorted(PROVIDER_ERRORS))
@pytest.mark.parametrize("source", [N, B, IG, L, R])
def test_every_fault_has_the_sources_own_body(source: str, kind: FaultKind) -> None:
    answer = HOSTS[source].error(Refusal(kind.value, 3.0))
    assert answer.status in STATUSES[kind.value]
    assert set(json.loads(answer.body)) & {"message", "messages", "detail", "response"}
    assert (b"retry-after", b"3") in answer.headers or kind is not FaultKind.RATE_LIMIT


def test_rocketapi_gives_web_pages_in_its_envelope_and_refusals_with_a_status_inside() -> None:
    html = json.loads(HOSTS[R].html().body)["response"]
    assert (html["status_code"], html["body"][:9]) == (200, "<!DOCTYPE")
    inner = json.loads(HOSTS[R].error(Refusal("not_found")).body)["response"]
    assert inner["status_code"] == 404


BAD_REQUESTS = [
    (post("user/get_media", id="5"), 400),
    (post("user/get_media", id=5, count=13), 400),
    (post("user/get_media"), 400),
    (post("user/get_media/", id=5), 404),
    (get("/instagram/user/get_media"), 405),
    (Asked("/instagram/user/get_media", {}, {}, "POST", b"{"), 400),
    (post("hashtag/get_media", name="cooking", max_id="QVFx"), 400),
]


@pytest.mark.parametrize(("asked", "status"), BAD_REQUESTS, ids=str)
def test_rocketapi_refuses_what_is_no_request(asked: Asked, status: int) -> None:
    found, body = ask(R, asked)
    assert (found, body["status"]) == (status, "error")


def test_lama_says_which_parameter_is_missing() -> None:
    status, body = ask(L, get("/v1/user/by/id"))
    assert (status, body["detail"][0]["loc"]) == (422, ["query", "id"])
    assert ask(L, get("/v1/nothing")) == (404, {"detail": "Not Found"})


def call_of(source: str, function: str) -> Call:
    """A question of this function about an account that has posts, comments and stories."""
    who = next(
        who
        for who in OPEN
        if who.trait is Trait.PLAIN
        and stories_of(WORLD, who)
        and tagged_posts(WORLD, who)
        and any(one.comments for one in posts_of(WORLD, who)[:1])
    )
    first = posts_of(WORLD, who)[0]
    if "hashtag" in function:
        return Call(function, "tag", "cooking", "", 10)
    if "_post_" in function and "_story_" not in function:
        name = "media_pk" if (source, function) == (B, "fetch_post_comments") else "shortcode"
        return Call(function, name, str(first.pk) if name == "media_pk" else first.shortcode, "", 10)
    by, subject = ("handle", who.handle) if function.endswith("_handle") else ("pk", str(who.pk))
    extra = ("v1",) if (source, function) == (R, "fetch_profile_by_id") else ()
    return Call(function, by, subject, "", 10, extra)


@pytest.mark.parametrize("source", [N, B, IG, L, R])
def test_every_function_breaks_when_its_mandatory_key_changes(source: str) -> None:
    host = HOSTS[source]
    for function, path in host.mandatory.items():
        answer = host.render(call_of(source, function))
        for kind in (FaultKind.CHANGED_KEY, FaultKind.RETYPED_KEY):
            assert spoiled(answer, kind, path).body != answer.body, (function, kind)


def test_a_wrong_user_is_somebody_else_by_media_number_too() -> None:
    media = posts_of(WORLD, next(who for who in OPEN if posts_of(WORLD, who)))[0]
    other = HOSTS[L].about_someone_else(Call("fetch_post_likes", "media_pk", str(media.pk)))
    assert other.subject != str(media.pk)
    assert ask(L, get("/v1/media/by/id", id=other.subject))[0] == 200


def test_single_posts_agree_by_every_name() -> None:
    media = posts_of(WORLD, next(who for who in OPEN if posts_of(WORLD, who)))[0]
    link = f"https://www.instagram.com/p/{media.shortcode}/"
    assert ask(L, get("/v1/media/by/url", url=link)) == ask(L, get("/v1/media/by/code", code=media.shortcode))
    assert ask(IG, get("/post/info", post=link)) == ask(IG, get("/post/info", post=media.shortcode))
    assert ask(B, get("/media", id=str(media.pk))) == ask(B, get("/post", shortcode=media.shortcode))
    assert ask(R, post("media/get_shortcode_by_id", id=media.pk))[1]["shortcode"] == media.shortcode
    assert by_shortcode(WORLD, media.shortcode) == media


def test_faults_take_every_source_name() -> None:
    assert {FaultIn(source=source, kind=FaultKind.HANG).source for source in HOSTS} == set(HOSTS)
