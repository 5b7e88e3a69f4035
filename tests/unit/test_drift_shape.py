"""Paths of an answer: what parsers read, and the whole of it, within bounds and without a value."""

from __future__ import annotations

import json
import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.drift import rule
from core.drift.rule import MOST_PATHS, Known, Paths, note_samples
from core.drift.shape import KINDS, LONGEST, MOST_ITEMS, MOST_VALUES, Reads, fingerprint, holds_more, parent_of
from core.drift.watch import declared_reads
from instagram.functions.retriever.crawler import INSTAGRAM
from scripts.reads import files
from tests.support.instagram import Recorded, data_cases

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inside: st.lists(inside, max_size=4) | st.dictionaries(st.text(max_size=12), inside, max_size=6),
    max_leaves=30,
)
USER = {"user": {"pk": 5, "name": None, "edges": [{"node": {"id": "7"}}, {"node": {}}], "private": False}}
PATHS = ("user.pk", "user.name", "user.edges[].node.id", "user.private", "user.bio", "other.pk", "map{}.pk")


def kinds(paths: tuple[str, ...], answer: Any) -> dict[str, str]:
    reads = Reads(paths)
    return dict(zip(reads.paths, (KINDS[code] for code in reads.kinds(answer)), strict=True))


def test_each_path_that_is_read_is_looked_up() -> None:
    assert kinds(PATHS, USER) == {
        "$": "object",
        "user": "object",
        "user.pk": "number",
        "user.name": "nothing",
        "user.bio": "nothing",
        "user.private": "flag",
        "user.edges": "list",
        "user.edges[]": "object",
        "user.edges[].node": "object",
        "user.edges[].node.id": "text",
        "other": "nothing",
        "other.pk": "",
        "map": "nothing",
        "map{}": "",
        "map{}.pk": "",
    }


def test_the_first_item_speaks_for_a_list_and_a_map() -> None:
    found = kinds(("[][].pk", "[]{}.id"), [[{"pk": 1}, {"pk": "x"}], {"a": {"id": 1}}])
    assert found == {"$": "list", "[]": "list", "[][]": "object", "[][].pk": "number", "[]{}": "", "[]{}.id": ""}
    assert kinds(("reels{}.id",), {"reels": {"77": {"id": 7}}})["reels{}.id"] == "number"
    assert kinds(("reels{}.id",), {"reels": {}})["reels{}.id"] == ""


@given(JSON)
def test_any_answer_has_a_shape(answer: Any) -> None:
    reads = Reads(PATHS)
    assert len(reads.kinds(answer)) == len(reads.paths)
    found = fingerprint(answer)
    assert all(kind in KINDS and len(path) <= LONGEST for path, kind in found)
    holds_more(answer)


@pytest.mark.parametrize(
    ("answer", "path"),
    [
        ({"reels": {"63817362839": {"pk": 1}}}, "reels{}.pk"),
        ({"reels": {"highlight:1788": {"pk": 1}}}, "reels{}.pk"),
        ({"by": {"aurora.kitchen": {"pk": 1}, "plainname": {"pk": 2}, "third": {"pk": 3}}}, "by{}.pk"),
        ({"tokens": {"EAAB1234567": {"pk": 1}}}, "tokens{}.pk"),
        ({"F.25-34": 1.0}, "{}"),
        ({"x" * 65: 1}, "{}"),
        ({"नाम": 1}, "{}"),
        ([[{"pk": 1}]], "[][].pk"),
        ({f"k{number}": 1 for number in range(301)}, "{}"),
    ],
    ids=str,
)
def test_keys_that_are_data_stay_out(answer: Any, path: str) -> None:
    found = {one for one, _ in fingerprint(answer)}
    assert path in found
    assert not [one for one in found if "aurora" in one or "plainname" in one or any(c * 5 in one for c in "x1")]


def test_what_a_parser_goes_through_as_a_map_is_one() -> None:
    assert ("audience{}", "number") in fingerprint({"audience": {"Mumbai": 3, "Delhi": 4}}, frozenset({"audience"}))


