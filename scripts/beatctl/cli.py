"""What the commands of the operator's tool share."""

from __future__ import annotations

import argparse
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import TYPE_CHECKING

from rich.console import Console

from utils.times import as_utc

if TYPE_CHECKING:
    from rich.table import Table

    from config import Settings
    from utils.db import Database

    Verbs = argparse._SubParsersAction[argparse.ArgumentParser]

Run = Callable[[argparse.Namespace], int | Awaitable[int]]

OK = 0
FAILED = 1
WRONG_USE = 2


class CommandFailed(Exception):
    """The command could not do what was asked; the message is for the operator."""


def show(table: Table, *, columns: int = 200) -> None:
    """Print a table, its cells as they are; so wide where the output is no terminal."""
    Console(width=None if sys.stdout.isatty() else columns).print(table, markup=False)


def moment(given: str) -> datetime:
    """A time as operators write it, in UTC; for arguments.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    try:
        return as_utc(datetime.fromisoformat(given))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{given!r} is no time: write it as 2024-05-01T12:00Z") from None


@asynccontextmanager
async def database(settings: Settings | None = None) -> AsyncIterator[Database]:
    """The direct database for the length of a command."""
    from config import load_settings  # noqa: PLC0415 - commands without a database start without its libraries
    from utils.db import open_database  # noqa: PLC0415

    opened = open_database((settings or load_settings()).database.pg_url, pool_size=1)
    try:
        yield opened
    finally:
        await opened.dispose()
