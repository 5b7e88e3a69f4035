"""Named paths into decoded JSON, typed: a value of the documented kind, null when it was not said, or Malformed.

A path is keys and list positions joined by dots: ``caption.text``, ``image_versions2.candidates.0.url``. Anything
null or absent on the way is "not said"; anything of another kind than documented is refused with its full path.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from core.crawler.errors import Malformed

_WHOLE = re.compile(r"[+-]?\d{1,40}(\.0{1,20})?")
_DECIMAL = re.compile(r"[+-]?\d{1,40}(\.\d{1,40})?")
_ID = re.compile(r"(highlight:)?[0-9]+")
_LAST_SECOND = 253_402_300_799  # of the year 9999


@lru_cache(maxsize=4096)
def _steps(path: str) -> tuple[int | str, ...]:
    return tuple(int(step) if step.isdecimal() else step for step in path.split("."))


class Reader:
    """A decoded value and the path at which it stands in the payload."""

    __slots__ = ("at", "value")

    def __init__(self, value: Any, at: str = "") -> None:
        self.value = value
        self.at = at

    def where(self, path: str) -> str:
        """The full path, as errors name it."""
        return f"{self.at}.{path}" if self.at and path else self.at or path or "$"

    def wrong(self, path: str, wanted: str, value: object) -> Malformed:
        """The error for a value of another kind than documented; never quotes the value."""
        where = self.where(path)
        given = "nothing" if value is None else f"{type(value).__name__}"
        return Malformed(f"{where}: expected {wanted}, got {given}", path=where)

    def raw(self, path: str) -> Any:
        """The value at ``path``, unread; None when something on the way was not said."""
        value = self.value
        if "." not in path and type(value) is dict and not path.isdecimal():
            return value.get(path)
        steps = _steps(path)
        for depth, step in enumerate(steps):
            if value is None:
                return None
            if isinstance(step, int):
                if not isinstance(value, list):
                    raise self.wrong(_join(steps[:depth]), "a list", value)
                value = value[step] if step < len(value) else None
            else:
                if not isinstance(value, dict):
                    raise self.wrong(_join(steps[:depth]), "an object", value)
                value = value.get(step)
        return value

    def object(self, path: str) -> Reader | None:
        """The object at ``path``."""
        value = self.raw(path)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise self.wrong(path, "an object", value)
        return Reader(value, self.where(path))

    def array(self, path: str) -> list[Reader] | None:
        """The objects of the list at ``path``; None when there is no list."""
        value = self.raw(path)
        return None if value is None else Reader(value, self.where(path)).items()

    def items(self) -> list[Reader]:
        """The objects of a list."""
        if not isinstance(self.value, list):
            raise self.wrong("", "a list", self.value)
        readers = [Reader(item, self.where(str(index))) for index, item in enumerate(self.value)]
        for reader in readers:
            if not isinstance(reader.value, dict):
                raise reader.wrong("", "an object", reader.value)
        return readers

    def text(self, path: str) -> str | None:
        """Text; ``""`` was said and is empty."""
        value = self.raw(path)
        if value is None or isinstance(value, str):
            return value
        raise self.wrong(path, "text", value)

    def word(self, path: str) -> str | None:
        """Text for which ``""`` means nothing was said: URLs, categories, captions."""
        value = self.raw(path)
        if value is None or isinstance(value, str):
            return value or None
        raise self.wrong(path, "text", value)

    def id(self, path: str) -> str | None:
        """An id as text, digit for digit. A float is refused: it has lost digits."""
        value = self.raw(path)
        if value is None:
            return None
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return str(value)
        if isinstance(value, str):
            return value if value.strip() else None
        raise self.wrong(path, "an id", value)

    def need_id(self, path: str) -> str:
        """An id that must be there."""
        value = self.id(path)
        if value is None:
            raise self.wrong(path, "an id", None)
        return value

    def by_id(self) -> dict[str, Reader]:
        """The objects of an object whose keys are ids; a null one is left out."""
        found: dict[str, Reader] = {}
        for name, item in self.value.items():
            if not _ID.fullmatch(name):
                raise self.wrong("", "ids as keys", self.value)
            reader = Reader(item, self.where(name))
            if item is not None and not isinstance(item, dict):
                raise reader.wrong("", "an object", item)
            found |= {} if item is None else {name: reader}
        return found

    def ids(self, path: str) -> list[str] | None:
        """A list of ids as text."""
        values = self.raw(path)
        if values is None:
            return None
        if not isinstance(values, list):
            raise self.wrong(path, "a list", values)
        return [self.need_id(f"{path}.{index}") for index in range(len(values))]

    def first_id(self, paths: Iterable[str]) -> str | None:
        """The id under the first of several names that has one."""
        return next((value for path in paths if (value := self.id(path)) is not None), None)

    def need_object(self, path: str) -> Reader:
        """An object that must be there."""
        found = self.object(path)
        if found is None:
            raise self.wrong(path, "an object", None)
        return found

    def need_word(self, path: str) -> str:
        """Text that must be there and not be empty."""
        value = self.word(path)
        if value is None or not value.strip():
            raise self.wrong(path, "text", None)
        return value

    def count(self, path: str) -> int | None:
        """A count; negative means hidden or unknown, so null. Numeric text and ``12.0`` are read as numbers."""
        value = self._whole(path, self.raw(path))
        return None if value is None or value < 0 else value

    def is_hidden(self, path: str) -> bool:
        """Whether the source says -1: there is a count, and it is kept back."""
        value = self._whole(path, self.raw(path))
        return value is not None and value < 0

    def number(self, path: str) -> float | None:
        """A finite number, such as a duration in seconds or a coordinate."""
        value = self.raw(path)
        if value is None or value == "":
            return None
        if isinstance(value, str) and _DECIMAL.fullmatch(value):
            return float(value)
        if isinstance(value, int | float) and not isinstance(value, bool):
            try:
                number = float(value)
            except OverflowError:
                number = math.inf
            if math.isfinite(number):
                return number
        raise self.wrong(path, "a number", value)

    def flag(self, path: str) -> bool | None:
        """true or false."""
        value = self.raw(path)
        if value is None or isinstance(value, bool):
            return value
        raise self.wrong(path, "true or false", value)

    def epoch(self, path: str) -> int | None:
        """Seconds since 1970, UTC."""
        value = self._whole(path, self.raw(path))
        if value is None or value == 0:
            return None
        if not 0 < value <= _LAST_SECOND:
            raise self.wrong(path, "a time in epoch seconds", value)
        return value

    def cursor(self, path: str) -> str | None:
        """An opaque cursor as text; an empty one is none."""
        value = self.raw(path)
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        return self.word(path)

    def _whole(self, path: str, value: Any) -> int | None:
        if type(value) is int or value is None:
            return value
        if value == "":
            return None
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        if isinstance(value, float) and value.is_integer():
            return int(value)
        if isinstance(value, str) and value.isascii() and _WHOLE.fullmatch(value):
            return int(value.partition(".")[0])
        raise self.wrong(path, "a whole number", value)


def _join(steps: tuple[int | str, ...]) -> str:
    return ".".join(map(str, steps))


def said(values: dict[str, Any]) -> dict[str, Any]:
    """Only what the source said: keys with null are left out."""
    return {key: value for key, value in values.items() if value is not None}
