"""Keywords of captions."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instagram.tasks import keywords as module
from instagram.tasks.keywords import LONGEST, at_hand, clean_text, extract, find_words, is_hindi, keywords

CAPTION = "Lemon risotto in 40 seconds 🍋 #risotto #weeknightdinner @marlow.spices https://a.example/x?lemonade=1"
HINDI = "दिल्ली का खाना बहुत अच्छा है #दिल्ली #खाना स्ट्रीट फूड 😋"


def test_the_words_of_a_caption_are_found_and_those_of_links_and_mentions_are_not() -> None:
    words = extract(CAPTION)
    assert {"Lemon", "risotto", "weeknightdinner"} <= set(words)
    assert not {"lemonade", "marlow", "spices", "https", "in"} & set(words)


def test_keywords_are_the_text_of_a_list_in_single_quotes() -> None:
    text = keywords(CAPTION)
    assert text.startswith("['")
    assert json.loads(text.replace("'", '"')) == list(extract(CAPTION))


def test_a_hindi_caption_is_read_as_hindi_with_its_vowel_signs() -> None:
    assert is_hindi(HINDI)
    words = extract(HINDI)
    assert {"दिल्ली", "खाना"} <= set(words)
    assert not {"का", "है"} & set(words)


def test_a_few_hindi_words_do_not_make_an_english_caption_hindi() -> None:
    assert not is_hindi("Our best recipe of the week: दाल")
    assert is_hindi("dal दाल")
    assert not is_hindi("40 + 2")


@pytest.mark.parametrize("text", [None, "", "   ", "🍋🍋🔥", "@someone", "https://a.example", "\x00", "#", "..."])
def test_nothing_to_say_gives_empty_text(text: str | None) -> None:
    assert keywords(text) == ""


def test_apostrophes_do_not_end_a_keyword_early() -> None:
    text = keywords("Grandma's kitchen doesn't forget d'Artagnan")
    assert text.count("'") % 2 == 0
    assert json.loads(text.replace("'", '"'))


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("a\x00b", "a b"),
        ("#one two", "one two"),
        ("hi 👩‍🍳!", "hi \u200d !"),
        ("தமிழ் நாடு", "தமிழ் நாடு"),
        ("snow_ball", "snow ball"),
        ("see HTTPS://A.example/x or www.b.example/y for 40 km", "see or for 40 km"),
        ("heart\u2764\ufe0fbeat", "heart beat"),
        ("l’eau; क्\u200cष।", "l’eau; क्\u200cष।"),
    ],
)
def test_signs_go_and_letters_stay(text: str, clean: str) -> None:
    assert clean_text(text) == clean


def test_there_are_at_most_five() -> None:
    assert len(extract("Basil tomato cheese garlic pepper onion saffron rice butter parsley lemon")) == 5


def test_a_caption_is_read_once_and_the_oldest_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def count(text: str) -> tuple[str, ...]:
        read.append(text)
        return (text,)

    monkeypatch.setattr(module, "_known", {})
    monkeypatch.setattr(module, "MOST_KNOWN", 3)
    monkeypatch.setattr(module, "find_words", count)
    for text in ("a", "b", "a", "c", "d", "d"):
        assert extract(text) == (text,)
    assert read == ["a", "b", "c", "d"]
    assert at_hand(["b", None, "", "d"])
    assert not at_hand(["b", "a"])


def test_long_captions_are_at_hand_by_what_is_read_of_them() -> None:
    caption = "saffron " * LONGEST
    assert not at_hand([caption])
    keywords(caption)
    assert at_hand([caption])


def test_threads_find_the_same_words() -> None:
    texts = [f"{CAPTION} number{n} basil{n} pepper{n}" for n in range(40)] * 2
    alone = [find_words(text) for text in texts]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(find_words, texts)) == alone


@given(st.text(max_size=300))
def test_any_text_gives_storable_keywords(text: str) -> None:
    found = keywords(text)
    assert "\x00" not in found
    found.encode("utf-8")
    assert found == "" or (found.startswith("['") and found.endswith("']"))
