"""Secrets never survive in a place where secrets are written."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils import redact
from utils.redact import MASK, SECRET_PARAMS, is_secret_param, redact_headers, redact_text, redact_url

URL_SECRETS = st.text(alphabet="abcdefXYZ0123456789-._~%|+/=:", min_size=1, max_size=60).map(
    lambda text: f"5ecr3t{text}"
)
NAMES = st.sampled_from(sorted(SECRET_PARAMS))
NOISE = st.text(max_size=40)
PLAIN = st.text(alphabet="abcdefgh ,.", max_size=20)


@given(name=NAMES, secret=URL_SECRETS, separator=st.sampled_from("?&;#"), upper=st.booleans())
def test_no_secret_parameter_survives_in_a_url(name: str, secret: str, separator: str, upper: bool) -> None:
    shown = name.upper() if upper else name.replace("_", "-")
    url = f"https://host.example/path?fields=a{separator}{shown}={secret}&limit=5"
    if separator == "?":
        url = f"https://host.example/path?{shown}={secret}&limit=5"
    redacted = redact_url(url)
    assert "5ecr3t" not in redacted
    assert redacted.endswith("limit=5")


@given(secret=URL_SECRETS)
def test_a_secret_inside_an_encoded_url_inside_a_url_does_not_survive(secret: str) -> None:
    inner = quote(f"https://a.example/?x=1&access_token={secret}", safe="")
    assert "5ecr3t" not in redact_url(f"https://host.example/login?next={inner}&y=1")


@given(secret=URL_SECRETS, name=NAMES)
def test_an_encoded_parameter_name_hides_nothing(secret: str, name: str) -> None:
    encoded = "".join(f"%{ord(letter):02X}" for letter in name)
    assert "5ecr3t" not in redact_url(f"https://host.example/?{encoded}={secret}")


@given(secret=st.text(alphabet="abcXYZ0189-._~", min_size=1), before=PLAIN, after=PLAIN)
@pytest.mark.parametrize(
    "frame",
    [
        "access_token={}",
        "refresh_token = {}",
        "client_secret='{}'",
        "https://h.example/p?key={}&x=1",
        "Bearer {}",
        "bearer {}",
        "Bearer%20{}",
        "Bearer+{}",
        "%22Authorization%22%3A%20%22Bearer%20{}%22",
        "h%3DBearer%2520a%252Fb{}",
        "Basic {}",
        "token abcdefgh01234567{}",
        "next=%3Faccess_token%3D{}",
        "next=%3Fa%3D1%26access-token%3D{}%26limit%3D5",
        "next=%253Faccess_token%253D{}",
        "next=%3Fkey%3D{}",
        "next=%3Fa%3D1%26key={}",
        '{{"next": "https://h.example/?a=1\\u0026access_token={}"}}',
        '{{"next": "https://h.example/?a=1\\u0026key\\u003d{}"}}',
        "/p;key={}",
        "Authorization: Token {}",
        "authorization:{}",
        "x-rapidapi-key: {}",
        "X-Access-Key: {}",
        "x-shopify-access-token: {}",
        "api-key: {}",
        "Cookie: a={}; b=c",
        '{{"token": "{}"}}',
        '{{"token":"{}","n":1}}',
        '{{"a": "{{\\"access_token\\": \\"{}\\"}}"}}',
        "{{'X-RapidAPI-Key': '{}'}}",
        "{{'Authorization': 'Bearer {}'}}",
        '{{"client_secret": "quote \\" {}"}}',
        '{{"refresh_token": "cut {}',
        "postgresql://beat:{}@localhost/beat",
        "postgresql://beat:@t{}@localhost/beat",
        "EAABsbCS1iHgBO{}abcdef01",
    ],
)
def test_no_secret_survives_in_text(frame: str, secret: str, before: str, after: str) -> None:
    planted = f"5ecr3t{secret}"
    text = f"{before} {frame.format(planted)}\n{after}"
    redacted = redact_text(text)
    assert planted not in redacted
    assert MASK in redacted
    assert redacted.endswith(f"\n{after}") or frame.endswith("cut {}")


@pytest.mark.parametrize(
    "start", ["EAA", "IGQ", "sk-", "shpat_", "shpss_", "ya29.", "AIza", "1//", "0a1b2c3dmsh9z8yp1", "eyJ"]
)
def test_a_secret_that_is_known_by_its_shape_does_not_survive_under_any_name(start: str) -> None:
    rest = {"0a1b2c3dmsh9z8yp1": "jsn0a1b2c3d4e5f", "eyJ": "0123456789abcdef.0123456789abcdef.0123"}
    secret = start + rest.get(start, "0123456789abcdef0123")
    for text in (f"said {secret}", f"said ({secret})", f"x={secret}"):
        assert redact_text(text) == text.replace(secret, MASK)
    for text in (f"x%3D{secret}", f"x%253D{secret}", f"\\u003d{secret}"):
        assert secret not in redact_text(text)
    assert redact_url(f"https://h.example/{secret}?x={secret}&y=1") == f"https://h.example/{MASK}?x={MASK}&y=1"


@given(secret=NOISE)
@pytest.mark.parametrize(
    "name",
    [
        "Authorization",
        "cookie",
        "Set-Cookie",
        "X-RapidAPI-Key",
        "x-access-key",
        "X-Shopify-Access-Token",
        "api-key",
        "x-goog-api-key",
        "X-Client-Secret",
        "X-Hub-Signature",
        "Proxy-Password",
    ],
)
def test_no_secret_header_survives(name: str, secret: str) -> None:
    assert redact_headers({name: secret, "Accept": "text/html"}) == {name.lower(): MASK, "accept": "text/html"}


@pytest.mark.parametrize("name", ["access_token", "Access-Token", " ACCESS_token ", "key", "x-amz-signature"])
def test_a_parameter_is_known_by_its_name_however_it_is_written(name: str) -> None:
    assert is_secret_param(name)
    assert not is_secret_param(f"{name} of")


def test_other_headers_stay_but_for_secrets_in_their_values() -> None:
    headers = {"X-RapidAPI-Host": "h.example", "Location": "https://h.example/?access_token=abc&x=1"}
    assert redact_headers(headers) == {
        "x-rapidapi-host": "h.example",
        "location": f"https://h.example/?access_token={MASK}&x=1",
    }


@pytest.mark.parametrize(
    "text",
    [
        "token has expired",
        "Malformed access token",
        "(190, 'Error validating access token')",
        "cursor QVFIUm",
        "x-ratelimit-reset: 5",
    ],
)
def test_innocent_text_stays_as_it_is(text: str) -> None:
    assert redact_text(text) == text


FRAGMENTS = st.lists(
    st.sampled_from(
        [
            "access_token=",
            "Bearer ",
            "token",
            "key=",
            "***",
            "*",
            '"',
            "'",
            ":",
            "=",
            "&",
            "?",
            "#",
            "://",
            "@",
            "\\",
            "\n",
            "EAA",
            "%3D",
            "%253F",
            "\\u0026",
        ]
    )
    | st.text(max_size=5),
    max_size=14,
).map("".join)


@given(text=NOISE | FRAGMENTS)
def test_redaction_takes_any_text_and_changes_nothing_the_second_time(text: str) -> None:
    for function in (redact_text, redact_url):
        once = function(text)
        assert function(once) == once


@given(text=NOISE | FRAGMENTS | st.text(alphabet="abcdeghikmnoprstuy=:@_-.1/&?#\"' ", max_size=60))
def test_what_is_passed_over_at_sight_holds_nothing_that_the_pattern_finds(text: str) -> None:
    if not redact._is_suspect(text):
        assert redact._TEXT.search(text) is None
        for function in (redact_text, redact_url):
            assert function(text) == text


def test_the_rest_of_a_url_is_still_read_when_its_pairs_are_masked() -> None:
    for url in (
        "https://u:5ecr3t@h/?token=a&x=1",
        "https://h/EAA5ecr3t5ecr3t5ecr3t?token=a",
        "https://h/?token=a&x=secret%3D5ecr3t",
        "https://h/?token=a&Bearer 5ecr3t",
        "https://h/?x=Bearer%205ecr3t&y=1",
        "https://h/?x=client_secret%20%3D%205ecr3t&y=1",
    ):
        assert "5ecr3t" not in redact_url(url)


def test_only_short_texts_without_secrets_are_remembered_and_not_too_many() -> None:
    secret, plain, long = "access_token=5ecr3t5ecr3t", "refused: no such key", "a line about keys " * 50
    for text in (secret, plain, long, *(f"key {number}" for number in range(2 * redact._MOST_CLEAN))):
        assert redact_text(text) == redact_text(text)
        assert len(redact._clean) <= redact._MOST_CLEAN
    for text in (plain, secret, long):
        redact_text(text)
    assert plain in redact._clean
    assert not {secret, long} & redact._clean
