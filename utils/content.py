"""Bodies: undoing content encodings within a size cap, and reading JSON strictly."""

from __future__ import annotations

import json
import zlib
from contextlib import suppress
from typing import Any, NoReturn

from pydantic_core import from_json

_CHUNK = 65536
_MAX_MEMBERS = 10_000
_GZIP, _ZLIB, _RAW = 31, 15, -15


class UndecodableError(Exception):
    """The body is not what its Content-Encoding says."""


class OversizedError(Exception):
    """The decoded body passes the cap."""


class UnreadableError(Exception):
    """The body is not JSON; the text says what it looks like."""


def decode_body(raw: bytes, content_encoding: str, limit_bytes: int) -> bytes:
    """Undo ``Content-Encoding`` (gzip of one or many members, deflate, identity, lists of them).

    Raises:
        UndecodableError: unknown encoding, cut or corrupt stream.
        OversizedError: more than ``limit_bytes`` at any step.
    """
    if not raw:
        return raw
    for encoding in reversed([name.strip().lower() for name in content_encoding.split(",")]):
        if encoding in ("gzip", "x-gzip"):
            raw = _inflate(raw, _GZIP, limit_bytes)
        elif encoding == "deflate":
            raw = _inflate(raw, _ZLIB if _is_zlib(raw) else _RAW, limit_bytes)
        elif encoding not in ("", "identity"):
            raise UndecodableError("unknown content-encoding")
    return raw


def _is_zlib(raw: bytes) -> bool:
    """The two-byte zlib header of RFC 1950; some servers send deflate without it."""
    return len(raw) > 1 and raw[0] & 0x0F == 8 and int.from_bytes(raw[:2], "big") % 31 == 0


def _inflate(raw: bytes, wbits: int, limit_bytes: int) -> bytes:
    """Every member of a stream, in order; zero padding after the last one is ignored, as gzip does."""
    view, position, out = memoryview(raw), 0, bytearray()
    for _ in range(_MAX_MEMBERS):
        position = _member(view, position, wbits, limit_bytes, out)
        if position >= len(view) or not raw[position:].strip(b"\0"):
            return bytes(out)
        if wbits != _GZIP:
            raise UndecodableError("data after the end of the compressed body")
    raise UndecodableError("too many gzip members")


def _member(view: memoryview, position: int, wbits: int, limit_bytes: int, out: bytearray) -> int:
    """Decode one member into ``out``; returns where the next one begins."""
    stream = zlib.decompressobj(wbits)
    while not stream.eof and position < len(view):
        chunk = view[position : position + _CHUNK]
        try:
            out += stream.decompress(chunk, limit_bytes - len(out) + 1)
        except zlib.error as error:
            raise UndecodableError("corrupt compressed body") from error
        if len(out) > limit_bytes:
            raise OversizedError
        position += len(chunk) - len(stream.unused_data)
    if not stream.eof:
        raise UndecodableError("truncated compressed body")
    return position


def read_json(body: bytes) -> Any:
    """Strict JSON in UTF-8, UTF-16 or UTF-32.

    Raises:
        UnreadableError: anything else; NaN, Infinity and endless nesting too.
    """
    with suppress(ValueError):  # twice as fast; it refuses some JSON: other encodings, halves of surrogate pairs
        return from_json(body, allow_inf_nan=False, cache_strings="keys")
    try:
        return json.loads(body, parse_constant=_refuse_constant)
    except RecursionError:
        look = "JSON nested too deep"
    except ValueError:
        look = _looks_like(body)
    raise UnreadableError(look)


def _refuse_constant(_name: str) -> NoReturn:
    raise ValueError("not a JSON number")


def _looks_like(body: bytes) -> str:
    head = body[:512].lstrip(b"\xef\xbb\xbf \t\r\n")
    if not body.strip():
        return "an empty body"
    if head[:1] == b"<":
        return "HTML or XML"
    if head[:1] in (b"{", b"["):
        whole = body.rstrip()[-1:] in (b"}", b"]")
        return "broken JSON" if whole else "truncated JSON"
    if b"\0" in head:
        return "binary data"
    return "plain text"