def test_a_huge_answer_costs_a_bounded_look() -> None:
    deep: Any = 1
    for _ in range(900):
        deep = {"inner_key": deep}
    wide = {f"a{number}": {f"b{other}": [1] * 50 for other in range(60)} for number in range(250)}
    assert len(fingerprint(deep)) <= 15
    assert len(fingerprint(wide)) <= MOST_VALUES


def test_of_long_lists_the_beginning_is_looked_at_and_paths_have_an_end() -> None:
    assert fingerprint([{"a": 1}] * MOST_ITEMS + [{"late": 1}]) == {("$", "list"), ("[]", "object"), ("[].a", "number")}
    deep: dict[str, Any] = {}
    for _ in range(6):
        deep = {"k" * 60: deep}
    assert max(len(path) for path, _ in fingerprint(deep)) == 3 * 61 - 1


@pytest.mark.parametrize("case", data_cases(), ids=str)
def test_every_path_of_a_recording_that_its_parser_reads_is_declared(case: Recorded) -> None:
    """The declaration says more than the answer's own root wherever there is a recording."""
    reads = declared_reads(INSTAGRAM.providers[case.source], case.function)
    found = dict(zip(reads.paths, reads.kinds(case.body), strict=True))
    assert len(reads.paths) > 5
    assert not case.body or sum(code > 1 for code in found.values()) > 1, (
        "none of the declared paths is in the recording"
    )


def test_the_declarations_are_those_of_the_parsers() -> None:
    stale = [path.parent.name for path, text in files().items() if path.read_text(encoding="utf-8") != text]
    assert stale == [], "run python -m scripts.reads --write"


def test_functions_whose_reads_nobody_could_record_are_few_and_known() -> None:
    """Calls without a recording, whose parsers can read no other: their answers are only looked through."""
    unread = {
        (source, function)
        for source, kind in INSTAGRAM.providers.items()
        for function in kind.parsers
        if len(declared_reads(kind, function).paths) == 1
    }
    assert unread == {
        ("rapidapi-arraybobo", "fetch_followers"),
        ("rapidapi-arraybobo", "fetch_following"),
        ("rapidapi-arraybobo", "fetch_profile_highlights"),
        ("rapidapi-arraybobo", "fetch_similar_profiles"),
        ("rapidapi-bestsolutions", "fetch_followers"),
        ("rapidapi-bestsolutions", "fetch_following"),
        ("rapidapi-bestsolutions", "fetch_post_comments"),
        ("rapidapi-jotucker", "fetch_post_comment_replies"),
    }


def _random_json(dice: random.Random, depth: int = 0) -> Any:
    roll = dice.random()
    if depth == 6 or roll < 0.3:
        return dice.choice([None, 1, 2.5, "x", True])
    if roll < 0.5:
        return [_random_json(dice, depth + 1) for _ in range(dice.randrange(4))]
    name = dice.choice(["key", "user", "id", "n"])
    return {f"{name}_{dice.randrange(2000)}": _random_json(dice, depth + 1) for _ in range(dice.randrange(6))}


def test_ten_thousand_random_answers_keep_the_table_bounded() -> None:
    dice = random.Random(7)
    known: Paths = {}
    for _ in range(100):
        found: Counter[tuple[str, str]] = Counter()
        for _ in range(100):
            found.update(fingerprint(_random_json(dice)))
        note_samples(known, found, 100)
    assert len(known) == MOST_PATHS
    assert max(Counter(parent_of(path) for path in {path for path, _ in known}).values()) <= rule.MOST_UNDER_ONE + 1
    assert json.dumps([*known]).isascii()
    root = sum(one.samples for (path, _), one in known.items() if path == "$")
    assert root == 10_000


def test_names_beyond_the_bound_count_as_data() -> None:
    known: Paths = {("$", "object"): Known(500, 0)}
    for number in range(400):
        note_samples(known, {("$", "object"): 1, (f"name_{number}", "text"): 1}, 1)
    named = [path for path, _ in known if path.startswith("name_")]
    assert len(named) == rule.MOST_UNDER_ONE
    assert known["{}", "text"].samples == 400 - len(named)
