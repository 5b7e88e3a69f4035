"""Which credentials are accepted, and when two are the same."""

from __future__ import annotations

import pytest

from credentials.keys import SOURCES, CredentialRefused, checked_keys, idempotency_key, stored_handle

GOOD = {source: {name: f"planted-{name}-0123456789" for name in rule.required} for source, rule in SOURCES.items()}


@pytest.mark.parametrize(
    ("source", "missing"), [(source, name) for source, rule in SOURCES.items() for name in rule.required]
)
def test_a_credential_without_a_key_is_refused_with_its_name(source: str, missing: str) -> None:
    keys = {name: value for name, value in GOOD[source].items() if name != missing}
    for incomplete in (keys, {**keys, missing: "  "}):
        with pytest.raises(CredentialRefused, match=missing) as refusal:
            checked_keys(source, incomplete)
        assert not any(value in str(refusal.value) for value in keys.values())


@pytest.mark.parametrize("source", [source for source, rule in SOURCES.items() if rule.headers])
def test_header_names_are_accepted_in_any_case(source: str) -> None:
    shouted = {name.upper(): f" {value} " for name, value in GOOD[source].items()}
    assert checked_keys(source, shouted) == GOOD[source]


def test_names_that_are_no_headers_keep_their_case() -> None:
    with pytest.raises(CredentialRefused, match="token"):
        checked_keys("graphapi", {"TOKEN": "x", "user_id": "1"})


def test_numbers_are_stored_as_text_and_other_values_are_refused() -> None:
    assert checked_keys("graphapi", {"token": "x", "user_id": 17841400000000001})["user_id"] == "17841400000000001"
    for value in (None, True, 1.5, ["x"], {"x": "y"}, "line\r\nbreak"):
        with pytest.raises(CredentialRefused, match="token"):
            checked_keys("graphapi", {"token": value, "user_id": "1"})


def test_what_is_longer_than_any_key_is_refused() -> None:
    with pytest.raises(CredentialRefused, match=r"token .* longer than 4096"):
        checked_keys("graphapi", {"token": "x" * 4097, "user_id": "1"})
    with pytest.raises(CredentialRefused, match=r"user_id .* longer than 255"):
        checked_keys("graphapi", {"token": "x", "user_id": "1" * 256})
    assert checked_keys("graphapi", {"token": "x" * 4096, "user_id": "1" * 255})


@pytest.mark.parametrize(
    "extra", [{"x-access-key": "schlüssel"}, {"two words": "x"}, {"": "x"}, {"Host": "x"}, {"content-length": "1"}]
)
def test_what_cannot_be_sent_as_a_header_is_refused(extra: dict[str, str]) -> None:
    with pytest.raises(CredentialRefused, match="cannot be sent as a header"):
        checked_keys("lama", {**GOOD["lama"], **extra})


def test_an_unknown_source_is_refused_with_the_known_ones() -> None:
    with pytest.raises(CredentialRefused, match=r"'graph'.*graphapi"):
        checked_keys("graph", {})


@pytest.mark.parametrize("source", SOURCES)
def test_the_stored_key_of_a_credential_never_holds_a_secret(source: str) -> None:
    key = idempotency_key(source, GOOD[source])
    rule = SOURCES[source]
    shown = {rule.identity} if rule.public else set()
    assert key.startswith(f"{source}:")
    assert not any(value in key for name, value in GOOD[source].items() if name not in shown)


def test_a_renewed_token_of_the_same_user_is_the_same_credential() -> None:
    assert idempotency_key("graphapi", {"token": "a", "user_id": "7"}) == idempotency_key(
        "graphapi", {"token": "b", "user_id": "7"}
    )
    assert idempotency_key("ytapitoken", {"key": "a"}) != idempotency_key("ytapitoken", {"key": "b"})


@pytest.mark.parametrize(
    ("source", "handle", "stored"),
    [
        ("graphapi", " Some.Creator ", "some.creator"),
        ("graphapi", " @Some.Creator", "some.creator"),
        ("graphapi", "@", None),
        ("ytapi", "UCabcDEF", "UCabcDEF"),
        ("lama", None, None),
        ("lama", " ", None),
    ],
)
def test_handles_are_stored_without_case_but_channel_ids_with_it(
    source: str, handle: str | None, stored: str | None
) -> None:
    assert stored_handle(source, handle) == stored
