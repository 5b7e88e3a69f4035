"""Graph's ``fields`` language: ``a,b.method(arg){c,d}``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

_TOKEN = re.compile(r"\s*([A-Za-z_]\w*|[.,{}]|\(([^()]*)\))")


class FieldsError(ValueError):
    """The text is not of this language."""


@dataclass(frozen=True)
class Field:
    """One asked field: its modifiers (``limit(5)``) and the fields below it (None: not expanded)."""

    modifiers: Mapping[str, str] = field(default_factory=dict)
    below: Mapping[str, Field] | None = None


@lru_cache(maxsize=8192)
def parse_fields(text: str) -> Mapping[str, Field]:
    """name -> Field, in the order asked.

    Raises:
        FieldsError: unbalanced or empty parts.
    """
    tokens = _tokens(text)
    found, rest = _fields(tokens, 0)
    if rest != len(tokens):
        raise FieldsError(f"unexpected {tokens[rest]!r}")
    return found


def _tokens(text: str) -> list[str]:
    tokens, at = [], 0
    text = text.strip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise FieldsError(f"unexpected {text[at]!r}")
        tokens.append(match[1])
        at = match.end()
    return tokens


def _fields(tokens: list[str], at: int) -> tuple[dict[str, Field], int]:
    found: dict[str, Field] = {}
    while at < len(tokens) and tokens[at] != "}":
        name, at = tokens[at], at + 1
        if not name.isidentifier():
            raise FieldsError(f"unexpected {name!r}")
        modifiers: dict[str, str] = {}
        while at + 2 < len(tokens) + 1 and tokens[at : at + 1] == ["."]:
            method, argument = (*tokens[at + 1 : at + 3], "", "")[:2]
            if not argument.startswith("("):
                raise FieldsError(f"{method!r} needs an argument")
            modifiers[method] = argument[1:-1]
            at += 3
        below = None
        if tokens[at : at + 1] == ["{"]:
            below, at = _fields(tokens, at + 1)
            if tokens[at : at + 1] != ["}"]:
                raise FieldsError("missing }")
            at += 1
        found[name] = Field(modifiers, below)
        at += tokens[at : at + 1] == [","]
    return found, at
