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

from core.crawler.errors import Malformed
from credentials.validator import REQUIRED_SCOPES, read_debug_token
from utils.times import from_epoch

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
