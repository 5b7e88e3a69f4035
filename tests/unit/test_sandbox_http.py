"""The running sandbox over HTTP: hosts, keys, limits, paging and its control API."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiohttp
import pytest

from tests.sandbox.hosts import all_hosts
from tests.sandbox.hosts.base import Call, HostLimit
from tests.sandbox.limits import Window
from tests.sandbox.posts import posts_of, reels_of
from tests.sandbox.universe import Creator, Kind, Trait
from tests.support.sandbox import Sandbox

GRAPH, A, J = "graphapi", "rapidapi-arraybobo", "rapidapi-jotucker"
HOSTS = {
    GRAPH: "graph.facebook.com",
    A: "instagram-scraper-2022.p.rapidapi.com",
    J: "instagram-scraper2.p.rapidapi.com",
}
FIELDS = "biography,followers_count,follows_count,id,ig_id,media_count,name,profile_picture_url,username,website"


class Client:
    """Asks the sandbox as a provider client would."""

    def __init__(self, sandbox: Sandbox, session: aiohttp.ClientSession) -> None:
        self.sandbox, self._session = sandbox, session

    async def get(self, source: str, path: str, number: int = 0, **query: str) -> tuple[int, Any, Mapping[str, str]]:
        """(status, body, headers), with the source's credential of this number."""
        credential = self.sandbox.credentials[source][number].credentials
        headers = {"X-Provider-Host": HOSTS[source]}
        if source == GRAPH:
            query = {"access_token": credential["token"], **query}
            path = path.replace("{own}", credential["user_id"])
        else:
            headers |= credential
        return await self.raw(path, headers, **query)

    async def raw(self, path: str, headers: Mapping[str, str], **query: str) -> tuple[int, Any, Mapping[str, str]]:
        """(status, body, headers)."""
        async with self._session.get(f"{self.sandbox.url}{path}", headers=headers, params=query) as response:
            return response.status, json.loads(await response.read()), response.headers

    def first(self, *kinds: Kind, trait: Trait | None = None) -> Creator:
        """The first creator of these kinds."""
        everyone = (self.sandbox.universe.creator(index) for index in range(200))
        return next(who for who in everyone if who.kind in kinds and trait in {None, who.trait})

    async def discover(self, handle: str, number: int = 0, **query: str) -> tuple[int, Any, Mapping[str, str]]:
        """Graph business discovery."""
        return await self.get(
            GRAPH, "/v15.0/{own}", number, fields=f"business_discovery.username({handle}){{{FIELDS}}}", **query
        )


@pytest.fixture
async def client(sandbox: Sandbox) -> AsyncIterator[Client]:
    async with aiohttp.ClientSession() as session:
        yield Client(sandbox, session)


async def test_an_unknown_host_is_misdirected(client: Client) -> None:
    status, body, _ = await client.raw("/x", {"X-Provider-Host": "api.nowhere.example"})
    assert status == 421
    assert "api.nowhere.example" in body["detail"]
    assert (await client.raw("/x", {}))[0] == 421


@pytest.mark.parametrize("source", [A, J])
async def test_rapidapi_wants_its_header_pair(client: Client, source: str) -> None:
    pair = client.sandbox.credentials[source][0].credentials
    host = {"X-Provider-Host": HOSTS[source]}
    path = "/ig/info/" if source == A else "/user_info_by_id"
    stranger = client.sandbox.credentials[J if source == A else A][0].credentials
    assert (await client.raw(path, host))[0] == 401
    assert (await client.raw(path, {**host, **pair, "X-RapidAPI-Key": "wrong"}))[0] == 401
    assert (await client.raw(path, {**host, **pair, "X-RapidAPI-Host": "other"}))[0] == 403
    assert (await client.raw(path, {**host, **stranger}))[0] == 403


async def test_graph_refuses_foreign_tokens_and_foreign_user_ids(client: Client) -> None:
    status, body, _ = await client.discover("x", access_token="wrong")
    assert (status, body["error"]["code"]) == (400, 190)
    other = client.sandbox.credentials[GRAPH][1].credentials["user_id"]
    status, body, _ = await client.get(GRAPH, f"/v15.0/{other}", fields="id")
    assert (status, body["error"]["code"], body["error"]["error_subcode"]) == (400, 100, 33)


