"""What a caller is told about each way in which a refresh fails."""

from __future__ import annotations

import pytest

from core.api.envelope import http_status
from core.api.upstream import Upstream, meaning
from core.crawler.errors import (
    ChainFailed,
    CredentialBusy,
    CredentialInvalid,
    Malformed,
    NoSourceAvailable,
    NotCovered,
    NotFound,
    NotFoundHere,
    Outcome,
    Private,
    ProviderError,
    QuotaExhausted,
    RateLimited,
    SourceBusy,
    Unavailable,
)

WORDS = ("Profile not found - natgeo", "Profile is private - natgeo")


def chain(*errors: ProviderError) -> ChainFailed:
    return ChainFailed("fetch_profile_by_handle", tuple(Outcome(f"source-{n}", e) for n, e in enumerate(errors)))


@pytest.mark.parametrize(
    ("error", "code", "may_be_stale"),
    [
        (NotFound("gone"), 404, False),
        (NotFoundHere("gone"), 404, False),
        (chain(NotCovered("personal")), 404, False),
        (chain(NotCovered("personal"), NotFoundHere("empty")), 404, False),
        (chain(Unavailable("away"), NotFoundHere("empty")), 503, True),
        (chain(NotCovered("personal"), Unavailable("away")), 503, True),
        (chain(NotCovered("personal"), Malformed("no username")), 502, True),
        (Private("closed"), 403, True),
        (NoSourceAvailable(), 503, True),
        (chain(Unavailable("away")), 503, True),
        (chain(RateLimited("429 from the source")), 503, True),
        (chain(QuotaExhausted("month used up")), 503, True),
        (chain(SourceBusy("our own limit")), 2, True),
        (chain(CredentialBusy("our own limit"), Unavailable("away")), 2, True),
        (chain(Malformed("no username")), 502, True),
        (chain(CredentialInvalid("key refused")), 502, True),
    ],
    ids=lambda value: value.__class__.__name__ if isinstance(value, Exception) else str(value),
)
def test_each_failure_has_its_answer(error: ProviderError, code: int, may_be_stale: bool) -> None:
    said = meaning(error, *WORDS)
    assert (said.code, isinstance(said, Upstream)) == (code, may_be_stale)


def test_the_message_is_the_failure_and_not_what_another_source_did_not_find() -> None:
    said = meaning(chain(NotCovered("personal"), Unavailable("timed out")), *WORDS)
    assert said.message == "The data sources failed: timed out"


@pytest.mark.parametrize(("code", "status"), [(2, 429), (190, 401), (404, 404), (503, 503), (999, 502), (200, 502)])
def test_strict_mode_answers_the_real_status_and_the_other_always_200(code: int, status: int) -> None:
    assert http_status(code, strict=True) == status
    assert http_status(code, strict=False) == 200
