"""What becomes of a template, what makes two candidates the same, and what a run says of itself."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from core.queue.bulk import RowResult
from core.schedules.candidates import AT_A_TIME, unhurried
from core.schedules.schedule import RunReport, Schedule
from core.schedules.template import NoSuchColumn, check_columns, columns, fill

TEMPLATE = {"data": {"handle": "$handle", "bio": "about $handle"}, "ids": ["$id", "$$id", "$"], "max": 5, "none": None}
DUE = datetime(2024, 5, 5, 12, 50, tzinfo=UTC)


def schedule(**changes: Any) -> Schedule:
    return Schedule(**{"name": "s", "cron": "* * * * *", "flow": "f", "params": {}, **changes})


def test_columns_are_put_in_whole_and_with_their_type() -> None:
    candidate = {"handle": None, "id": 2**64 - 1}
    assert fill(TEMPLATE, candidate) == {
        "data": {"handle": None, "bio": "about $handle"},
        "ids": [2**64 - 1, "$id", "$"],
        "max": 5,
        "none": None,
    }
    assert fill({"all": "$all"}, {"all": [{"a": "$b"}]}) == {"all": [{"a": "$b"}]}, "a value is no template"


@pytest.mark.parametrize(("text", "said"), [("$handle's page", "$handle's page"), ("$$a $$b", "$a $$b"), ("$1", "$1")])
def test_a_text_that_only_begins_like_a_column_is_a_text(text: str, said: str) -> None:
    check_columns({"bio": text}, None)
    assert fill({"bio": text}, {"handle": "lena"}) == {"bio": said}


def test_a_column_that_is_not_there_is_named_with_its_place() -> None:
    assert list(columns(TEMPLATE)) == [("params.data.handle", "handle"), ("params.ids.0", "id")]
    with pytest.raises(NoSuchColumn, match=r"^params.ids.0: the candidates have no column id, but handle, name$"):
        check_columns(TEMPLATE, {"handle": 1, "name": 2})
    with pytest.raises(NoSuchColumn, match=r"params.data.handle: \$handle needs a candidate query"):
        check_columns(TEMPLATE, None)
    check_columns({"limit": 3}, None)


def test_one_key_per_window_candidate_schedule_and_flow() -> None:
    hourly = schedule(dedup_window=timedelta(hours=1))
    key = hourly.key({}, {"handle": "a", "b": 1}, DUE)
    assert key.startswith("schedule:s:20240505T120000Z:")
    assert key == hourly.key({}, {"b": 1, "handle": "a"}, DUE - timedelta(minutes=50))
    others = [
        hourly.key({}, {"handle": "a", "b": 1}, DUE + timedelta(minutes=10)),
        hourly.key({}, {"handle": "b", "b": 1}, DUE),
        schedule(name="t", dedup_window=timedelta(hours=1)).key({}, {"handle": "a", "b": 1}, DUE),
        schedule(flow="g", dedup_window=timedelta(hours=1)).key({}, {"handle": "a", "b": 1}, DUE),
        schedule().key({}, {"handle": "a", "b": 1}, DUE),
        schedule().key({}, {"handle": "a", "b": 1}, DUE + timedelta(minutes=1)),
        schedule().key({}, {"handle": "a", "b": 1}, DUE + timedelta(microseconds=1)),
    ]
    assert len({key, *others}) == 8


@pytest.mark.parametrize("named", ["a", "", 0, False])
def test_a_candidate_may_say_itself_what_it_is(named: Any) -> None:
    daily = schedule(dedup_window=timedelta(days=1))
    assert daily.key({"dedup_key": named}, {"n": 1}, DUE) == daily.key({"dedup_key": named}, {"n": 2}, DUE)
    assert daily.key({"dedup_key": "a"}, {}, DUE) != daily.key({"dedup_key": "b"}, {}, DUE)


def result(outcome: Any, task: int | None = None, message: str = "") -> RowResult:
    return RowResult(0, outcome, task, "params.handle" if message else None, message or None)


def test_a_report_counts_and_names_what_was_refused() -> None:
    report = RunReport()
    assert (report.outcome, report.text) == ("ok", None)
    for one in (result("created", 1), result("exists", 1), result("refused", 1, "belongs to task 1")):
        report.add(one)
    assert (report.created, report.existing, report.outcome) == (1, 2, "ok"), (
        "other params, same candidate: seen before"
    )
    report.add(result("refused", None, "Field required"))
    report.add(result("refused", None, "Field required"))
    assert (report.refused, report.outcome) == (2, "partial")
    assert report.text == "2 of 5 candidates were refused; params.handle: Field required (2 times)"
    assert RunReport(refused=1, reasons=Counter({"x": 1})).outcome == "failed"
    assert RunReport(refused=1, existing=1).outcome == "partial"
    assert RunReport(error="flow: gone", created=1).outcome == "failed"


def test_a_report_holds_no_secret_and_has_an_end() -> None:
    text = RunReport(error="candidates: access_token=EAABplantedtokenplantedtoken\n" + "x" * 9000).text
    assert text is not None
    assert "EAAB" not in text
    assert len(text) == 2000
    assert "\n" not in text


async def test_many_candidates_leave_others_their_turn() -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    other = asyncio.create_task(count())
    assert [number async for number in unhurried(range(10 * AT_A_TIME))] == list(range(10 * AT_A_TIME))
    other.cancel()
    assert turns >= 10
