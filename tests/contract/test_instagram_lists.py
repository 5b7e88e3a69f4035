"""People, comments, tagged posts, hashtags and stories of arraybobo and JoTucker."""

from __future__ import annotations

from functools import reduce
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from core.crawler.errors import Malformed, NotFoundHere
from core.crawler.provider import Asked
from instagram.functions.retriever.rapidapi_arraybobo.rapidapi_arraybobo import RapidApiArraybobo
from instagram.functions.retriever.rapidapi_jotucker.rapidapi_jotucker import RapidApiJoTucker
from instagram.models.pages import Comment, PeoplePage
from tests.support.instagram import OWNER, TAGGED, flat
from tests.support.sources import Source

ARRAYBOBO, JOTUCKER = Source(RapidApiArraybobo), Source(RapidApiJoTucker)
KEYS = {"x-rapidapi-key": "k"}
COMMENTS_CURSOR = '{"server_cursor": "QVFEUkh1d3E=", "is_server_cursor_inverse": true}'
SPICES: dict[str, Any] = {
    **{"profile_id": "41009288113", "owner": "41009288113", "handle": "marlow.spices"},
    "post_type": "image",
}
SAFFRON: dict[str, Any] = {
    **SPICES,
    "shortcode": "CnL_AhwKUgv",
    "media_pk": "3011777888999000111",
    "taken_at_timestamp": 1674790000,
    "caption": "Saffron threads, macro. #saffron",
    "display_url": "716325462_107721792192183_7216893596359263308_n.jpg?stp=dst-jpg_e35",
    "likes": 980,
    "comments": 21,
}
STORY_PICTURE = "915083567_130908245845845_4256615280276748928_n.jpg?stp=dst-jpg_e35"
CLIP_PICTURE = "141275996_113874597588580_8772042110232990766_n.jpg?stp=dst-jpg_e35"
STORY: dict[str, Any] = {**OWNER, "owner": "5820113374", "post_type": "story", "product_type": "story"}
STORIES = [
    {
        **STORY,
        "shortcode": "CnQUqCGPI49",
        "short_code": "CnQUqCGPI49",
        "media_pk": "3012999000111222333",
        "content_type": "image",
        "taken_at_timestamp": 1674892000,
        "display_url": STORY_PICTURE,
        "thumbnail_src": STORY_PICTURE,
        "is_paid_partnership": False,
        "story_links": ["https://l.instagram.com/?u=https://aurorakitchen.example/new"],
        "user_tags": TAGGED,
    },
    {
        **STORY,
        "shortcode": "CnQUqCGSGuQ",
        "short_code": "CnQUqCGSGuQ",
        "media_pk": "3012999000111999888",
        "content_type": "video",
        "taken_at_timestamp": 1674892065,
        "display_url": CLIP_PICTURE,
        "thumbnail_src": CLIP_PICTURE,
        "video_duration": 14.866,
        "is_paid_partnership": False,
    },
]


def rows(page: PeoplePage) -> list[tuple[Any, ...]]:
    return [(p.profile_id, p.handle, p.full_name, p.is_private, p.is_verified) for p in page.people]


MISO = ("61200099001", "miso.and.maple", "Miso & Maple", False, False)
REN = ("2210094512", "ren_tabeta", "れん", True, False)
OLIVE = ("50099281734", "olive_and_oat", "", False, False)
KOFI = ("390011227", "kofi.bakes", "Kofi Bakes 🥐", False, True)
PEOPLE = [
    ("fetch_followers", [MISO, REN, OLIVE], KOFI),
    ("fetch_following", [REN, OLIVE, KOFI], MISO),
    ("fetch_post_likes", [MISO, REN, OLIVE], KOFI),
]


@pytest.mark.parametrize(("function", "first", "last"), PEOPLE)
def test_people_are_read_and_paged(function: str, first: list[Any], last: Any) -> None:
    page = JOTUCKER.read(function)
    assert rows(page) == first
    assert all("_s150x150" in (person.profile_pic_url or "") for person in page.people)
    assert page.has_next_page
    assert page.cursor.startswith("QV")
    end = JOTUCKER.read(f"{function}.page2")
    assert rows(end) == [last]
    assert (end.has_next_page, end.cursor) == (False, None)


