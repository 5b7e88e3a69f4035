"""The made-up universe: deterministic, complete, and findable from any id."""

from __future__ import annotations

import pytest

from tests.sandbox import ids
from tests.sandbox.posts import DAY, Media, by_graph_id, by_media_pk, by_shortcode, posts_of, stories_of
from tests.sandbox.universe import OPEN_KINDS, Kind, Trait, Universe

WORLD = Universe(seed=7, size=300)
CREATORS = [WORLD.creator(index) for index in range(WORLD.size)]
PUBLIC = [who for who in CREATORS if who.kind in OPEN_KINDS]


@pytest.mark.parametrize(
    ("pk", "shortcode"), [(3776832898280228145, "DRqAYKuAIUx"), (2407131514822505903, "CFn2Vv0pLWv")]
)
def test_shortcodes_are_media_pks_in_base_64(pk: int, shortcode: str) -> None:
    assert (ids.shortcode_of(pk), ids.pk_of_shortcode(shortcode)) == (shortcode, pk)


def test_the_same_seed_gives_the_same_world_and_another_seed_another() -> None:
    again = Universe(seed=7, size=300)
    assert [again.creator(5), posts_of(again, again.creator(5))] == [CREATORS[5], posts_of(WORLD, CREATORS[5])]
    other = Universe(seed=8, size=300)
    assert [other.creator(i).kind for i in range(50)] != [who.kind for who in CREATORS[:50]]


def test_every_25_creators_show_every_kind_and_every_trait() -> None:
    for start in range(0, WORLD.size, 25):
        block = CREATORS[start : start + 25]
        assert {who.kind for who in block} == set(Kind)
        assert {who.trait for who in block} == set(Trait)


def test_creators_are_found_by_handle_pk_and_fbid() -> None:
    for who in CREATORS:
        expected = None if who.kind is Kind.MISSING else who
        assert WORLD.by_handle(who.handle.upper()) == expected
        assert WORLD.by_pk(str(who.pk)) == WORLD.by_fbid(who.fbid) == expected


def test_a_renamed_account_answers_to_its_id_and_not_to_its_old_handle() -> None:
    renamed = [who for who in CREATORS if who.kind is Kind.RENAMED]
    for who in renamed:
        found = WORLD.by_pk(who.pk)
        assert WORLD.by_handle(who.asked_handle) is None
        assert found is not None
        assert found.handle != who.asked_handle


@pytest.mark.parametrize("text", ["", "-1", "0", "99999999999999999999999999", "²", "3000000001", "nobody"])
def test_ids_of_nobody_find_nobody(text: str) -> None:
    assert WORLD.by_pk(text) is None
    assert WORLD.by_fbid(text) is None
    assert by_media_pk(WORLD, text) is None
    assert by_graph_id(WORLD, text) is None


@pytest.mark.parametrize("handle", ["", "nobody", "sandbox.creator.1", "sandbox.creator.00001", "sandbox.creator.9999"])
def test_handles_of_nobody_find_nobody(handle: str) -> None:
    assert WORLD.by_handle(handle) is None


def test_posts_are_found_by_shortcode_and_graph_id_and_only_when_public() -> None:
    for who in CREATORS[:100]:
        for post in posts_of(WORLD, who):
            assert by_shortcode(WORLD, post.shortcode) == (post if who.kind in OPEN_KINDS else None)
            assert by_graph_id(WORLD, post.graph_id) == post


def test_posts_are_newest_first_and_their_ids_grow_with_time_beyond_doubles() -> None:
    for who in CREATORS:
        pks = [post.pk for post in posts_of(WORLD, who)]
        assert pks == sorted(pks, reverse=True)
        assert all(pk > 2**53 and float(pk) != pk + 1 for pk in pks)


def test_posts_stand_on_both_sides_of_the_30_day_border_but_not_near_it() -> None:
    ages = [(WORLD.now - post.taken_at) / DAY for who in CREATORS for post in posts_of(WORLD, who)]
    assert min(ages) >= 1
    assert max(ages) <= 120
    assert any(age < 28 for age in ages)
    assert any(age > 31.5 for age in ages)
    assert not [age for age in ages if 28.1 < age < 31.4]


def test_all_that_readers_stumble_over_occurs() -> None:
    posts = [post for who in PUBLIC for post in posts_of(WORLD, who)]
    assert {post.media for post in posts} == set(Media)
    assert {len(posts_of(WORLD, who)) == 0 for who in PUBLIC} == {True, False}
    assert max(len(posts_of(WORLD, who)) for who in PUBLIC) > 50
    assert any(post.caption is None for post in posts)
    assert any("नाश्ता" in (post.caption or "") for post in posts)
    assert any(post.likes_hidden for post in posts)
    assert any(post.coauthors for post in posts)
    assert any(post.owner != post.index for post in posts)
    assert any(post.tagged for post in posts)
    assert 2**30 < max(post.plays or 0 for post in posts) <= 2 * 10**9
    assert any(not who.biography for who in PUBLIC)
    assert 300_000_000 < max(who.followers for who in PUBLIC) < 2 * 10**9


def test_stories_are_of_the_last_day_and_no_posts() -> None:
    stories = [story for who in PUBLIC for story in stories_of(WORLD, who)]
    assert stories
    assert all(0 < WORLD.now - story.taken_at < DAY for story in stories)
    assert all(by_media_pk(WORLD, story.pk) is None for story in stories)


@pytest.mark.parametrize("size", [0, -3, ids.MAX_CREATORS + 1])
def test_a_universe_of_impossible_size_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="creators must be"):
        Universe(size=size)


def test_a_universe_of_one_creator_works() -> None:
    lonely = Universe(size=1)
    assert lonely.others(0, 5) == []
    assert all(not post.tagged for post in posts_of(lonely, lonely.creator(0)))