async def test_paths_that_do_not_exist_are_the_gateways_404(client: Client) -> None:
    status, body, _ = await client.get(A, "/ig/info", id_user="1")
    assert (status, body) == (404, {"message": "Endpoint '/ig/info' does not exist"})


async def test_all_sources_agree_on_a_creator(client: Client) -> None:
    who = client.first(Kind.BUSINESS)
    found = (await client.discover(who.handle))[1]["business_discovery"]
    others = [
        await client.get(A, "/ig/info_username/", user=who.handle),
        await client.get(J, "/user_info_by_id", user_name=who.handle),
    ]
    for user in (body["user"] for _, body, _ in others):
        assert int(user["pk"]) == found["ig_id"] == who.pk
        assert user["follower_count"] == found["followers_count"] == who.followers
        assert str(user["fbid_v2"]) == found["id"]


@pytest.mark.parametrize("kind", [Kind.PERSONAL, Kind.PRIVATE, Kind.CLOSED, Kind.MISSING, Kind.RENAMED])
async def test_graph_discovers_no_personal_private_or_unknown_account(client: Client, kind: Kind) -> None:
    status, body, _ = await client.discover(client.first(kind).asked_handle)
    assert (status, body["error"]["code"]) == (400, 110)


async def test_a_missing_account_and_a_private_one_answer_as_documented(client: Client) -> None:
    missing, private, closed = (client.first(kind) for kind in (Kind.MISSING, Kind.PRIVATE, Kind.CLOSED))
    not_found = {"message": "User not found", "status": "fail"}
    assert (await client.get(A, "/ig/info_username/", user=missing.handle))[:2] == (200, not_found)
    assert (await client.get(J, "/user_info_by_id", user_id=str(missing.pk)))[:2] == (200, not_found)
    assert (await client.get(A, "/ig/info/", id_user=str(private.pk)))[1]["user"]["is_private"] is True
    assert (await client.get(A, "/ig/posts/", id_user=str(private.pk)))[1] == {"data": {"user": None}, "status": "ok"}
    refused = {"message": "Not authorized to view user", "status": "fail"}
    assert (await client.get(J, "/medias_v2", user_id=str(private.pk)))[1] == refused
    assert (await client.get(A, "/ig/info/", id_user=str(closed.pk)))[1] == refused


async def test_pages_follow_each_other_without_gap_or_repeat(client: Client) -> None:
    who = client.first(Kind.BUSINESS, Kind.CREATOR, trait=Trait.MANY_RECENT)
    truth = [post.shortcode for post in posts_of(client.sandbox.universe, who)]
    codes, cursor = list[str](), ""
    while cursor or not codes:
        status, body, _ = await client.get(J, "/medias_v2", user_id=str(who.pk), batch_size="20", max_id=cursor)
        assert status == 200
        codes += [item["code"] for item in body["items"]]
        cursor = body.get("next_max_id", "")
        assert body["more_available"] == bool(cursor)
    assert codes == truth
    reels, cursor = list[str](), ""
    while cursor or not reels:
        _, body, _ = await client.get(A, "/ig/reels_posts/", id_user=str(who.pk), max_id=cursor)
        reels += [item["media"]["code"] for item in body["items"]]
        cursor = body["paging_info"].get("max_id", "")
    assert reels == [post.shortcode for post in reels_of(client.sandbox.universe, who)]


async def test_discovery_pages_by_after_and_never_says_next(client: Client) -> None:
    who = client.first(Kind.BUSINESS, Kind.CREATOR, trait=Trait.MANY_RECENT)
    found, after = list[str](), ""
    while after or not found:
        page = f"media.after({after}).limit(25)" if after else "media.limit(25)"
        fields = f"business_discovery.username({who.handle}){{{page}{{permalink}}}}"
        media = (await client.get(GRAPH, "/v15.0/{own}", fields=fields))[1]["business_discovery"]["media"]
        assert set(media["paging"]) == {"cursors"}
        found += [item["id"] for item in media["data"]]
        after = media["paging"]["cursors"].get("after", "")
    own = [str(post.graph_id) for post in posts_of(client.sandbox.universe, who) if post.owner == who.index]
    assert found == own


