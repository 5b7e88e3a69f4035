"""Which migrations a database has, held against those that this code knows."""

from __future__ import annotations

from collections.abc import Mapping

from loguru import logger

RECORDED = "select version, name from schema_migration order by version"


class Lacking(Exception):
    """A migration that this code needs was not applied; the text says which."""


def newer_migrations(recorded: Mapping[int, str], needed: int) -> tuple[str, ...]:
    """Names of applied migrations that this code does not know; it knows those from 1 to ``needed``.

    There are some after a return to older code. They do no harm: a migration keeps the code before it running.

    Raises:
        Lacking: one that it knows is missing.
    """
    for version in range(1, needed + 1):
        if version not in recorded:
            raise Lacking(f"migration {version:04d} is missing: run python -m scripts.migrate")
    return tuple(f"{version:04d}_{name}" for version, name in recorded.items() if version > needed)


def warn_of_newer(names: tuple[str, ...]) -> None:
    """One line that names them, if there are any."""
    if names:
        logger.bind(migrations=", ".join(names)).warning("schema is newer than the code")
