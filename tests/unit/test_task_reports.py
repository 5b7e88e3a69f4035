"""What a task's row gets: params that are read or refused by name, and reports that the database can always store."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from core.client.errors import MediaError, MediaRefused, MediaUnavailable, StoreUnavailable, UrlExpired
from core.crawler.errors import ChainFailed, NotFound, Outcome, ProviderError, RateLimited, Unavailable
from core.flows.registry import build_registry
from core.flows.scraper import BadTask, claimed_params, done, failed, read_params, timed_out
from core.models.params import MAX_PARAMS_BYTES
from core.queue.queue import NO_DATA, Claim, Failed

FLOWS = build_registry()
HANDLE = FLOWS["refresh_profile_by_handle"]
UNSTORABLE = "nul \x00 and half a pair \ud83d"


def claim(params: str | None = '{"handle": "natgeo"}', platform: str | None = "INSTAGRAM") -> Claim:
    return Claim(7, HANDLE.name, platform, params, 1, 0, None)


@pytest.mark.parametrize("platform", ["INSTAGRAM", "instagram", "Instagram"])
def test_the_platform_may_be_written_in_any_case(platform: str) -> None:
    assert claimed_params(HANDLE, claim(platform=platform)).model_dump() == {"handle": "natgeo"}


def test_assets_of_every_platform_go_through_one_flow() -> None:
    params = {"entity_type": "POST", "entity_id": "1", "asset_type": "IMAGE", "original_url": "https://a.example/1.jpg"}
    asked = claim(json.dumps({**params, "platform": "YOUTUBE", "hash": 2**63}), "YOUTUBE")
    assert claimed_params(FLOWS["asset_upload_flow"], asked).model_dump()["hash"] == 2**63


def test_a_hash_that_lost_digits_on_its_way_is_refused() -> None:
    params = {"entity_type": "POST", "entity_id": "1", "asset_type": "IMAGE", "original_url": "https://a.example/1.jpg"}
    asked = claim(json.dumps({**params, "platform": "YOUTUBE", "hash": 1.2e19}), "YOUTUBE")
    with pytest.raises(BadTask, match=r"params\.hash: must be a whole number"):
        claimed_params(FLOWS["asset_upload_flow"], asked)


@pytest.mark.parametrize(
    ("error", "row"),
    [
        (UrlExpired("URL signature expired"), ("URL signature expired", "URL_EXPIRED", "NEVER", 30.0)),
        (MediaRefused("NOT_MEDIA", "a page, not a picture"), ("a page, not a picture", "NOT_MEDIA", "NEVER", 30.0)),
        (MediaUnavailable("TRUNCATED", "half of it"), ("half of it", "TRUNCATED", "BACKOFF", 30.0)),
        (MediaUnavailable("THROTTLED", "slowly", retry_after_s=60.0), ("slowly", "THROTTLED", "LATER", 60.0)),
        (MediaUnavailable("SERVER_ERROR", "soon", retry_after_s=1.0), ("soon", "SERVER_ERROR", "BACKOFF", 1.0)),
        (StoreUnavailable("STORE_SLOW", "slow down", retry_after_s=7), ("slow down", "STORE_SLOW", "HELD", 7)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_copy_that_failed_says_why_and_when_it_is_tried_again(
    error: MediaError, row: tuple[str, str, str, float]
) -> None:
    report = failed(FLOWS["asset_upload_flow"], claim(), error)
    assert (report.data, report.code, report.rule, report.delay_s) == row


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (claim(platform="YOUTUBE"), "platform: refresh_profile_by_handle is a flow of INSTAGRAM"),
        (claim(platform=None), "platform: "),
        (claim(None), "params: at most 262144 bytes of JSON, got 0"),
        (claim('{"handle": "' + "é" * 200_000 + '"}'), "params: at most 262144 bytes of JSON, got 400014"),
        (claim("[" * 100_000 + "]" * 100_000), "params: nested too deeply"),
        (claim('{"handle": ' + "1" * 5000 + "}"), "or a number has too many digits"),
        (claim('["natgeo"]'), "params: must be a JSON object, is list"),
        (claim('"natgeo"'), "params: must be a JSON object, is str"),
        (claim("{}"), "params.handle: "),
        (claim('{"handle": null}'), "params.handle: "),
        (claim('{"handle": "a", "colour": 1}'), "params.colour: "),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_task_that_cannot_run_is_refused_with_the_field_named(asked: Claim, said: str) -> None:
    with pytest.raises(BadTask) as refusal:
        claimed_params(HANDLE, asked)
    report = failed(HANDLE, asked, refusal.value)
    assert said in report.data
    assert (report.code, report.rule, report.result) == ("BAD_INPUT", "NEVER", None)


def test_a_key_of_a_quarter_megabyte_does_not_fill_the_row() -> None:
    with pytest.raises(BadTask) as refusal:
        claimed_params(HANDLE, claim(json.dumps({"x" * 250_000: 1})))
    assert len(failed(HANDLE, claim(), refusal.value).data) == 4000


def test_a_final_answer_tells_what_the_sources_before_it_said() -> None:
    answer = NotFound("no such user")
    answer.outcomes = (Outcome("graphapi", Unavailable("away")), Outcome("rapidapi-jotucker", NotFound("no such user")))
    report = failed(HANDLE, claim(), answer)
    assert (report.data, report.code, report.rule) == ("(404, 'no such user')", "NOT_FOUND", "NEVER")
    assert [(one["source"], one["class"]) for one in json.loads(report.result or "")["sources"]] == [
        ("graphapi", "upstream"),
        ("rapidapi-jotucker", "not_found"),
    ]


@pytest.mark.parametrize(("said_s", "delay_s"), [(90.0, 90.0), (None, 30.0)])
def test_a_source_is_asked_again_when_it_said_or_after_half_a_minute(said_s: float | None, delay_s: float) -> None:
    for error in (RateLimited("slow", retry_after_s=said_s), Unavailable("away", retry_after_s=said_s)):
        for one in (error, ChainFailed("f", (Outcome("a", error),))):
            report = failed(HANDLE, claim(), one)
            assert (report.rule, report.delay_s) == ("LATER", delay_s)


def test_a_failed_chain_has_the_word_of_the_source_that_decided_it() -> None:
    chain = ChainFailed("f", (Outcome("a", RateLimited("slow")), Outcome("b", Unavailable("away"))))
    assert failed(HANDLE, claim(), chain).code == "RATE_LIMITED"


@pytest.mark.parametrize(
    ("report", "row"),
    [
        (failed(HANDLE, claim(), RuntimeError()), ("RuntimeError", "RuntimeError", "BACKOFF", 3)),
        (failed(HANDLE, claim(), KeyError("id")), ("'id'", "KeyError", "BACKOFF", 3)),
        (failed(None, claim(), BadTask("no such flow", "UNKNOWN_FLOW")), ("no such flow", "UNKNOWN_FLOW", "NEVER", 1)),
        (timed_out(claim(), 600.0), ("timed out: cancelled after 600 s", "TIMEOUT", "NEVER", 1)),
    ],
    ids=lambda value: getattr(value, "code", ""),
)
def test_a_bug_is_tried_again_and_what_would_end_the_same_is_not(
    report: Failed, row: tuple[str, str, str, int]
) -> None:
    assert (report.data, report.code, report.rule, report.max_retries) == row


@pytest.mark.parametrize(
    "kind", [Unavailable, ValueError, lambda text: MediaUnavailable("TRUNCATED", text)], ids=["source", "bug", "media"]
)
def test_the_text_of_a_failure_holds_no_secret_and_does_not_fill_the_row(kind: Callable[[str], Exception]) -> None:
    report = failed(HANDLE, claim(), kind("asked with access_token=planted-value" + " and more" * 1000))
    assert "asked with access_token=***" in report.data
    assert len(report.data) == 4000


def test_a_csv_job_is_told_its_task_and_answers_in_text() -> None:
    job = FLOWS["fetch_channels_csv"]
    asked = claim('{"scrape_id": 1, "channel_ids": ["a"]}', "YOUTUBE")
    assert claimed_params(job, asked).model_dump(exclude_unset=True) == {"scrape_id": 7, "channel_ids": ["a"]}
    assert (done(job, asked, "reports/7.csv").data, done(HANDLE, claim(), "reports/7.csv").data) == (
        "reports/7.csv",
        NO_DATA,
    )


def test_params_may_be_a_quarter_of_a_megabyte() -> None:
    frame = '{{"shortcodes": ["{}"]}}'
    full = frame.format("x" * (MAX_PARAMS_BYTES - len(frame.format(""))))
    flow = FLOWS["extract_post_keywords"]
    assert claimed_params(flow, claim(full))
    with pytest.raises(BadTask, match="got 262145"):
        claimed_params(flow, claim(full + " "))


@pytest.mark.parametrize(
    ("flow", "params", "named"),
    [
        ("asset_upload_flow", {"hash": 2**64}, "params.hash"),
        ("asset_upload_flow", {"hash": -1}, "params.hash"),
        ("asset_upload_flow", {"hash": True}, "params.hash: must be a whole number"),
        ("refresh_profile_basic", {}, "params.*: give profile_id, handle or both"),
        ("refresh_profile_basic", {"profile_id": " ", "handle": ""}, "params.*: give profile_id, handle or both"),
        ("refresh_profile_by_handle", {"handle": "  "}, "params.handle"),
    ],
)
def test_values_out_of_bounds_are_refused(flow: str, params: dict[str, Any], named: str) -> None:
    with pytest.raises(BadTask) as refusal:
        read_params(FLOWS[flow], params)
    assert named in str(refusal.value)


@pytest.mark.parametrize(
    "error",
    [
        ChainFailed("f", (Outcome("a", Unavailable(UNSTORABLE)),)),
        Unavailable(UNSTORABLE),
        ValueError(UNSTORABLE),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_failure_that_quotes_unstorable_text_can_be_stored(error: ProviderError | ValueError) -> None:
    report = failed(HANDLE, claim(), error)
    assert_storable(report.data, report.result)


@pytest.mark.parametrize(
    "result", [{"name": UNSTORABLE}, {UNSTORABLE: float("nan")}, [datetime(2025, 1, 1, tzinfo=UTC)]]
)
def test_a_result_that_holds_anything_can_be_stored(result: Any) -> None:
    for flow in (HANDLE, FLOWS["fetch_channels_csv"]):
        report = done(flow, claim(), result)
        assert_storable(report.data, report.result)


def assert_storable(*texts: str | None) -> None:
    for text in texts:
        assert "\x00" not in (text or "")
        assert "\\u0000" not in (text or "")
        assert "NaN" not in (text or "").replace("nan", "")
        (text or "").encode()
