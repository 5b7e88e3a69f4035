"""Keywords of captions: the five most telling words, by YAKE, in English or Hindi."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from threading import Lock

import yake

TOP = 5
LONGEST = 10_000
"""Characters read; a caption has at most 2,200."""

MOST_KNOWN = 4096
"""Texts whose keywords a process remembers."""

_known: dict[str, tuple[str, ...]] = {}
_room = Lock()

_URL = re.compile(r"(?:https?://|www\.)\S+", re.IGNORECASE)
_MENTION = re.compile(r"@[\w.]+")
_SENTENCE_MARKS = frozenset(".,;:!?'’()/-।")
_SELECTORS = frozenset("\ufe0e\ufe0f")
"""They only say how an emoji is drawn."""
_DEVANAGARI = re.compile(r"[\u0900-\u097f]")
_LATIN = re.compile(r"[A-Za-z]")


def keywords(text: str | None) -> str:
    """The text of a list of five words at most, best first: ``['lemon', 'risotto']``; ``''`` for none."""
    words = extract(text[:LONGEST]) if text else ()
    return "[" + ", ".join(f"'{word}'" for word in words) + "]" if words else ""


def extract(text: str) -> tuple[str, ...]:
    """The most telling words of a text, best first. The same caption comes with each refresh, hence the cache."""
    known = _known.get(text)
    if known is None:
        known = find_words(text)
        with _room:
            _known[text] = known
            if len(_known) > MOST_KNOWN:
                del _known[next(iter(_known))]  # the oldest
    return known


def at_hand(texts: Iterable[str | None]) -> bool:
    """Whether the keywords of all these texts are in the cache: then there is nothing to think about."""
    return all(text[:LONGEST] in _known for text in texts if text)


def find_words(text: str) -> tuple[str, ...]:
    """As ``extract``, read anew."""
    clean = clean_text(text)
    if not clean:
        return ()
    found = _extractor("hi" if is_hindi(clean) else "en").extract_keywords(clean)
    words = (word.replace("'", "").replace("\\", "").strip() for word, _ in found)
    return tuple(word for word in words if word)


def clean_text(text: str) -> str:
    """The text without links, mentions, hashtag signs, emoji and control characters; hashtag words stay."""
    plain = _MENTION.sub(" ", _URL.sub(" ", text))
    return " ".join("".join(map(_kept, plain)).split())


@lru_cache(maxsize=4096)
def _kept(character: str) -> str:
    """Letters with their marks in any script, digits and sentence marks; a blank for all else."""
    if character in _SENTENCE_MARKS or character in "\u200c\u200d":
        return character
    wanted = unicodedata.category(character)[0] in "LMN" and character not in _SELECTORS
    return character if wanted else " "


def is_hindi(text: str) -> bool:
    """Whether most letters are Devanagari."""
    devanagari = len(_DEVANAGARI.findall(text))
    return devanagari > 0 and devanagari >= len(_LATIN.findall(text))


@lru_cache(maxsize=2)
def _extractor(language: str) -> yake.KeywordExtractor:
    return yake.KeywordExtractor(lan=language, n=1, top=TOP)
