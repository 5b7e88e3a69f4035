"""Reading what any client may write into a message's properties.

The library gives up the connection over a time that no date can hold or over text that is not UTF-8: the message comes
again on the next connection, and nothing behind it is ever read. Here such a value counts as not said.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pamqp import decode, encode

MOST_HEADER_BYTES = 64_000
"""A frame holds 131,072 bytes, and a copy says more than what it is a copy of."""


def read_leniently() -> None:
    """Make the library read properties so, in all connections of this process; may run again."""
    decode.METHODS.update(timestamp=_time, shortstr=_short_text, table=_table)


def carried(headers: Mapping[str, Any]) -> dict[str, Any]:
    """The headers that a copy of a message can have: the library cannot write all that it reads."""
    kept: dict[str, Any] = {}
    room = MOST_HEADER_BYTES
    for name, value in headers.items():
        try:
            size = len(encode.field_table({name: value}))
        except (TypeError, ValueError, OverflowError, struct.error):
            continue
        if size <= room:
            kept[name] = value
            room -= size
    return kept


def _time(value: bytes) -> tuple[int, datetime | None]:
    try:
        return decode.timestamp(value)
    except (ValueError, OverflowError, OSError):
        return 8, None


def _short_text(value: bytes) -> tuple[int, str]:
    end = 1 + value[0]
    return end, value[1:end].decode(errors="ignore")


def _table(value: bytes) -> tuple[int, dict[str, Any]]:
    try:
        return decode.field_table(value)
    except (ValueError, OverflowError, OSError, RecursionError):
        return 4 + int.from_bytes(value[:4], "big"), {}