async def test_some_last_pages_claim_another_with_an_empty_cursor(client: Client) -> None:
    who = client.first(Kind.BUSINESS, Kind.CREATOR, Kind.PERSONAL, trait=Trait.EMPTY_CURSOR)
    _, body, _ = await client.get(A, "/ig/tagged/", id_user=str(who.pk))
    info = body["data"]["user"]["edge_user_to_photos_of_you"]["page_info"]
    assert info == {"has_next_page": True, "end_cursor": ""}


async def test_jotucker_refuses_what_is_over_5_a_second_for_all_its_keys_together(client: Client) -> None:
    pk = str(client.first(Kind.BUSINESS).pk)
    answers = await asyncio.gather(*(client.get(J, "/user_info_by_id", number % 4, user_id=pk) for number in range(80)))
    assert {status for status, _, _ in answers} == {200, 429}
    _, body, headers = next(answer for answer in answers if answer[0] == 429)
    assert body["message"].startswith("You have exceeded the rate limit per second")
    assert headers["Retry-After"] == "1"
    assert headers["x-ratelimit-requests-remaining"] == "0"


def test_a_window_lets_exactly_its_count_pass_and_refusals_do_not_prolong_it() -> None:
    window = Window(HostLimit(100, 30), factor=0.05)
    assert [window.take(now) for now in (0.0, 1.0, 2.0, 3.0, 4.0)] == [0.0] * 5
    assert window.take(10.0) == 20.0
    assert window.take(20.0) == 10.0
    assert window.take(29.9) == 0.0
    assert window.take(29.9) > 0


async def test_graph_counts_200_an_hour_for_each_token_alone(client: Client) -> None:
    handle = client.first(Kind.BUSINESS).handle
    statuses = [(await client.discover(handle))[0] for _ in range(200)]
    assert set(statuses) == {200}
    status, body, headers = await client.discover(handle)
    assert (status, body["error"]["code"]) == (403, 17)
    assert json.loads(headers["X-App-Usage"])["call_count"] == 100
    assert (await client.discover(handle, 1))[0] == 200


async def test_statistics_name_credentials_by_label_and_never_by_secret(client: Client) -> None:
    await client.get(J, "/user_info_by_id", 2, user_id="1")
    report = await client.sandbox.stats()
    assert report["rows"] == [
        {
            "source": J,
            "function": "fetch_profile_by_id",
            "status": "200",
            "credential": f"{J}#3",
            "fault": "",
            "count": 1,
        }
    ]
    assert "sandbox-not-a-real" not in json.dumps(report)


async def test_the_control_api_shows_its_universe_and_refuses_nonsense(client: Client) -> None:
    universe = client.sandbox.universe
    health = (await client.raw("/_sandbox/health", {}))[1]
    assert (health["seed"], health["now"], health["creators"]) == (universe.seed, universe.now, universe.size)
    shown = (await client.raw("/_sandbox/universe/3", {}))[1]
    assert (shown["pk"], len(shown["posts"])) == (universe.creator(3).pk, len(posts_of(universe, universe.creator(3))))
    assert (await client.raw("/_sandbox/universe/100000", {}))[0] == 404
    for source, kind in (("nobody", "hang"), (J, "explode")):
        with pytest.raises(ValueError, match="422"):
            await client.sandbox.fault(source, kind)


async def test_the_same_universe_in_another_process_gives_the_same_answer(client: Client) -> None:
    pk = str(client.first(Kind.CREATOR).pk)
    here = all_hosts(client.sandbox.universe)[HOSTS[J]].render(Call("fetch_profile_posts_by_id", "pk", pk, "", 50))
    assert (await client.get(J, "/medias_v2", user_id=pk))[1] == json.loads(here.body)
