"""Bodies are decoded whole or refused, within their cap."""

from __future__ import annotations

import gzip
import json
import zlib
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils.content import OversizedError, UndecodableError, UnreadableError, decode_body, read_json


@given(parts=st.lists(st.binary(max_size=2000), min_size=1, max_size=5), padding=st.integers(0, 9))
def test_gzip_of_many_members_comes_back_whole(parts: list[bytes], padding: int) -> None:
    raw = b"".join(gzip.compress(part) for part in parts) + b"\0" * padding
    assert decode_body(raw, "gzip", 100_000) == b"".join(parts)


@given(body=st.binary(min_size=1, max_size=200_000), cut=st.integers(min_value=1, max_value=8))
def test_a_cut_stream_is_refused(body: bytes, cut: int) -> None:
    for encoding, raw in (("gzip", gzip.compress(body)), ("deflate", zlib.compress(body))):
        with pytest.raises(UndecodableError):
            decode_body(raw[:-cut], encoding, 1_000_000)


@pytest.mark.parametrize("wbits", [15, -15])
def test_deflate_is_read_with_and_without_the_zlib_header(wbits: int) -> None:
    packer = zlib.compressobj(wbits=wbits)
    raw = packer.compress(b'{"a":1}') + packer.flush()
    assert decode_body(raw, "Deflate", 100) == b'{"a":1}'


def test_encodings_are_undone_last_first() -> None:
    assert decode_body(gzip.compress(zlib.compress(b"x")), "deflate, gzip", 100) == b"x"


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, br"])
def test_an_unknown_encoding_is_refused(encoding: str) -> None:
    with pytest.raises(UndecodableError, match="unknown"):
        decode_body(b"abc", encoding, 100)


def test_data_after_the_body_is_refused() -> None:
    with pytest.raises(UndecodableError):
        decode_body(zlib.compress(b"x") + b"more", "deflate", 100)
    with pytest.raises(UndecodableError):
        decode_body(gzip.compress(b"x") + b"more", "gzip", 100)


def test_a_bomb_stops_at_the_cap() -> None:
    bomb = gzip.compress(b"\0" * 50_000_000)
    with pytest.raises(OversizedError):
        decode_body(bomb, "gzip", 1_000_000)
    with pytest.raises(UndecodableError, match="members"):
        decode_body(gzip.compress(b"") * 10_001, "gzip", 1_000_000)


def test_a_body_of_exactly_the_cap_passes() -> None:
    assert len(decode_body(gzip.compress(b"x" * 1000), "gzip", 1000)) == 1000


@pytest.mark.parametrize(
    ("body", "look"),
    [
        (b"", "empty"),
        (b" \r\n", "empty"),
        (b"<!DOCTYPE html><p>5ecr3t", "HTML"),
        (b'{"a": "5ecr3t', "truncated"),
        (b'{"a": 5ecr3t}', "broken"),
        (b'{"a": NaN}', "broken"),
        (b"[" * 100_000, "nested"),
        (b"5ecr3t", "plain text"),
        (b"\x89PNG\0\0", "binary"),
        (b'{"n": ' + b"9" * 5000 + b"}", "broken"),
        (b'{"a": "\xff\xfe"}', "broken"),
    ],
)
def test_what_is_not_json_is_named_and_not_quoted(body: bytes, look: str) -> None:
    with pytest.raises(UnreadableError, match=look) as refused:
        read_json(body)
    assert "5ecr3t" not in str(refused.value)


def test_json_is_read_with_a_byte_order_mark_and_big_ids() -> None:
    assert read_json(b'\xef\xbb\xbf{"pk": 3776832898280228145}') == {"pk": 3776832898280228145}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(value=JSON, spaced=st.booleans(), ascii_only=st.booleans(), wide=st.booleans())
def test_any_json_is_read_as_it_was_written(value: object, spaced: bool, ascii_only: bool, wide: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, indent=1 if spaced else None)
    found = read_json(text.encode("utf-16" if wide else "utf-8"))
    assert json.dumps(found) == json.dumps(value)


@given(parts=st.lists(st.sampled_from([*b'{}[],:"\\0123456789eE+-. \n', *b"nulltruefalse"]), max_size=12).map(bytes))
def test_what_one_reader_of_json_accepts_the_other_reads_alike(parts: bytes) -> None:
    with suppress(UnreadableError):
        assert json.dumps(read_json(parts)) == json.dumps(json.loads(parts))


def test_half_characters_endless_numbers_and_deep_nesting_are_json() -> None:
    assert read_json(b'["\\ud83d", 1e400]') == ["\ud83d", float("inf")]
    deep = read_json(b"[" * 500 + b"7" + b"]" * 500)
    for _ in range(500):
        (deep,) = deep
    assert deep == 7
