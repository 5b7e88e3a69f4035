"""How the operator's tool says what went wrong: one line, and status 1."""

from __future__ import annotations

import argparse
import errno
import socket

import asyncpg
import pytest
from sqlalchemy.exc import DBAPIError

from config import ConfigError
from scripts.beatctl import __main__ as tool
from scripts.beatctl.cli import CommandFailed

MIGRATE = ": run python -m scripts.migrate first"


def wrapped(cause: Exception) -> DBAPIError:
    """As SQLAlchemy raises what the driver says."""
    adapted = Exception(f"<class '{type(cause).__name__}'>: {cause}")
    adapted.__cause__ = cause
    return DBAPIError("select 1", None, adapted)


def ended(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> int:
    """Exit status of a command that ends with the error."""

    def fail(_: argparse.Namespace) -> int:
        raise error

    monkeypatch.setattr(tool, "_run", fail)
    return tool.main(["flows", "list"])


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (CommandFailed("there is no task 7"), "there is no task 7"),
        (ConfigError("settings are wrong"), "settings are wrong"),
        (KeyboardInterrupt(), "interrupted"),
        (OSError(errno.ENOSPC, "No space left on device"), "the output cannot be written: No space left on device"),
        (ConnectionRefusedError(111, "refused"), "PostgreSQL cannot be reached (PG_URL): refused"),
        (FileNotFoundError(2, "No such socket"), "PostgreSQL cannot be reached (PG_URL): No such socket"),
        (socket.gaierror(-2, "Name not known"), "PostgreSQL cannot be reached (PG_URL): Name not known"),
        (TimeoutError(), "PostgreSQL cannot be reached (PG_URL): no answer in time"),
        (asyncpg.InterfaceError("closed"), "PostgreSQL was lost in the middle: closed"),
        (asyncpg.InternalClientError("goodbye"), "PostgreSQL was lost in the middle: goodbye"),
        (asyncpg.UndefinedTableError("no table x"), f"PostgreSQL refused the command: no table x{MIGRATE}"),
        (wrapped(asyncpg.UndefinedTableError("no table x")), f"PostgreSQL refused the command: no table x{MIGRATE}"),
        (wrapped(asyncpg.DataError("too long\nand more")), "PostgreSQL refused the command: too long"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_an_expected_failure_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: BaseException, said: str
) -> None:
    assert ended(error, monkeypatch) == 1
    assert capsys.readouterr().err == f"beatctl: {said}\n"


def test_a_bug_is_not_dressed_up(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(KeyError):
        ended(KeyError("id"), monkeypatch)
