"""URLs and forms are encoded once and the same way every time."""

from __future__ import annotations

import json
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils.urls import clean, encode_pairs, target, with_params, without_secrets

TEXTS = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=40)


@given(pairs=st.dictionaries(TEXTS, TEXTS, max_size=5))
def test_any_text_comes_back_byte_for_byte(pairs: dict[str, str]) -> None:
    url = with_params("https://h.example/p", pairs)
    assert dict(parse_qsl(urlsplit(clean(url)).query, keep_blank_values=True)) == pairs


def test_a_cursor_that_is_a_json_string_survives() -> None:
    cursor = json.dumps({"a": "x+y/z==", "b": ["é", "%41", " "]})
    query = urlsplit(clean(with_params("https://h.example/p?x=1#frag", {"cursor": cursor}))).query
    assert unquote(query.removeprefix("x=1&cursor=")) == cursor


def test_values_have_one_text_form() -> None:
    values = {"none": None, "yes": True, "n": 3, "list": ["a", None, "b c"], "map": {"a": [1, "é"]}}
    assert encode_pairs(values) == "yes=true&n=3&list=a&list=b%20c&map=%7B%22a%22%3A%5B1%2C%22%C3%A9%22%5D%7D"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("HTTPS://H.example:443/a b/%zz/é?q=|%20", "https://h.example/a%20b/%25zz/%C3%A9?q=%7C%20"),
        ("http://h.example", "http://h.example/"),
        ("http://bücher.example/", "http://xn--bcher-kva.example/"),
        ("http://[::1]:8080/x;v=1?a;b", "http://[::1]:8080/x;v=1?a;b"),
        ("http://h.example/f(1){x}?fields=a{b}", "http://h.example/f(1)%7Bx%7D?fields=a%7Bb%7D"),
    ],
)
def test_urls_are_cleaned(url: str, expected: str) -> None:
    assert clean(url) == expected
    assert clean(expected) == expected
    assert target(expected).startswith("/")


@pytest.mark.parametrize(
    "url",
    [
        "ftp://h.example/",
        "/relative",
        "http:///x",
        "http://u:5ecr3t@h.example/",
        "http://h.example:99999/",
        "http://[::1/",
        "http://a\x00b/",
    ],
)
def test_what_is_no_plain_http_url_is_refused_without_its_secrets(url: str) -> None:
    with pytest.raises(ValueError, match=r"URL|host") as refused:
        clean(url)
    assert "5ecr3t" not in str(refused.value)


@pytest.mark.parametrize(
    "secret", ["access_token=x", "Access-Token=x", "access%5Ftoken=x", "%74oken=x", "key", "token="]
)
def test_a_query_is_told_from_its_secrets_however_they_are_written(secret: str) -> None:
    assert without_secrets(f"a=1&{secret}&fields=token&b=%26") == "a=1&fields=token&b=%26"