def test_comments_are_read_without_their_replies() -> None:
    page = JOTUCKER.read("fetch_post_comments", shortcode="CnOAG9Tl0uH")
    first, second = page.comments
    assert first.profile_pic_url is not None
    assert "/274811524_694306749379404_" in first.profile_pic_url
    assert first == Comment(
        comment_id="17871375683530001",
        text="Can I use arborio? 😍",
        profile_id="50811920033",
        handle="lina.cooks.daily",
        likes=12,
        publish_time=1674815000,
        replies=1,
        profile_pic_url=first.profile_pic_url,
        is_verified=False,
    )
    assert (second.comment_id, second.likes, second.replies) == ("17871375683530002", 0, 0)


def test_a_cursor_that_is_json_text_is_kept_and_sent_as_it_is() -> None:
    assert JOTUCKER.read("fetch_post_comments").cursor == COMMENTS_CURSOR
    last = JOTUCKER.read("fetch_post_comments.page2")
    assert ([c.text for c in last.comments], last.cursor) == (["👏👏"], None)


async def asked_for(source: Source, function: str, asked: Asked) -> tuple[str, dict[str, str]]:
    """The path and query of the call."""
    _, seen = await source.call(function, asked, {}, KEYS)
    url = urlsplit(seen.target)
    return url.path, dict(parse_qsl(url.query))


async def test_cursors_go_back_under_the_name_of_each_call() -> None:
    asked = Asked(profile_id="1", shortcode="s", hashtag="h", cursor=COMMENTS_CURSOR)
    assert await asked_for(JOTUCKER, "fetch_post_comments", asked) == (
        "/media_comments",
        {"short_code": "s", "batch_size": "50", "next_cursor": COMMENTS_CURSOR},
    )
    assert await asked_for(JOTUCKER, "fetch_profile_posts_by_id", asked) == (
        "/medias_v2",
        {"user_id": "1", "batch_size": "50", "max_id": COMMENTS_CURSOR},
    )
    assert await asked_for(JOTUCKER, "fetch_hashtag_posts", asked) == (
        "/hash_tag_medias_v2",
        {"hash_tag": "h", "batch_size": "50", "next_cursor": COMMENTS_CURSOR},
    )
    assert await asked_for(JOTUCKER, "fetch_followers", asked) == (
        "/followers",
        {"user_id": "1", "batch_size": "50", "next_cursor": COMMENTS_CURSOR},
    )
    assert await asked_for(ARRAYBOBO, "fetch_followers", asked) == (
        "/ig/followers/",
        {"id_user": "1", "next_max_id": COMMENTS_CURSOR},
    )


CALLS = [
    (JOTUCKER, "fetch_profile_by_id", "/user_info_by_id", {"user_id": "1"}),
    (JOTUCKER, "fetch_profile_by_handle", "/user_info_by_id", {"user_name": "a"}),
    (JOTUCKER, "fetch_profile_posts_by_id", "/medias_v2", {"user_id": "1", "batch_size": "50"}),
    (JOTUCKER, "fetch_post_by_shortcode", "/media_info_v2", {"short_code": "s"}),
    (JOTUCKER, "fetch_story_posts_by_profile_id", "/stories", {"user_id": "1"}),
    (JOTUCKER, "fetch_hashtag_posts", "/hash_tag_medias_v2", {"hash_tag": "h", "batch_size": "50"}),
    (JOTUCKER, "fetch_followers", "/followers", {"user_id": "1", "batch_size": "50"}),
    (JOTUCKER, "fetch_following", "/following", {"user_id": "1", "batch_size": "50"}),
    (JOTUCKER, "fetch_post_likes", "/media_likers", {"short_code": "s", "batch_size": "50"}),
    (JOTUCKER, "fetch_post_comments", "/media_comments", {"short_code": "s", "batch_size": "50"}),
    (ARRAYBOBO, "fetch_story_posts_by_profile_id", "/ig/stories/", {"id_user": "1"}),
    (ARRAYBOBO, "fetch_tagged_posts", "/ig/tagged/", {"id_user": "1"}),
    (ARRAYBOBO, "fetch_hashtag_posts", "/ig/hashtag/", {"hashtag": "h"}),
    (ARRAYBOBO, "fetch_followers", "/ig/followers/", {"id_user": "1"}),
    (ARRAYBOBO, "fetch_following", "/ig/following/", {"id_user": "1"}),
    (ARRAYBOBO, "fetch_post_likes", "/ig/likes/", {"shortcode": "s"}),
    (ARRAYBOBO, "fetch_post_comments", "/ig/comments/", {"shortcode": "s"}),
]


