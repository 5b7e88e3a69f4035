"""What reaches the log, and what must not."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from loguru import logger

from config import load_settings
from utils.logging import configure

TOKEN = "EAABsbCS1iHgBAsecretsecretsecret"


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    logger.remove()
    root.handlers[:] = handlers
    root.setLevel(level)


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_outside_a_terminal_each_event_is_one_line_of_json_with_its_fields() -> None:
    stream = io.StringIO()
    configure("INFO", "auto", stream)
    with logger.contextualize(task_id=7):
        logger.bind(flow="refresh").info("task_done")
    (line,) = lines(stream)
    assert (line["event"], line["level"], line["task_id"], line["flow"]) == ("task_done", "INFO", 7, "refresh")


def test_a_field_cannot_begin_a_line_of_its_own_or_steer_the_terminal() -> None:
    stream = io.StringIO()
    configure("INFO", "human", stream)
    logger.bind(path="/a\n2026-01-01 ERROR made up \x1b[2J\r\x85\u2028").info("request_served")
    assert len(stream.getvalue().splitlines()) == 1
    assert "\x1b" not in stream.getvalue()


def test_the_human_form_is_text_with_the_fields_behind_the_event() -> None:
    stream = io.StringIO()
    configure("INFO", "human", stream)
    logger.bind(flow="refresh").warning("task_late")
    assert "WARNING task_late flow=refresh\n" in stream.getvalue()


@pytest.mark.parametrize("style", ["human", "json"])
def test_secrets_are_masked_in_messages_fields_and_tracebacks(style: str) -> None:
    stream = io.StringIO()
    configure("INFO", style, stream)
    logger.bind(url=f"https://host/me?access_token={TOKEN}").info(f"asked with access_token={TOKEN}")
    try:
        int(f"Bearer {TOKEN}")
    except ValueError:
        logger.exception("call_failed")
    text = stream.getvalue()
    assert TOKEN not in text
    assert "call_failed" in text
    assert "ValueError" in text


def test_values_of_local_variables_stay_out_of_tracebacks() -> None:
    stream = io.StringIO()
    configure("INFO", "json", stream)

    def work(hidden: str) -> float:
        return len(hidden) / 0

    value = "".join(("from-a-", "local-variable"))
    try:
        work(value)
    except ZeroDivisionError:
        logger.exception("work_failed")
    assert "ZeroDivisionError" in stream.getvalue()
    assert "from-a-local-variable" not in stream.getvalue()


def test_records_of_libraries_arrive_under_their_name_and_below_the_level_nothing_does() -> None:
    stream = io.StringIO()
    configure("WARNING", "json", stream)
    logging.getLogger("some.library").warning("slow by %s ms", 12)
    logging.getLogger("some.library").info("chatter")
    logging.getLogger("some.library").log(35, "between two levels")
    logger.info("also chatter")
    assert [(line["event"], line.get("library")) for line in lines(stream)] == [
        ("slow by 12 ms", "some.library"),
        ("between two levels", "some.library"),
    ]


@pytest.mark.parametrize(("level", "shown"), [("SUCCESS", ["done", "broken"]), ("CRITICAL", ["broken"])])
def test_levels_that_only_one_of_the_two_libraries_knows_hold_for_both(
    level: str, shown: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOG_LEVEL", level)
    stream = io.StringIO()
    configure(load_settings().general.log_level, "json", stream)
    logging.getLogger("some.library").info("chatter")
    logger.success("done")
    logging.getLogger("some.library").critical("broken")
    assert [line["event"] for line in lines(stream)] == shown


def test_a_line_is_written_at_once(tmp_path: Path) -> None:
    """Of a process that is killed too."""
    with (tmp_path / "log").open("w", encoding="utf-8") as stream:
        configure("INFO", "json", stream)
        logger.info("task_done")
        assert '"event": "task_done"' in (tmp_path / "log").read_text(encoding="utf-8")


def test_a_log_that_cannot_be_written_stops_nobody(capfd: pytest.CaptureFixture[str]) -> None:
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        configure("INFO", "json", full)
        logger.info("task_done")
        logger.remove()
        with pytest.raises(OSError, match="No space left"):
            full.close()
    assert "No space left" in capfd.readouterr().err
