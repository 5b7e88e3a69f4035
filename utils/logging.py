"""One log format for Beat and the libraries it uses: a line for people in a terminal, JSON elsewhere, no secrets.

What is logged with the standard library ends up here too. Values of local variables are never shown in tracebacks.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import traceback
from typing import TYPE_CHECKING, Any, TextIO

from loguru import logger

from utils.redact import redact_text

if TYPE_CHECKING:
    from loguru import Message, Record

_QUIET = {"sqlalchemy.pool": logging.ERROR, "aiormq": logging.WARNING, "asyncio": logging.WARNING}
"""Libraries that say more than an operator can use, and the least that is let through."""


_UNSHOWN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
"""What would end a line or steer the terminal. Fields hold what others sent; messages are Beat's own."""

_inherited: tuple[str, str] | None = None


def configure_children(level: str, style: str) -> None:
    """Configure a process that forks others: those that want the same need not do it again (2 MB of each spared)."""
    global _inherited  # noqa: PLW0603  of this process, as the logger is
    configure(level, style)
    _inherited = level, style


def configure_child(level: str, style: str) -> None:
    """Configure a forked process, unless it has inherited just that."""
    if _inherited != (level, style):
        configure(level, style)


def configure(level: str, style: str = "auto", stream: TextIO | None = None) -> None:
    """Send everything of ``level`` and above to ``stream`` (standard error).

    ``style``: human, json, or auto (human in a terminal).
    """
    out = stream or sys.stderr
    human = style == "human" or (style == "auto" and out.isatty())
    line = _human_line if human else _json_line

    def write(message: Message) -> None:
        out.write(line(message.record))
        out.flush()

    logger.remove()
    logger.add(write, level=level, format="{message}", diagnose=False, backtrace=False, catch=True)
    least_known = max(logger.level(level).no, logging.DEBUG)  # TRACE and SUCCESS are levels of loguru alone
    logging.basicConfig(handlers=[_ToLoguru()], level=least_known, force=True)
    for name, least in _QUIET.items():
        logging.getLogger(name).setLevel(max(least, logging.getLogger().level))


_LEVELS = frozenset({"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"})


class _ToLoguru(logging.Handler):
    """Hands records of the standard library on."""

    def emit(self, record: logging.LogRecord) -> None:
        level = record.levelname if record.levelname in _LEVELS else record.levelno
        logger.bind(library=record.name).opt(exception=record.exc_info).log(level, record.getMessage())


def _human_line(record: Record) -> str:
    fields = _UNSHOWN.sub(_escaped, " ".join(f"{name}={value}" for name, value in record["extra"].items()))
    head = f"{record['time']:%Y-%m-%d %H:%M:%S.%f}"[:-3]
    text = redact_text(f"{head} {record['level'].name:<7} {record['message']} {fields}".rstrip())
    return f"{text}\n{_traceback(record)}"


def _escaped(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode()


def _json_line(record: Record) -> str:
    line: dict[str, Any] = {
        "time": record["time"].isoformat(timespec="milliseconds"),
        "level": record["level"].name,
        "event": redact_text(record["message"]),
        "process": record["process"].id,
        "at": f"{record['name']}:{record['line']}",
        **{name: _plain(value) for name, value in record["extra"].items()},
    }
    trace = _traceback(record)
    return json.dumps(line | ({"traceback": trace} if trace else {}), ensure_ascii=False, default=str) + "\n"


def _plain(value: object) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    return redact_text(str(value))


def _traceback(record: Record) -> str:
    error = record["exception"]
    if error is None or error.type is None:
        return ""
    return redact_text("".join(traceback.format_exception(error.type, error.value, error.traceback)))