@pytest.mark.parametrize(("source", "function", "path", "query"), CALLS)
async def test_each_function_is_one_documented_call(
    source: Source, function: str, path: str, query: dict[str, str]
) -> None:
    asked = Asked(profile_id="1", handle="a", shortcode="s", hashtag="h")
    assert await asked_for(source, function, asked) == (path, query)


def test_comments_of_a_post_that_is_gone_are_not_found() -> None:
    with pytest.raises(NotFoundHere):
        JOTUCKER.read("fetch_post_comments.missing-200")


@pytest.mark.parametrize(
    ("changes", "name", "expected"),
    [
        ({"text": ""}, "text", ""),
        ({"text": None}, "text", None),
        ({"owner": None}, "profile_id", None),
        ({"edge_liked_by": {"count": -1}}, "likes", None),
        ({"edge_liked_by": None}, "likes", None),
        ({"created_at": "1674815000"}, "publish_time", 1674815000),
        ({"id": 17871375683530001}, "comment_id", "17871375683530001"),
    ],
)
def test_absent_and_odd_values_of_a_comment(changes: dict[str, Any], name: str, expected: Any) -> None:
    body = JOTUCKER.body("fetch_post_comments")
    media = body["data"]["shortcode_media"]
    media["edge_media_to_parent_comment"]["edges"][0]["node"].update(changes)
    page = JOTUCKER.parse("fetch_post_comments", body)
    assert getattr(page.comments[0], name) == expected


def test_a_page_of_another_post_account_or_hashtag_is_no_answer() -> None:
    with pytest.raises(NotFoundHere, match="another post"):
        JOTUCKER.read("fetch_post_likes", shortcode="CnOAG9Tl0uh")
    body = JOTUCKER.body("fetch_followers")
    body["data"]["user"]["id"] = 5820113374
    assert len(JOTUCKER.parse("fetch_followers", body, profile_id="5820113374").people) == 3
    with pytest.raises(NotFoundHere, match="another profile"):
        JOTUCKER.parse("fetch_followers", body, profile_id="1")
    with pytest.raises(NotFoundHere, match="another hashtag"):
        JOTUCKER.read("fetch_hashtag_posts", hashtag="safran")


@pytest.mark.parametrize(
    ("function", "path"),
    [
        ("fetch_followers", "data.user.edge_followed_by"),
        ("fetch_following", "data.user.edge_follow"),
        ("fetch_post_likes", "data.shortcode_media.edge_liked_by"),
        ("fetch_post_comments", "data.shortcode_media.edge_media_to_parent_comment"),
        ("fetch_hashtag_posts", "data.hashtag.edge_hashtag_to_ranked_media"),
    ],
)
def test_an_empty_list_is_an_answer_and_a_missing_one_is_none(function: str, path: str) -> None:
    def body(value: Any) -> Any:
        return reduce(lambda inner, key: {key: inner}, reversed(path.split(".")), value)

    page = JOTUCKER.parse(function, body({"edges": [], "page_info": {"has_next_page": True, "end_cursor": ""}}))
    assert (page.has_next_page, page.cursor) == (False, None)
    empty: list[Any] = [None, {}, {"edges": None}]
    for value in empty:
        with pytest.raises(NotFoundHere):
            JOTUCKER.parse(function, body(value))
    nothing: list[Any] = [[], {"status": "ok"}, {"data": None}, None]
    for answer in nothing:
        with pytest.raises(NotFoundHere):
            JOTUCKER.parse(function, answer)
    with pytest.raises(Malformed) as refused:
        JOTUCKER.parse(function, body({"edges": {"node": 1}}))
    assert refused.value.path == f"{path}.edges"


def test_hashtag_posts_are_those_of_anybody() -> None:
    page = JOTUCKER.read("fetch_hashtag_posts", hashtag="#Saffron")
    thumbnail = "716325462_107721792192183_7216893596359263308_n.jpg?stp=dst-jpg_e35_s640x640"
    assert [flat(log) for log in page.posts] == [{**SAFFRON, "thumbnail_src": thumbnail, "user_tags": []}]
    assert page.has_next_page
    body = JOTUCKER.body("fetch_hashtag_posts")
    body["data"]["hashtag"]["name"] = "Saffron"
    assert JOTUCKER.parse("fetch_hashtag_posts", body, hashtag="saffron") == page
    body["data"]["hashtag"]["edge_hashtag_to_media"] = body["data"]["hashtag"].pop("edge_hashtag_to_ranked_media")
    assert JOTUCKER.parse("fetch_hashtag_posts", body, hashtag="saffron") == page


