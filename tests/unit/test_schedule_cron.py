"""When a cron expression is due, whatever the clocks of the world do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from core.schedules.cron import BadCron, following, latest


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("cron", "now", "last", "after"),
    [
        ("*/10 * * * *", "2024-05-05T12:34:56.789", "2024-05-05T12:30", "2024-05-05T12:40"),
        ("*/10 * * * *", "2024-05-05T12:30:00", "2024-05-05T12:30", "2024-05-05T12:40"),
        ("*/10 * * * *", "2024-05-05T12:29:59.999999", "2024-05-05T12:20", "2024-05-05T12:30"),
        ("0 */3 * * *", "2024-05-05T02:00", "2024-05-05T00:00", "2024-05-05T03:00"),
        ("0 0 * * 0", "2024-05-08T00:00", "2024-05-05T00:00", "2024-05-12T00:00"),
        ("@hourly", "2024-12-31T23:59", "2024-12-31T23:00", "2025-01-01T00:00"),
        ("0 0 29 2 *", "2025-01-01T00:00", "2024-02-29T00:00", "2028-02-29T00:00"),
    ],
)
def test_the_times_around_a_moment(cron: str, now: str, last: str, after: str) -> None:
    assert (latest(cron, at(now)), following(cron, at(now))) == (at(last), at(after))


@pytest.mark.parametrize("day", ["2024-03-31", "2024-10-27", "2024-03-10", "2024-11-03"], ids=str)
def test_days_on_which_clocks_change_have_24_hours(day: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    moment, times = at(day), []
    while moment < at(day) + timedelta(days=1):
        times.append(moment)
        moment = following("0 * * * *", moment)
    assert times == [at(day) + timedelta(hours=hour) for hour in range(24)]


def test_a_moment_of_another_zone_is_read_as_utc() -> None:
    noon_in_india = datetime(2024, 5, 5, 12, 0, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    assert latest("0 6 * * *", noon_in_india) == at("2024-05-05T06:00")
    assert following("0 7 * * *", noon_in_india) == at("2024-05-05T07:00")


@pytest.mark.parametrize(
    ("cron", "said"),
    [
        ("", "there are 0"),
        ("* * * * * *", "there are 6"),
        ("61 * * * *", "out of range"),
        ("*/0 * * * *", "step"),
        ("a b c d e", "not acceptable"),
        ("0 0 30 2 *", "failed to find"),
        ("@reboot", "known words are @annually"),
        ("R * * * *", "by chance"),
        ("h(0-5) 1 * * *", "by chance"),
    ],
)
def test_what_is_no_cron_expression_is_said(cron: str, said: str) -> None:
    with pytest.raises(BadCron, match=said.replace("(", r"\(")):
        latest(cron, at("2024-05-05"))


def test_names_of_months_and_days_are_no_chance() -> None:
    assert latest("0 0 * MAR THU,FRI", at("2024-05-05")) == at("2024-03-29")
