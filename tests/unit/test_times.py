"""Times as Beat says and reads them: in UTC, whatever they were written in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from utils.times import EVENT_TIME, as_utc, duration, event_time, from_epoch, minute, spoken

INDIA = timezone(timedelta(hours=5, minutes=30))
MORNING = datetime(2026, 1, 2, 3, 4, 5, 999_999)  # noqa: DTZ001 - one without an offset is what is tried here


def test_a_time_without_an_offset_is_utc_and_others_are_turned_into_it() -> None:
    assert as_utc(MORNING) == MORNING.replace(tzinfo=UTC)
    turned = as_utc(datetime(2026, 1, 2, 3, 4, tzinfo=INDIA))
    assert (turned.isoformat(), turned.tzinfo) == ("2026-01-01T21:34:00+00:00", UTC)


@pytest.mark.parametrize(
    "moment", [datetime(1, 1, 1, tzinfo=INDIA), datetime.max.replace(tzinfo=timezone(-timedelta(1) / 2))]
)
def test_what_lies_outside_the_years_in_utc_is_said(moment: datetime) -> None:
    with pytest.raises(ValueError, match="outside the years 1 to 9999"):
        as_utc(moment)


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (MORNING.replace(tzinfo=UTC), "2026-01-02 03:04:05"),
        (MORNING.replace(tzinfo=INDIA), "2026-01-01 21:34:05"),
        (datetime(987, 6, 5, tzinfo=UTC), "0987-06-05 00:00:00"),
    ],
)
def test_the_text_of_an_event_is_utc_to_the_second(moment: datetime, text: str) -> None:
    assert event_time(moment) == text
    assert datetime.strptime(text, EVENT_TIME).replace(tzinfo=UTC) == moment.replace(microsecond=0)


def test_no_time_is_no_text() -> None:
    assert (event_time(None), minute(None)) == (None, "")
    assert minute(MORNING.replace(tzinfo=INDIA)) == "2026-01-01 21:34"


@pytest.mark.parametrize("seconds", [10**18, 10**20, 1e300, float("inf"), float("nan"), -(10**12)])
def test_epoch_seconds_that_no_date_holds_are_no_time(seconds: float) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - by its text or by the library's
        from_epoch(seconds)


@pytest.mark.parametrize(
    ("word", "length"),
    [
        ("90s", timedelta(seconds=90)),
        ("10m", timedelta(minutes=10)),
        ("12h", timedelta(hours=12)),
        ("30d", timedelta(days=30)),
        ("8w", timedelta(days=56)),
        ("99999d", timedelta(days=99_999)),
    ],
)
def test_lengths_of_time_have_a_unit(word: str, length: timedelta) -> None:
    assert duration(word) == length


@pytest.mark.parametrize("word", ["", "0h", "12", "h", "1.5h", "-1h", "12H", "12 h", "12h\n", "100000d", "1y"])
def test_other_words_are_no_length_of_time(word: str) -> None:
    with pytest.raises(ValueError, match="write it as"):
        duration(word)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-3, "0 s"), (119.4, "119 s"), (120, "2 min"), (7199, "119 min"), (7200, "2 h 0 min"), (90_061, "25 h 1 min")],
)
def test_lengths_of_time_as_people_say_them(seconds: float, text: str) -> None:
    assert spoken(seconds) == text