def test_sections_give_posts_and_what_goes_back_beside_the_cursor() -> None:
    page = ARRAYBOBO.read("fetch_hashtag_posts")
    mobile = {"thumbnail_src": SAFFRON["display_url"], "product_type": "feed", "is_paid_partnership": False}
    assert [flat(log) for log in page.posts] == [{**SAFFRON, **mobile}]
    assert (page.has_next_page, page.cursor) == (True, "87626e0cf46b4c7ca5bbc1359f05e087")
    assert page.beside == {"next_page": 1, "next_media_ids": []}


def test_sections_of_any_layout_are_read_in_order() -> None:
    body = ARRAYBOBO.body("fetch_hashtag_posts")
    media = body["sections"][0]["layout_content"]["medias"][0]["media"]

    def slot(pk: int) -> Any:
        return {"media": {**media, "pk": pk}}

    large = {"one_by_two_item": {"clips": {"items": [slot(1)]}}, "fill_items": [slot(2)]}
    body["sections"] = [{"layout_content": large}, {"layout_content": None}, {"layout_content": {"medias": [slot(3)]}}]
    body.update({"next_max_id": 7, "next_media_ids": [3011777888999000111, "3"], "next_page": None})
    page = ARRAYBOBO.parse("fetch_hashtag_posts", body)
    assert [log.dimensions["media_pk"] for log in page.posts] == ["1", "2", "3"]
    assert (page.cursor, page.beside) == ("7", {"next_page": None, "next_media_ids": ["3011777888999000111", "3"]})


async def test_all_three_parts_of_a_hashtag_cursor_go_back() -> None:
    beside = {"next_page": 1, "next_media_ids": ["3011777888999000111", "3"]}
    _, query = await asked_for(ARRAYBOBO, "fetch_hashtag_posts", Asked(hashtag="h", cursor="c", beside=beside))
    assert query == {
        "hashtag": "h",
        "next_max_id": "c",
        "next_page": "1",
        "next_media_ids": "[3011777888999000111,3]",
    }


def test_tagged_posts_are_those_of_others() -> None:
    page = ARRAYBOBO.read("fetch_tagged_posts", **OWNER)
    assert [flat(log) for log in page.posts] == [
        {
            **SPICES,
            "shortcode": "CnKAsIUr4OS",
            "media_pk": "3011222333444555666",
            "taken_at_timestamp": 1674700000,
            "caption": "Lunch with @aurora.kitchen 🌶️",
            "display_url": "647775598_215386123885096_1092155804350392225_n.jpg?stp=dst-jpg_e35",
            "thumbnail_src": "647775598_215386123885096_1092155804350392225_n.jpg?stp=dst-jpg_e35_s640x640",
            "user_tags": [OWNER],
            "likes": 1204,
            "comments": 33,
        }
    ]
    assert page.has_next_page


def test_stories_take_the_handle_from_their_tray() -> None:
    page = ARRAYBOBO.read("fetch_story_posts_by_profile_id", profile_id="5820113374")
    assert [flat(log) for log in page.posts] == STORIES
    assert (page.has_next_page, page.cursor) == (False, None)


@pytest.mark.parametrize(
    "body", [{"reels": {}}, {"reels": {"5820113374": None}}, {"reels": None, "reels_media": []}, {"reels_media": []}]
)
def test_no_tray_means_no_stories(body: Any) -> None:
    page = ARRAYBOBO.parse("fetch_story_posts_by_profile_id", body, profile_id="5820113374")
    assert page.posts == []


def test_the_tray_of_somebody_else_is_no_answer() -> None:
    function = "fetch_story_posts_by_profile_id"
    with pytest.raises(NotFoundHere):
        ARRAYBOBO.read(function, profile_id="1")
    body = ARRAYBOBO.body(function)
    body["reels"]["5820113374"]["user"]["pk"] = 99
    with pytest.raises(NotFoundHere):
        ARRAYBOBO.parse(function, body, profile_id="5820113374")
    for missing in ({"status": "ok"}, None, {"reels": None}):
        with pytest.raises(NotFoundHere):
            ARRAYBOBO.parse(function, missing, profile_id="5820113374")


