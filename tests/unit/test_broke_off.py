"""Which errors of the database are its absence, not a mistake in what it was asked."""

from __future__ import annotations

import asyncpg
import pytest
from sqlalchemy.exc import DBAPIError

from utils.db import broke_off, open_database, plain_url


@pytest.mark.parametrize(
    ("error", "away"),
    [
        (asyncpg.ConnectionDoesNotExistError("gone"), True),
        (asyncpg.TooManyConnectionsError("full"), True),
        (asyncpg.ReadOnlySQLTransactionError("a standby, not promoted yet"), True),
        (asyncpg.AdminShutdownError("it is shut down"), True),
        (asyncpg.CannotConnectNowError("it starts"), True),
        (asyncpg.UniqueViolationError("twice"), False),
        (asyncpg.InsufficientPrivilegeError("not yours"), False),
    ],
)
def test_a_server_that_cannot_be_written_to_now_is_away(error: asyncpg.PostgresError, away: bool) -> None:
    assert broke_off(DBAPIError("select 1", None, error)) is away


@pytest.mark.parametrize(
    ("error", "away"), [(asyncpg.InternalClientError("goodbye"), True), (asyncpg.InterfaceError("wrong use"), False)]
)
async def test_a_goodbye_that_nobody_asked_for_is_its_absence(
    monkeypatch: pytest.MonkeyPatch, error: Exception, away: bool
) -> None:
    async def fail(*_: object) -> None:
        raise error

    database = open_database("postgresql://beat@127.0.0.1:9/beat")
    monkeypatch.setattr(database.single, "fetch", fail)
    with pytest.raises(DBAPIError) as caught:
        await database.fetch("select $1", "secret")
    assert broke_off(caught.value) is away
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["postgresql", "postgresql+asyncpg"])
def test_the_driver_may_be_named_in_a_url(scheme: str) -> None:
    assert plain_url(f"{scheme}://beat@127.0.0.1/beat") == "postgresql://beat@127.0.0.1/beat"
