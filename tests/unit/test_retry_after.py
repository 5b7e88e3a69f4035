"""When a source says how long to stay away, in any of the ways in which it may be said."""

from __future__ import annotations

import json
from datetime import timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from core.crawler.errors import ProviderError, QuotaExhausted, RateLimited, Unavailable
from instagram.functions.retriever.graphapi.graphapi import GraphApi
from instagram.functions.retriever.rapidapi_jotucker.rapidapi_jotucker import RapidApiJoTucker
from utils.request import Response
from utils.times import utc_now

LIMIT = b'{"message": "You have exceeded the rate limit per second for your plan, PRO, by the API provider"}'
QUOTA = b'{"message": "You have exceeded the MONTHLY quota for Requests on your current plan, PRO."}'
HTML = b"<html>Too many requests</html>"


def failure(status: int, body: bytes, **headers: str) -> ProviderError:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    with pytest.raises(ProviderError) as raised:
        RapidApiJoTucker.decode(Response(status, named, body, "https://h.example/", 0.1))
    return raised.value


@pytest.mark.parametrize("body", [LIMIT, HTML, b""], ids=["json", "html", "empty"])
def test_retry_after_counts_whatever_the_body_of_a_429_is(body: bytes) -> None:
    error = failure(429, body, retry_after="17")
    assert (type(error), error.retry_after_s) == (RateLimited, 17.0)


@pytest.mark.parametrize("body", [b"{}", HTML])
def test_a_source_that_is_down_may_say_until_when(body: bytes) -> None:
    error = failure(503, body, retry_after="90")
    assert (type(error), error.retry_after_s) == (Unavailable, 90.0)


def test_the_end_of_the_plans_month_is_waited_for_only_when_the_month_is_used_up() -> None:
    assert failure(429, QUOTA, x_ratelimit_requests_reset="1209600").retry_after_s == 1_209_600.0
    assert failure(429, LIMIT, x_ratelimit_requests_reset="1209600").retry_after_s is None
    assert isinstance(failure(429, QUOTA), QuotaExhausted)


def test_a_date_is_understood_and_one_that_has_passed_means_now() -> None:
    soon = utc_now() + timedelta(seconds=120)
    left_s = failure(429, LIMIT, retry_after=format_datetime(soon, usegmt=True)).retry_after_s
    assert left_s is not None
    assert 100 < left_s <= 120
    assert failure(429, LIMIT, retry_after="Fri, 01 Jan 2021 00:00:00 GMT").retry_after_s == 0.0


@pytest.mark.parametrize(
    "text", ["", "soon", "-5", "1.5", "\u0661", "Fri, 99 Jan 2021", "Fri, 01 Jan 2021 00:00:00", "9" * 30 + " Jan 1"]
)
def test_what_is_no_time_is_as_if_nothing_was_said(text: str) -> None:
    assert failure(429, LIMIT, retry_after=text).retry_after_s is None


def test_more_than_a_month_is_not_believed() -> None:
    assert failure(429, LIMIT, retry_after="9" * 400).retry_after_s == 31 * 86_400.0
    assert failure(503, HTML, retry_after="Fri, 31 Dec 9999 00:00:00 GMT").retry_after_s == 31 * 86_400.0


def graph_failure(code: int, usage: Any, **headers: str) -> ProviderError:
    body = json.dumps({"error": {"code": code, "message": "limit reached"}}).encode()
    named = {"x-business-use-case-usage": usage if isinstance(usage, str) else json.dumps(usage)}
    named |= {name.replace("_", "-"): value for name, value in headers.items()}
    with pytest.raises(ProviderError) as raised:
        GraphApi.decode(Response(403, named, body, "https://h.example/", 0.1))
    return raised.value


def usage(*minutes: Any) -> dict[str, Any]:
    return {
        f"10450000000012{place}": [{"type": "instagram", "call_count": 100, "estimated_time_to_regain_access": one}]
        for place, one in enumerate(minutes)
    }


@pytest.mark.parametrize("code", [4, 17, 32, 613])
def test_graph_says_in_minutes_when_a_limit_opens_again(code: int) -> None:
    assert graph_failure(code, usage(19)).retry_after_s == 1140.0
    assert graph_failure(code, usage(0, 19, 3)).retry_after_s == 1140.0
    assert graph_failure(code, usage(19), retry_after="7").retry_after_s == 7.0
    assert graph_failure(code, usage(10**9)).retry_after_s == 86_400.0


@pytest.mark.parametrize(
    "said", [{}, [], "", "{", "null", '{"1": 5}', '{"1": [5]}', *map(usage, [0, 10, -3, None, "19", True, {}])]
)
def test_graphs_header_without_minutes_is_as_if_nothing_was_said(said: Any) -> None:
    assert graph_failure(4, said).retry_after_s is None


def test_only_a_used_up_limit_of_graph_waits_for_its_header() -> None:
    assert graph_failure(18, usage(19)).retry_after_s is None
    assert graph_failure(190, usage(19)).retry_after_s is None