def test_a_tray_may_name_its_account_by_number_alone_or_by_handle_alone() -> None:
    function = "fetch_story_posts_by_profile_id"
    body = ARRAYBOBO.body(function)
    (tray,) = body["reels"].values()
    assert len(ARRAYBOBO.parse(function, {"reels_media": [tray]}, profile_id="5820113374").posts) == 2
    assert len(ARRAYBOBO.parse(function, body, handle="Aurora.Kitchen").posts) == 2
    with pytest.raises(NotFoundHere):
        ARRAYBOBO.parse(function, body, handle="aurora_kitchen")
    del tray["user"]
    for answer in (body, {"reels_media": [tray]}):
        assert len(ARRAYBOBO.parse(function, answer, profile_id="5820113374").posts) == 2
        assert len(ARRAYBOBO.parse(function, answer, handle="aurora.kitchen").posts) == 2
        with pytest.raises(NotFoundHere):
            ARRAYBOBO.parse(function, answer, profile_id="1")


@pytest.mark.parametrize(
    ("changes", "key", "expected"),
    [
        ({"user": {"pk": 7, "username": "partner"}}, "handle", "partner"),
        ({"user": {"pk": 7, "username": "partner"}}, "owner", "7"),
        ({"user": {"pk": 7}}, "handle", None),
        ({"user": None}, "handle", "aurora.kitchen"),
        ({"user": None}, "profile_id", "5820113374"),
        ({"product_type": None, "is_reel_media": None}, "post_type", "story"),
        ({"media_type": 8}, "content_type", None),
        ({"story_link_stickers": [{"story_link": {"display_url": "a.example"}}]}, "story_links", ["a.example"]),
        ({"story_link_stickers": [{"story_link": None}]}, "story_links", []),
        ({"story_hashtags": [{"hashtag": {"name": ""}}]}, "story_hashtags", []),
    ],
)
def test_absent_and_odd_values_of_a_story(changes: dict[str, Any], key: str, expected: Any) -> None:
    body = ARRAYBOBO.body("fetch_story_posts_by_profile_id")
    body["reels"]["5820113374"]["items"][0].update(changes)
    assert flat(ARRAYBOBO.parse("fetch_story_posts_by_profile_id", body).posts[0]).get(key) == expected


def test_other_trays_and_reshared_media_do_not_leak_into_stories() -> None:
    function = "fetch_story_posts_by_profile_id"
    plain = ARRAYBOBO.read(function, profile_id="5820113374")
    body = ARRAYBOBO.body(function)
    mine = body["reels"]["5820113374"]
    decoy = {"user": {"pk": 99, "username": "decoy"}, "items": [{"pk": 1, "code": "DECOY", "user": {"pk": 99}}]}
    mine["items"][0]["story_feed_media"] = [{"media_code": "DECOY", "user": {"pk": 99}}]
    mine["items"][0]["reshared_media"] = decoy["items"]
    body["reels"] = {"99": decoy, "5820113374": mine}
    body |= {"reels_media": [decoy], "tray": [decoy], "user": decoy["user"]}
    assert ARRAYBOBO.parse(function, body, profile_id="5820113374") == plain


def test_links_and_hashtags_of_stories_in_older_and_other_shapes() -> None:
    body = ARRAYBOBO.body("fetch_story_posts_by_profile_id")
    item = body["reels"]["5820113374"]["items"][1]
    item["story_cta"] = [{"links": [{"webUri": "https://old.example/"}]}, {"links": None}]
    item["story_hashtags"] = [{"hashtag": {"name": "saffron"}}, {"hashtag": None}]
    item["reel_mentions"] = [{"user": None}]
    log = ARRAYBOBO.parse("fetch_story_posts_by_profile_id", body).posts[1]
    assert log.dimensions["story_links"] == ["https://old.example/"]
    assert log.dimensions["story_hashtags"] == ["saffron"]
    assert log.dimensions["user_tags"] == []


MOBILE_USER = {"pk": 61200099001, "pk_id": "61200099001", "username": "miso.and.maple", "full_name": "Miso & Maple"}
MOBILE_COMMENT = {
    "pk": "17871375683530001",
    "user_id": 50811920033,
    "text": "Can I use arborio? 😍",
    "created_at": 1674815000,
    "created_at_utc": 1674815000,
    "user": {"pk": 50811920033, "username": "lina.cooks.daily", "is_verified": False},
    "comment_like_count": 12,
    "child_comment_count": 1,
    "preview_child_comments": [{"pk": "1", "text": "a reply"}],
}


