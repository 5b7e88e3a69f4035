"""Values as JSON that PostgreSQL's jsonb and every strict reader accept."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from utils.times import event_time

DEEPEST = 100
"""Levels of nesting that are read back; encoders refuse a few hundred."""

_MOST_BITS = 14_280
"""Of a whole number: Python neither reads nor writes more than 4,300 digits."""

_PLAIN = frozenset({int, bool, type(None)})
_NUL = r"\u0000"
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


def json_safe(value: Any) -> Any:
    """The value in JSON's own types.

    Text loses NUL characters (jsonb refuses them) and gets U+FFFD for half surrogate pairs; NaN and infinities become
    null, times the text of event times (naive ones are UTC), decimals numbers, tuples and sets lists, anything else its
    text.
    """
    kind = type(value)
    if kind is str:
        return _text(value)
    if kind in _PLAIN:
        return value
    if kind is float:
        return value if math.isfinite(value) else None
    if kind is dict:
        return {_text(key) if type(key) is str else _text(str(key)): json_safe(item) for key, item in value.items()}
    if kind is list or kind is tuple:
        return [json_safe(item) for item in value]
    return _rarer(value)


def json_text(value: Any) -> str:
    """A value that ``json_safe`` made, as JSON text."""
    return _encode(value)


def safe_text(value: Any) -> str:
    """``json_text(json_safe(value))``, at the cost of the text alone where nothing needs mending. Keys are text."""
    text = plain_text(value)
    return _encode(json_safe(value)) if text is None else text


def plain_text(value: Any, encode: Callable[[Any], str] | None = None) -> str | None:
    """The JSON text of a value with text as keys; None when ``json_safe`` would change what it says."""
    try:
        text = (encode or _encode)(value)
    except (TypeError, ValueError):  # of a type that JSON has not, or no finite number
        return None
    if _NUL in text or not (text.isascii() or _encodes(text)):
        return None
    return text


def stored_json(text: str) -> Any:
    """What a jsonb column holds, decoded; a text in its place when no encoder could write it again.

    Whoever may insert rows may nest a value, or lengthen a number, beyond what Python reads.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return "unreadable: nested too deeply, or a number has too many digits"
    if text.count("[") + text.count("{") > DEEPEST and _depth_exceeds(value, DEEPEST):
        return "unreadable: nested too deeply"
    return value


def storable(value: Any) -> Any:
    """The value itself, if jsonb can hold it.

    Raises:
        ValueError: a text or key holds a NUL or half of a surrogate pair, or a number is not finite or longer than
            Python writes.
    """
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, str):
            if "\x00" in item or not _encodes(item):
                raise ValueError("a text holds a NUL or half of a surrogate pair")
        elif isinstance(item, float):
            if not math.isfinite(item):
                raise ValueError("a number is not finite, or too large")
        elif isinstance(item, int):
            if item.bit_length() > _MOST_BITS:
                raise ValueError("a number has too many digits")
        elif isinstance(item, dict):
            pending += [*item.keys(), *item.values()]
        elif isinstance(item, list):
            pending += item
    return value


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _depth_exceeds(value: Any, limit: int) -> bool:
    level = [value]
    for _ in range(limit):
        level = [
            inner
            for one in level
            if isinstance(one, dict | list)
            for inner in (one.values() if isinstance(one, dict) else one)
        ]
        if not level:
            return False
    return any(isinstance(one, dict | list) for one in level)


def _text(value: str) -> str:
    if "\x00" in value:
        value = value.replace("\x00", "")
    if value.isascii():
        return value
    # A pair of surrogates that stands for one character is joined; what is left alone becomes U+FFFD.
    return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _rarer(value: Any) -> Any:
    if isinstance(value, str):  # also words of an enumeration
        return _text(str(value))
    if isinstance(value, datetime):
        return event_time(value if value.tzinfo else value.replace(tzinfo=UTC))
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return _number(value)
    if isinstance(value, int | float):
        return json_safe(int(value) if isinstance(value, int) else float(value))
    if isinstance(value, Mapping):
        return json_safe(dict(value))
    if isinstance(value, list | tuple | set | frozenset):
        return [json_safe(item) for item in value]
    return _text(str(value))


def _number(value: Decimal) -> int | float | None:
    if not value.is_finite():
        return None
    whole = value == value.to_integral_value()
    return int(value) if whole and value.adjusted() < 400 else json_safe(float(value))
