"""When a change in the answers of a source is one, and when it is only that answers differ."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.drift.rule import (
    BASELINE,
    LOOK,
    RUN,
    SAMPLES,
    Finding,
    History,
    Paths,
    note_reads,
    note_samples,
)
from core.drift.shape import NO_CHANCE, NOTHING, NUMBER, OBJECT, TEXT

PATHS = ("$", "user.name")
THERE, GONE, OTHER, NO_USER = (bytes((OBJECT, code)) for code in (TEXT, NOTHING, NUMBER, NO_CHANCE))


def findings(*parts: list[bytes]) -> list[Finding]:
    """What is found while answers come in such parts."""
    histories: dict[str, History] = {}
    found: list[Finding] = []
    for part in parts:
        stored = {path: History.of(history.stored()) for path, history in histories.items()}
        found += note_reads(stored, PATHS, part)
        histories = stored
    return found


def test_a_key_that_goes_away_is_found_once() -> None:
    found = findings([THERE] * BASELINE, [GONE] * RUN, [GONE] * 500, [GONE] * 500)
    assert found == [Finding("vanished", "user.name", "text", "nothing", RUN)]


def test_a_key_of_another_kind_is_found_once() -> None:
    assert findings([THERE] * BASELINE, [OTHER] * RUN, [OTHER] * 500) == [
        Finding("retyped", "user.name", "text", "number", RUN)
    ]


def test_a_key_that_was_never_there_is_found_when_it_comes() -> None:
    assert findings([GONE] * BASELINE, [THERE] * RUN) == [Finding("new", "user.name", "nothing", "text", RUN)]


def test_a_key_that_comes_back_is_found_again() -> None:
    kinds = [one.kind for one in findings([THERE] * BASELINE, [GONE] * BASELINE, [THERE] * RUN, [GONE] * RUN)]
    assert kinds == ["vanished", "new"], "the second absence has too short a history before it"


@pytest.mark.parametrize(
    "parts",
    [
        [[THERE] * (BASELINE - 1), [GONE] * 5000],
        [[THERE] * BASELINE, [GONE] * (RUN - 1), [THERE], [GONE] * (RUN - 1)],
        [[THERE] * BASELINE, [NO_USER] * 500],
        [[THERE, GONE] * BASELINE, [GONE] * 5000],
        [[*[THERE] * 48, GONE, GONE] * 20, [GONE] * 5000],
        [[]],
    ],
    ids=[
        "too short a history",
        "two bursts that end",
        "what it belongs to is not there",
        "left out every other time",
        "left out now and then",
        "nothing at all",
    ],
)
def test_what_is_no_change_is_not_reported(parts: list[list[bytes]]) -> None:
    assert findings(*parts) == []


def test_one_process_that_still_sees_the_key_keeps_all_quiet() -> None:
    """Two processes hand on in turn; only one meets answers without the key."""
    turns = [[GONE] * 20, [THERE] * 5] * 50
    assert findings([THERE] * BASELINE, *turns) == []


def test_an_optional_key_is_not_reported_whatever_the_order() -> None:
    for seed in range(30):
        dice = random.Random(seed)
        share = dice.choice([0.02, 0.1, 0.5, 0.9, 0.95])
        answers = [THERE if dice.random() < share else GONE for _ in range(4000)]
        parts = [answers[start : start + 500] for start in range(0, len(answers), 500)]
        assert findings(*parts) == [], (seed, share)


@given(st.lists(st.lists(st.sampled_from([THERE, GONE, OTHER, NO_USER]), max_size=30), max_size=8))
def test_a_history_does_not_depend_on_how_answers_are_parted(parts: list[list[bytes]]) -> None:
    in_parts: dict[str, History] = {}
    for part in parts:
        note_reads(in_parts, PATHS, part)
    at_once: dict[str, History] = {}
    note_reads(at_once, PATHS, [answer for part in parts for answer in part])
    assert in_parts == at_once


def seen(known: Paths, times: int, *paths: str) -> list[Finding]:
    found: list[Finding] = []
    for _ in range(times):
        found += note_samples(known, Counter({("$", "object"): 1, **{(path, "text"): 1 for path in paths}}), 1)
    return found


def test_a_key_that_nobody_reads_is_new_when_it_is_common_all_at_once() -> None:
    known: Paths = {}
    assert seen(known, SAMPLES, "a") == []
    assert seen(known, LOOK + 5, "a", "b") == [Finding("new", "b", "nothing", "text", LOOK)]
    assert seen(known, 500, "a", "b") == []


def test_a_rare_key_that_comes_up_late_is_not_new() -> None:
    known: Paths = {}
    assert seen(known, SAMPLES, "a") == []
    for _ in range(50):
        assert seen(known, 1, "a", "rare") == []
        assert seen(known, 9, "a") == []


def test_what_comes_up_while_the_source_is_being_learnt_is_not_new() -> None:
    known: Paths = {}
    assert [seen(known, 1, f"key{number}") for number in range(SAMPLES)] == [[]] * SAMPLES


def test_of_a_new_object_only_the_object_is_new() -> None:
    known: Paths = {}
    seen(known, SAMPLES, "a")
    found = []
    for _ in range(LOOK + 1):
        more = {("$", "object"): 1, ("b", "object"): 1, ("b.c", "text"): 1, ("b.d", "list"): 1, ("b.d[]", "text"): 1}
        found += note_samples(known, more, 1)
    assert [one.path for one in found] == ["b"]
    found = []
    for _ in range(LOOK * 2 + 2):
        more = {("$", "object"): 1, ("b", "object"): 1, ("b.late", "text"): 1}
        found += note_samples(known, more, 1)
    assert [one.path for one in found] == ["b.late"], "later it is one of its own"


def test_another_kind_of_a_known_key_is_noted_and_not_new() -> None:
    known: Paths = {}
    seen(known, SAMPLES, "a")
    for _ in range(LOOK * 3):
        assert note_samples(known, {("$", "object"): 1, ("a", "number"): 1}, 1) == []
    assert known["a", "number"].samples == LOOK * 3