@pytest.mark.parametrize(
    ("paging", "cursor"),
    [
        ({"next_max_id": "100", "big_list": True}, "100"),
        ({"next_max_id": 100}, "100"),
        ({"next_max_id": "100", "big_list": False}, None),
        ({"next_max_id": "100", "more_available": False, "big_list": True}, None),
        ({"next_max_id": "", "big_list": True}, None),
        ({"big_list": True}, None),
    ],
)
def test_mobile_followers_page_by_cursor_and_flag(paging: dict[str, Any], cursor: str | None) -> None:
    page = ARRAYBOBO.parse("fetch_followers", {"users": [MOBILE_USER], **paging})
    assert rows(page) == [("61200099001", "miso.and.maple", "Miso & Maple", None, None)]
    assert (page.has_next_page, page.cursor) == (cursor is not None, cursor)


@pytest.mark.parametrize("more", [True, False, None])
def test_mobile_comments_page_by_cursor_alone(more: bool | None) -> None:
    body = {"comments": [MOBILE_COMMENT], "has_more_comments": more, "next_min_id": '{"cached": "1"}'}
    page = ARRAYBOBO.parse("fetch_post_comments", {**body, "caption": {"pk": "9", "text": "decoy"}})
    assert [(c.comment_id, c.text, c.profile_id, c.handle, c.likes, c.publish_time) for c in page.comments] == [
        ("17871375683530001", "Can I use arborio? 😍", "50811920033", "lina.cooks.daily", 12, 1674815000)
    ]
    assert (page.has_next_page, page.cursor) == (True, '{"cached": "1"}')
    last = ARRAYBOBO.parse("fetch_post_comments", {**body, "next_min_id": "", "has_more_comments": True})
    assert (last.has_next_page, last.cursor) == (False, None)


def test_what_a_mobile_comment_says_of_its_author_and_its_replies_is_read() -> None:
    user = {"pk": 5, "username": "u", "is_verified": True, "profile_pic_url": "https://cdn.example/u.jpg"}
    item = {"pk": 9, "text": "", "user": user, "child_comment_count": 2, "is_verified": False, "profile_pic_url": "x"}
    assert ARRAYBOBO.parse("fetch_post_comments", {"comments": [item]}).comments == [
        Comment("9", "", "5", "u", replies=2, profile_pic_url="https://cdn.example/u.jpg", is_verified=True)
    ]


@pytest.mark.parametrize("function", ["fetch_followers", "fetch_following", "fetch_post_likes", "fetch_post_comments"])
def test_a_list_of_the_web_site_ends_where_its_flag_says(function: str) -> None:
    body = JOTUCKER.body(function)
    (container,) = body["data"].values()
    edge = next(value for key, value in container.items() if key.startswith("edge_"))
    edge["page_info"] = {"has_next_page": False, "end_cursor": "c"}
    page = JOTUCKER.parse(function, body)
    assert (page.has_next_page, page.cursor) == (False, None)
    edge["page_info"] = {"end_cursor": "c"}
    assert JOTUCKER.parse(function, body).cursor == "c"


def test_a_mobile_comment_may_say_its_author_by_number_alone_and_its_time_by_one_name() -> None:
    item = {"pk": 9, "text": "", "user_id": 7, "created_at": 1674815000}
    (comment,) = ARRAYBOBO.parse("fetch_post_comments", {"comments": [item]}).comments
    assert (comment.profile_id, comment.handle, comment.publish_time) == ("7", None, 1674815000)


def test_disabled_comments_are_none() -> None:
    assert ARRAYBOBO.parse("fetch_post_comments", {"comments_disabled": True, "comments": []}).comments == []


@pytest.mark.parametrize(
    ("function", "body", "path"),
    [
        ("fetch_followers", {"users": {}}, "users"),
        ("fetch_followers", {"users": [{"username": "x"}]}, "users.0.pk"),
        ("fetch_followers", {"users": [None]}, "users.0"),
        ("fetch_post_comments", {"comments": [{**MOBILE_COMMENT, "created_at_utc": "x"}]}, "comments.0.created_at_utc"),
        ("fetch_post_comments", {"comments": [{**MOBILE_COMMENT, "pk": 1.5}]}, "comments.0.pk"),
        ("fetch_story_posts_by_profile_id", {"reels": []}, "reels"),
        ("fetch_story_posts_by_profile_id", {"reels": {"1": {"items": [{"pk": True}]}}}, "reels.1.items.0.pk"),
        ("fetch_hashtag_posts", {"sections": [{"layout_content": {"medias": 1}}]}, "sections.0.layout_content.medias"),
    ],
)
def test_a_list_of_another_shape_is_refused_with_its_path(function: str, body: Any, path: str) -> None:
    with pytest.raises(Malformed) as refused:
        ARRAYBOBO.parse(function, body)
    assert refused.value.path == path
