"""Empty databases that live as long as a test needs them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.support.names import session_name
from tests.support.postgres import drop_database
from tests.support.stack import with_path
from utils.db import connect


@asynccontextmanager
async def scratch_database(pg_url: str) -> AsyncIterator[str]:
    """An empty database on the server of ``pg_url``; gives its URL and drops it afterwards, whoever is connected."""
    name = session_name()
    admin = await connect(pg_url, name="tests")
    try:
        await admin.execute(f'create database "{name}" template template0')
    finally:
        await admin.close()
    url = with_path(pg_url, name)
    try:
        yield url
    finally:
        await drop_database(pg_url, url)
