"""How friendly a short text sounds: an English lexicon with rules (VADER) and words of Hindi, Hinglish and emoji.

It counts words. It knows no irony, no other language and nothing about what the text is on; texts without a word that
it knows are neutral.
"""

from __future__ import annotations

import re
import string
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

POSITIVE, NEGATIVE, NEUTRAL = "positive", "negative", "neutral"
CLEAR = 0.05
"""Scores nearer to 0 than this are neutral."""

LONGEST = 5000
"""Characters of a text that are read."""

WORDS = Path(__file__).with_name("sentiment_words.tsv")

_NUKTA = "\u093c"
_DROPPED = re.compile("[\ufe0f\u200d\u20e3\U0001f3fb-\U0001f3ff" + _NUKTA + "]")
_STRETCHED = re.compile(r"(\w)\1{2,}")
_EDGES = string.punctuation + "।॥…“”‘’"
_DOUBLED = re.compile(r"(\w)\1")
_NOT, _BEHIND, _DONT = "not", "<not>", "<dont>"
_LIKE = {"not": _BEHIND, "dont": _DONT, "very": "very", "but": "but"}
"""What the file may say instead of a weight, and the token for it."""


@dataclass(frozen=True, slots=True)
class _Words:
    """The words of our own, and the analyzer that knows their weights."""

    analyzer: SentimentIntensityAnalyzer
    spoken_as: dict[str, str]
    phrases: re.Pattern[str]
    emoji: re.Pattern[str]


def score(text: str) -> float:
    """From -1 (hostile) to 1 (friendly); 0 for a text that says nothing of the kind. Total: any text has a score."""
    words = _words()
    return float(words.analyzer.polarity_scores(_prepared(text[:LONGEST], words))["compound"])


def label(value: float) -> str:
    """The word for a score."""
    if value >= CLEAR:
        return POSITIVE
    return NEGATIVE if value <= -CLEAR else NEUTRAL


def normal(text: str) -> str:
    """The text in one spelling: composed, without variant marks, skin colours and dots under letters, stretched letters
    cut to two."""
    text = _DROPPED.sub("", unicodedata.normalize("NFC", text))
    return _STRETCHED.sub(r"\1\1", text.replace("।", " ").replace("॥", " "))


def _prepared(text: str, words: _Words) -> str:
    text = words.emoji.sub(r" \g<0> ", normal(text))
    text = words.phrases.sub(lambda found: found[0].replace(" ", "_"), text)
    return " ".join(_with_negation([_token(token, words) for token in text.split()], words))


def _token(token: str, words: _Words) -> str:
    """The word as the lexicon knows it, a "not" of Hindi as ``_BEHIND``; what nobody knows stays as it was."""
    lexicon = words.analyzer.lexicon
    bare = token.strip(_EDGES)
    known = bare.lower()
    if known in words.spoken_as:
        return words.spoken_as[known]
    if known in lexicon and len(known) < 3:
        return token.replace(bare, f"{bare} ")  # the analyzer takes short words with their marks for emoticons
    if known not in lexicon and (short := _DOUBLED.sub(r"\1", known)) in lexicon:
        return token.replace(bare, short)
    return bare if bare and not bare.isascii() else token


def _with_negation(tokens: list[str], words: _Words) -> list[str]:
    """With each "not" of Hindi put before the word that it belongs to; one that belongs to none is left out."""
    found: list[str] = []
    for place, token in enumerate(tokens):
        if token not in (_BEHIND, _DONT):
            found.append(token)
        elif _weighs(tokens[place + 1 : place + 2], words):
            found.append(_NOT)
        elif token == _BEHIND:
            behind = next((back for back in (1, 2) if _weighs(found[-back:][:1], words)), None)
            found[len(found) - (behind or 0) : len(found) - (behind or 0)] = [_NOT] if behind else []
    return found


def _weighs(token: list[str], words: _Words) -> bool:
    return bool(token) and token[0].strip(_EDGES).lower() in words.analyzer.lexicon


@lru_cache(maxsize=1)
def _words() -> _Words:
    analyzer = SentimentIntensityAnalyzer()
    weights: dict[str, float] = {}
    spoken_as: dict[str, str] = {}
    phrases: list[str] = []
    emoji: list[str] = []
    for line in WORDS.read_text(encoding="utf-8").splitlines():
        if not line or line.startswith("#"):
            continue
        term, _, worth = line.partition("\t")
        term = normal(term)
        if worth in _LIKE:
            spoken_as[term] = _LIKE[worth]
            continue
        if " " in term:
            phrases.append(term)
        if len(term) == 1 and not term.isalnum():
            emoji.append(term)
            analyzer.emojis.pop(term, None)  # or it would be read as the words of its name
        weights[term.replace(" ", "_")] = float(worth)
    analyzer.lexicon.update(weights)
    phrases.sort(key=len, reverse=True)
    return _Words(
        analyzer,
        spoken_as,
        re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, phrases))})(?!\w)", re.IGNORECASE),
        re.compile("|".join(map(re.escape, emoji))),
    )
