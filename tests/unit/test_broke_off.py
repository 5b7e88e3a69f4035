"""Which errors of the database are its absence, not a mistake in what it was asked."""

from __future__ import annotations

import asyncpg
import pytest
from sqlalchemy.exc import DBAPIError

from utils.db import broke_off


@pytest.mark.parametrize(
    ("error", "away"),
    [
        (asyncpg.ConnectionDoesNotExistError("gone"), True),
        (asyncpg.TooManyConnectionsError("full"), True),
        (asyncpg.ReadOnlySQLTransactionError("a standby, not promoted yet"), True),
        (asyncpg.UniqueViolationError("twice"), False),
    ],
)
def test_a_server_that_cannot_be_written_to_now_is_away(error: asyncpg.PostgresError, away: bool) -> None:
    assert broke_off(DBAPIError("select 1", None, error)) is away
