"""What debug_token's answer means."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.crawler.errors import Malformed, ProviderError, Unavailable
from credentials.validator import REQUIRED_SCOPES, GraphTokens, TokenVerdict, read_debug_token
from tests.support.http_client import client
from tests.support.raw_server import RawServer, always, http, raw_server
from utils.times import from_epoch

TOKEN, APP_TOKEN = "planted-token-of-an-account", "4711|planted-secret-of-the-app"
REFUSED = {"error": {"code": 190, "message": "Malformed access token"}}
SAMPLES = Path(__file__).parents[1] / "contract/samples/graphapi"
NOW = datetime(2023, 3, 1, tzinfo=UTC)
ENDS = 1682668800


def sample(name: str) -> Any:
    return json.loads((SAMPLES / name).read_text(encoding="utf-8"))


def good(**changes: Any) -> Any:
    return {"data": {**sample("debug_token.json")["data"], **changes}}


def test_a_valid_token_with_every_scope_is_usable() -> None:
    verdict = read_debug_token(sample("debug_token.json"), NOW)
    assert verdict.usable
    assert verdict.as_error() is None


def test_an_expired_session_is_not_usable() -> None:
    verdict = read_debug_token(sample("debug_token.invalid.json"), NOW)
    assert not verdict.usable
    assert not verdict.is_valid
    assert len(verdict.missing_scopes) == len(REQUIRED_SCOPES) - 1


@pytest.mark.parametrize(("after_s", "expired"), [(-1, False), (0, True), (1, True), (7 * 86400, True)])
def test_data_access_ends_at_the_second_named_not_a_week_later(after_s: int, expired: bool) -> None:
    verdict = read_debug_token(good(), from_epoch(ENDS + after_s))
    assert verdict.data_access_expired is expired
    error = verdict.as_error()
    assert (error is not None and error.data_access_expired) is expired


@pytest.mark.parametrize("scope", sorted(REQUIRED_SCOPES))
def test_each_required_scope_is_missed_by_name(scope: str) -> None:
    verdict = read_debug_token(good(scopes=sorted(REQUIRED_SCOPES - {scope})), NOW)
    assert verdict.missing_scopes == (scope,)
    error = verdict.as_error()
    assert error is not None
    assert str(error) == f"(190, 'the token lacks {scope}')"


@pytest.mark.parametrize("scopes", [None, "instagram_basic", [1], {}])
def test_scopes_that_are_no_list_of_names_grant_nothing(scopes: Any) -> None:
    assert set(read_debug_token(good(scopes=scopes), NOW).missing_scopes) == REQUIRED_SCOPES


def test_a_token_without_end_never_expires_and_one_past_its_end_is_not_valid() -> None:
    assert read_debug_token(good(expires_at=0, data_access_expires_at=0), NOW).usable
    assert not read_debug_token(good(expires_at=NOW.timestamp()), NOW).is_valid


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(["data", "is_valid", "scopes", "expires_at", "data_access_expires_at"]), inner
            )
        ),
    )
)
def test_any_answer_is_read_or_refused_by_name(answer: Any) -> None:
    with suppress(Malformed):  # anything else fails this test
        read_debug_token(answer, NOW)


async def asked(answer: bytes, app_token: str | None) -> tuple[TokenVerdict | ProviderError, RawServer]:
    """What a check of the token ends with when Graph answers so."""
    async with raw_server(always(answer)) as server, client(sandbox_url=server.url) as http_client:
        try:
            return await GraphTokens(http_client, app_token).check(TOKEN), server
        except ProviderError as error:
            return error, server


@pytest.mark.parametrize("app_token", [APP_TOKEN, None])
async def test_the_app_asks_about_a_token_and_without_one_the_token_itself(app_token: str | None) -> None:
    end, server = await asked(http(body=json.dumps(good()).encode()), app_token)
    assert isinstance(end, TokenVerdict)
    (seen,) = server.seen
    asks = "4711%7Cplanted-secret-of-the-app" if app_token else TOKEN
    assert seen.target == f"/v15.0/debug_token?input_token={TOKEN}&access_token={asks}"


async def test_a_refused_app_says_nothing_of_the_token_that_was_asked_about() -> None:
    answer = http(400, json.dumps(REFUSED).encode())
    end, _ = await asked(answer, APP_TOKEN)
    assert (type(end), str(end)) == (ProviderError, "(400, 'debug_token was refused: Malformed access token')")
    verdict, _ = await asked(answer, None)
    assert verdict == TokenVerdict(is_valid=False, missing_scopes=(), data_access_expired=False)


@pytest.mark.parametrize("status", [500, 503])
async def test_a_graph_that_is_down_says_nothing_of_a_token(status: int) -> None:
    for body in (good(is_valid=False), REFUSED, {}):
        end, _ = await asked(http(status, json.dumps(body).encode()), None)
        assert isinstance(end, Unavailable)


@pytest.mark.parametrize("secret", [TOKEN, APP_TOKEN, "planted-secret-of-the-app", "4711%7Cplanted-secret-of-the-app"])
async def test_a_refusal_that_quotes_a_token_gives_nothing_away(secret: str) -> None:
    end, _ = await asked(http(403, json.dumps({"error": {"message": f"no: {secret}"}}).encode()), APP_TOKEN)
    assert isinstance(end, ProviderError)
    assert (end.code, end.message) == (403, "debug_token was refused: no: ***")
