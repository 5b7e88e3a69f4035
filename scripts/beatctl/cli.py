"""What the commands of the operator's tool share."""

from __future__ import annotations

import argparse
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from config import Settings, load_settings
from utils.db import Database, open_database

if TYPE_CHECKING:
    Verbs = argparse._SubParsersAction[argparse.ArgumentParser]

Run = Callable[[argparse.Namespace], int | Awaitable[int]]

OK = 0
FAILED = 1
WRONG_USE = 2


class CommandFailed(Exception):
    """The command could not do what was asked; the message is for the operator."""


@asynccontextmanager
async def database(settings: Settings | None = None) -> AsyncIterator[Database]:
    """The direct database for the length of a command."""
    opened = open_database((settings or load_settings()).database.pg_url, pool_size=1)
    try:
        yield opened
    finally:
        await opened.dispose()
