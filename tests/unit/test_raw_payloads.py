"""What is kept of an answer: its JSON as it was, but no secret."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, cast

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from config import ConfigError, load_settings
from core.crawler import raw
from core.crawler.errors import Malformed, ProviderError
from core.crawler.provider import Asked, Credential, Payload, Provider
from core.crawler.raw import RawPayloads, pack, parser_version, unpack
from core.crawler.scrub import secrets_of
from instagram.functions.retriever.crawler import INSTAGRAM
from tests.support.instagram import Recorded, data_cases
from utils.db import Database
from utils.object_store import ObjectStore, ObjectStoreFailed
from utils.request import HttpClient

TOKEN = "planted-token-0001"
SECRETS = secrets_of({"token": TOKEN, "user_id": "17841400000000001"})
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
)


def payload(data: Any, **asked: Any) -> Payload:
    return Payload("graphapi", "fetch_profile_by_handle", Asked(**asked), data, datetime(2024, 5, 1, tzinfo=UTC))


@pytest.mark.parametrize("case", data_cases(), ids=str)
def test_a_recording_is_kept_word_for_word_but_for_its_token(case: Recorded) -> None:
    kept = unpack(pack(payload(case.body), []).body)
    assert kept == json.loads(json.dumps(case.body).replace("access_token=REDACTED", "access_token=***"))


def test_the_same_json_has_the_same_name_and_other_json_another() -> None:
    one, same, other = (pack(payload(data), []) for data in ({"a": [1, "é"]}, {"a": [1, "é"]}, {"a": [2, "é"]}))
    assert one.sha256 == same.sha256 != other.sha256
    assert len(one.sha256) == 64


def test_secrets_are_out_of_every_place_and_the_shape_stays() -> None:
    data = {
        "paging": {"next": f"https://graph.test/v15.0/1?access_token={TOKEN}&after=abc", "cursors": {"after": "abc"}},
        "access_token": "something",
        "items": [{"text": f"says {TOKEN}", "count": 3, f"key-{TOKEN}": None}],
        "caption": "Cookie: chocolate\nAuthorization: Bearer abcdefgh12345678",
        "more": "https://other.test/?sig=s3cr3t&page=2",
    }
    packed = pack(payload(data, handle="me", cursor=f"https://graph.test/?after=x&access_token={TOKEN}"), SECRETS)
    kept = unpack(packed.body)
    assert kept["paging"]["cursors"] == {"after": "abc"}
    assert kept["access_token"] == "***"
    assert (kept["items"][0]["text"], kept["items"][0]["count"]) == ("says ***", 3)
    text = json.dumps(kept) + packed.request
    assert not [secret for secret in (TOKEN, "s3cr3t", "abcdefgh12345678") if secret in text]
    assert "page=2" in kept["more"]
    assert json.loads(packed.request)["handle"] == "me"


@given(JSON)
def test_any_json_can_be_kept_and_no_planted_secret_is_in_it(data: Any) -> None:
    kept = unpack(pack(payload({"given": data, "planted": [TOKEN, f"x{TOKEN}y"]}), SECRETS).body)
    assert kept["planted"] == ["***", "x***y"]
    assert TOKEN not in json.dumps(kept)


def test_the_version_is_that_of_all_parsers_of_a_platform() -> None:
    versions = {parser_version(provider) for provider in INSTAGRAM.providers.values()}
    assert [len(version) for version in versions] == [12]


class Away:
    """A store that fails, and counts how often it was asked."""

    asked = 0

    async def put(self, _key: str, _body: bytes, **_options: str) -> None:
        self.asked += 1
        raise ObjectStoreFailed("away")


def keeping(store: Away, **shares: float) -> RawPayloads:
    return RawPayloads(cast(ObjectStore, store), cast(Database, None), {**shares, "*": 1.0})


def provider() -> Provider:
    return INSTAGRAM.providers["graphapi"](Credential(1, "graphapi", None, {"token": TOKEN}), cast(HttpClient, None))


async def test_a_store_that_failed_is_left_alone_for_a_while_and_then_asked_again() -> None:
    store = Away()
    kept = keeping(store)
    for _ in range(3):
        await kept(payload({}), provider(), Malformed("odd"))
    assert store.asked == 1
    kept._rests_until -= raw.REST_S
    await kept(payload({}), provider(), Malformed("odd"))
    assert store.asked == 2


@pytest.mark.parametrize(
    ("share", "error", "wanted"),
    [
        (0.0, None, False),
        (0.2, None, False),
        (0.4, None, True),
        (0.2, ProviderError("no"), False),
        (0.0, Malformed("odd"), True),
    ],
)
async def test_a_source_has_its_own_share_but_what_no_parser_reads_is_always_kept(
    monkeypatch: pytest.MonkeyPatch, share: float, error: ProviderError | None, wanted: bool
) -> None:
    monkeypatch.setattr("core.crawler.raw.random.random", lambda: 0.3)
    store = Away()
    await keeping(store, graphapi=share)(payload({}), provider(), error)
    assert store.asked == wanted


@pytest.mark.parametrize(
    ("given_", "shares"),
    [
        ("0", {"*": 0.0}),
        ("0.25", {"*": 0.25}),
        (" graphapi=1 , *=0.5 ", {"graphapi": 1.0, "*": 0.5}),
        ("lama=0", {"lama": 0.0}),
    ],
)
def test_the_share_is_one_for_all_or_one_per_source(
    monkeypatch: pytest.MonkeyPatch, given_: str, shares: dict[str, float]
) -> None:
    monkeypatch.setenv("RAW_SAMPLE", given_)
    assert load_settings().store.raw_shares == shares


@pytest.mark.parametrize("given_", ["2", "-0.1", "half", "=0.5", "lama=", "lama=nan"])
def test_a_share_that_is_none_stops_the_start(monkeypatch: pytest.MonkeyPatch, given_: str) -> None:
    monkeypatch.setenv("RAW_SAMPLE", given_)
    with pytest.raises(ConfigError, match="RAW_SAMPLE: write it as"):
        load_settings()


def test_a_key_without_its_secret_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY", "x")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY", raising=False)
    with pytest.raises(ConfigError, match="AWS_ACCESS_KEY and AWS_SECRET_ACCESS_KEY"):
        load_settings()


@pytest.mark.parametrize("body", [b"", b"no archive", zstandard.compress(b"{")])
def test_a_kept_answer_that_is_damaged_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        unpack(body)
