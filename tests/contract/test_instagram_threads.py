"""Replies from the page of comments that their comment stands on, and similar accounts."""

from __future__ import annotations

import pytest

from core.crawler.errors import NotFoundHere, ProviderError
from core.crawler.provider import Asked
from instagram.functions.retriever.rapidapi_arraybobo.rapidapi_arraybobo import RapidApiArraybobo
from instagram.functions.retriever.rapidapi_jotucker.rapidapi_jotucker import RapidApiJoTucker
from instagram.models.pages import CommentsPage, Person
from tests.support.sources import Source

JOTUCKER, ARRAYBOBO = Source(RapidApiJoTucker), Source(RapidApiArraybobo)
REPLIES = "fetch_post_comment_replies"
KEYS = {"X-RapidAPI-Key": "made-up"}
POST = {"comment_id": "17871375683530001"}


def comments() -> dict[str, object]:
    body: dict[str, object] = JOTUCKER.body("fetch_post_comments")
    return body


def test_the_replies_of_a_comment_are_read_and_those_of_others_are_not() -> None:
    page = JOTUCKER.parse(REPLIES, comments(), **POST)
    [reply] = page.comments
    assert (reply.comment_id, reply.text) == ("17913343571110001", "@lina.cooks.daily yes, arborio works!")
    assert (reply.profile_id, reply.handle, reply.likes, reply.publish_time) == (
        "5820113374", "aurora.kitchen", 2, 1674817300,
    )  # fmt: skip
    assert (page.announced, page.has_next_page, page.cursor) == (1, False, None)


def test_more_replies_may_be_announced_than_shown() -> None:
    body = JOTUCKER.body("fetch_post_comments")
    parent = body["data"]["shortcode_media"]["edge_media_to_parent_comment"]["edges"][0]["node"]
    parent["edge_threaded_comments"]["count"] = 7
    page = JOTUCKER.parse(REPLIES, body, **POST)
    assert (page.announced, len(page.comments)) == (7, 1)
    parent |= {"id": int(POST["comment_id"])}
    parent["edge_threaded_comments"]["count"] = 0
    assert JOTUCKER.parse(REPLIES, body, **POST).announced == 1
    del parent["edge_threaded_comments"]
    with pytest.raises(NotFoundHere):
        JOTUCKER.parse(REPLIES, body, **POST)


def test_a_comment_without_replies_has_been_found() -> None:
    assert JOTUCKER.parse(REPLIES, comments(), comment_id="17871375683530002") == CommentsPage([], announced=0)


def test_a_page_without_the_comment_leads_to_the_next_one() -> None:
    page = JOTUCKER.parse(REPLIES, comments(), comment_id="17")
    assert (page.comments, page.announced, page.has_next_page) == ([], None, True)
    assert page.cursor == JOTUCKER.read("fetch_post_comments").cursor


def test_the_comments_of_another_post_are_no_answer() -> None:
    body = JOTUCKER.body("fetch_post_comments")
    body["data"]["shortcode_media"]["shortcode"] = "Cother"
    with pytest.raises(NotFoundHere):
        JOTUCKER.parse(REPLIES, body, shortcode="Cmine", **POST)


async def test_replies_are_asked_for_as_a_page_of_comments() -> None:
    asked = Asked(shortcode="Cabc", comment_id="17", cursor='{"server_cursor": "x"}')
    _, seen = await JOTUCKER.call(REPLIES, asked, comments(), KEYS)
    assert seen.target.startswith("/media_comments?short_code=Cabc&batch_size=50&next_cursor=%7B%22server_cursor%22")


async def test_similar_accounts_are_asked_for_by_number_and_read_as_people() -> None:
    body = {"users": [{"pk": 12, "username": "lena", "full_name": "", "is_private": False, "is_verified": True}]}
    payload, seen = await ARRAYBOBO.call("fetch_similar_profiles", Asked(profile_id="7"), body, KEYS)
    assert seen.target == "/ig/similar_accounts/?id_user=7"
    page = ARRAYBOBO.parse("fetch_similar_profiles", payload.data)
    assert page.people == [Person("12", "lena", "", False, True)]
    assert not page.has_next_page


@pytest.mark.parametrize("body", [{}, {"users": None}, {"users": {}}, {"users": [{"username": "lena"}]}, []])
def test_what_is_no_list_of_people_is_refused(body: object) -> None:
    with pytest.raises(ProviderError):
        ARRAYBOBO.parse("fetch_similar_profiles", body)
