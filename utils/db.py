"""Connections to PostgreSQL, direct and through a transaction pooler."""

from __future__ import annotations

from dataclasses import dataclass

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from utils.json_safe import stored_json

POOLED_ARGS = {"statement_cache_size": 0, "prepared_statement_cache_size": 0, "command_timeout": 30}
"""What keeps asyncpg clear of named statements, which a transaction pooler cannot carry."""

KEPT_PLANS = {"plan_cache_mode": "force_generic_plan", "enable_seqscan": "off", "jit": "off"}


def plain_url(url: str) -> str:
    """The URL as asyncpg wants it: without SQLAlchemy's driver word."""
    return url.replace("postgresql+asyncpg://", "postgresql://", 1)


def sqlalchemy_url(url: str) -> str:
    """The URL as SQLAlchemy wants it: with the asyncpg driver word."""
    return plain_url(url).replace("postgresql://", "postgresql+asyncpg://", 1)


async def connect(
    url: str, *, name: str, command_timeout_s: float | None = 30.0, prepared: bool = False
) -> asyncpg.Connection:
    """One connection without named statements, so that it works through a pooler as well as direct.

    ``name`` shows in pg_stat_activity as application_name. ``prepared`` keeps statements and their plans, which only a
    direct connection can. No plan of such a connection reads a whole table: one made while the table is empty would
    outlive its emptiness.
    """
    settings = {"application_name": name} | (KEPT_PLANS if prepared else {})
    return await asyncpg.connect(
        plain_url(url),
        statement_cache_size=100 if prepared else 0,
        command_timeout=command_timeout_s,
        timeout=10,
        server_settings=settings,
    )


@dataclass(frozen=True, slots=True)
class Database:
    """An engine and its session factory; made in the process that uses it, never before a fork."""

    engine: AsyncEngine
    sessions: async_sessionmaker[AsyncSession]

    async def dispose(self) -> None:
        """Close every pooled connection."""
        await self.engine.dispose()


def open_database(url: str, *, pool_size: int = 2, max_overflow: int = 3, echo: bool = False) -> Database:
    """A lazy pool on the pooled URL; no connection is opened before the first use."""
    engine = create_async_engine(
        sqlalchemy_url(url),
        pool_size=pool_size,
        max_overflow=max_overflow,
        pool_recycle=1800,
        echo=echo,
        hide_parameters=True,  # an error text must not show a credential
        json_deserializer=stored_json,
        connect_args=POOLED_ARGS,
    )
    return Database(engine, async_sessionmaker(engine, expire_on_commit=False))
