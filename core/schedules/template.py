"""The params of a task from a schedule's template and one row of its candidates.

A text that is ``$column`` and nothing else stands for that column's value, whatever its type; ``$$`` at the beginning
is a dollar sign. Everything else stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

_COLUMN = re.compile(r"\$([A-Za-z_][A-Za-z0-9_]*)")


class NoSuchColumn(Exception):
    """The template names a column that the candidates do not have; the text says where."""


def columns(template: Any, at: str = "params") -> Iterator[tuple[str, str]]:
    """(where, column) of everything that the template takes from a candidate."""
    if isinstance(template, dict):
        for key, inner in template.items():
            yield from columns(inner, f"{at}.{key}")
    elif isinstance(template, list):
        for number, inner in enumerate(template):
            yield from columns(inner, f"{at}.{number}")
    elif isinstance(template, str) and (match := _COLUMN.fullmatch(template)):
        yield at, match[1]


def check_columns(template: Any, known: Mapping[str, Any] | None) -> None:
    """Every column that the template names is there. ``known`` None: the schedule has no candidates.

    Raises:
        NoSuchColumn: the first that is not.
    """
    for where, column in columns(template):
        if known is None:
            raise NoSuchColumn(f"{where}: ${column} needs a candidate query with a column {column}")
        if column not in known:
            there = ", ".join(known) or "none"
            raise NoSuchColumn(f"{where}: the candidates have no column {column}, but {there}")


def fill(template: Any, candidate: Mapping[str, Any]) -> Any:
    """The template with the candidate's values.

    Raises:
        KeyError: a column is missing, see ``check_columns``.
    """
    if isinstance(template, dict):
        return {key: fill(inner, candidate) for key, inner in template.items()}
    if isinstance(template, list):
        return [fill(inner, candidate) for inner in template]
    if isinstance(template, str) and template.startswith("$"):
        match = _COLUMN.fullmatch(template)
        return candidate[match[1]] if match else template.replace("$$", "$", 1)
    return template
