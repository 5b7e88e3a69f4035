"""Whatever a provider sends becomes JSON that jsonb accepts, and plain JSON stays what it is."""

from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from core.enums import Platform
from utils.json_safe import DEEPEST, json_safe, json_text, plain_text, safe_text, storable, stored_json

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text("aé漢😀\n"),
    lambda inner: st.lists(inner) | st.dictionaries(st.text("ab"), inner),
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.text(st.characters(categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner) | st.tuples(inner, inner),
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (float("nan"), None),
        (float("-inf"), None),
        ("a\x00b", "ab"),
        ("half \ud83d", "half \ufffd"),
        ("\ud83d\ude00", "😀"),
        (datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=timezone(timedelta(hours=2))), "2026-01-02 01:04:05"),
        (datetime(2026, 1, 2, 3, 4, 5), "2026-01-02 03:04:05"),  # noqa: DTZ001 - a naive time is what is tried here
        (datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02 00:00:00"),
        (date(2026, 1, 2), "2026-01-02"),
        (Decimal(12), 12),
        (Decimal("1.5"), 1.5),
        (Decimal("NaN"), None),
        (Decimal("-Infinity"), None),
        (Decimal("1E+30"), 10**30),
        (Decimal("1E+5000"), None),
        (MappingProxyType({"a": {"b"}}), {"a": ["b"]}),
        (2**80, 2**80),
        (("a", Platform.YOUTUBE), ["a", "YOUTUBE"]),
        ({1: {"k\x00": None}}, {"1": {"k": None}}),
        (True, True),
    ],
)
def test_a_value_becomes_json(value: Any, expected: Any) -> None:
    made = json_safe(value)
    assert made == expected
    assert type(made) is type(expected)


@given(PLAIN)
def test_plain_json_is_not_changed(value: Any) -> None:
    assert json_safe(value) == value
    assert storable(value) is value


@example({"\\u0000": None})
@given(ANYTHING)
def test_anything_has_a_strict_utf8_text_without_nul(value: Any) -> None:
    text = json_text(json_safe(value))
    text.encode()
    assert not re.search(r"(?<!\\)(\\\\)*\\u0000", text), "an escaped NUL, not a text that says so"
    assert json_safe(json.loads(text)) == json.loads(text)


@given(PLAIN)
def test_what_was_stored_is_read_back(value: Any) -> None:
    assert stored_json(json.dumps(value)) == value


def nested(levels: int) -> str:
    return '{"a": [' * (levels // 2) + "]}" * (levels // 2)


def test_what_is_nested_too_deeply_to_be_sent_on_is_a_text() -> None:
    assert stored_json(nested(DEEPEST)) == json.loads(nested(DEEPEST))
    for levels in (DEEPEST + 2, 900, 10_000):
        assert str(stored_json(nested(levels))).startswith("unreadable: nested too deeply")
    many = json.dumps([{"a": [1]}] * DEEPEST)
    assert stored_json(many) == json.loads(many)


def test_a_number_of_too_many_digits_is_a_text() -> None:
    assert str(stored_json('{"handle": ' + "9" * 5000 + "}")).startswith("unreadable: ")


TEXT_KEYS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.text(st.characters(categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
)


@given(TEXT_KEYS)
def test_the_short_way_to_a_text_gives_the_same(value: Any) -> None:
    assert safe_text(value) == json_text(json_safe(value))


@pytest.mark.parametrize(
    "value", ["a\x00b", "half \ud83d", float("nan"), datetime(2026, 1, 2, tzinfo=UTC), {1, 2}, Decimal(1), ["\udc00"]]
)
def test_what_needs_mending_is_not_plain(value: Any) -> None:
    assert plain_text(value) is None
    assert safe_text([value]) == json_text(json_safe([value]))


def test_words_of_an_enumeration_and_names_of_escapes_are_plain_enough() -> None:
    assert plain_text({"a": Platform.YOUTUBE}) == '{"a":"YOUTUBE"}'
    assert safe_text(r"\u0000 is a name") == json_text(r"\u0000 is a name")


@pytest.mark.parametrize(
    "value",
    [
        "a\x00b",
        "half \ud83d",
        {"k\x00": 1},
        {"\udc00": 1},
        [[{"a": ["b", "\x00"]}]],
        float("nan"),
        {"a": [float("-inf")]},
    ],
)
def test_what_jsonb_cannot_hold_is_not_storable(value: Any) -> None:
    with pytest.raises(ValueError, match=r"holds a NUL|not finite"):
        storable(value)
