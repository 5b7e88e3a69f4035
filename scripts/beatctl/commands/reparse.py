"""``reparse --source S --function F --since T [--apply]``: kept answers read again by the parsers of today."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import fields
from typing import Any

from rich.table import Table
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from config import Settings, load_settings
from core.crawler.call import as_provider_error
from core.crawler.provider import Asked, Payload, Provider
from core.crawler.raw import unpack
from core.runtime import object_store
from instagram.functions.retriever.crawler import instagram_sources
from instagram.tasks.reparse import Difference, reading, reparse
from scripts.beatctl.cli import FAILED, OK, CommandFailed, database, moment, show
from utils.object_store import ObjectStore, ObjectStoreFailed

HELP = "read kept answers again, and mend what the parsers of then got wrong"

KEPT = text("""
select id, s3_key, request, status, class as outcome, fetched_at from raw_payload
where source = :source and function = :function and fetched_at >= :since order by fetched_at, id
""")
_FIELDS = frozenset(one.name for one in fields(Asked))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of this command."""
    parser.add_argument("--source", required=True, metavar="S", help="source, as in `credentials list`")
    parser.add_argument(
        "--function", required=True, metavar="F", help="such as fetch_profile_by_id: profiles and posts"
    )
    parser.add_argument("--since", required=True, type=moment, metavar="T", help="fetched at or after: ISO 8601, UTC")
    parser.add_argument("--apply", action="store_true", help="write audit rows, rows and events; else only show")
    parser.set_defaults(run=run)


async def run(arguments: argparse.Namespace) -> int:
    """Show what differs, answer by answer; one that cannot be had or read does not stop the others."""
    settings = load_settings()
    provider = _provider(settings, arguments.source, arguments.function)
    store = object_store(settings)
    if store is None:
        raise CommandFailed("AWS_BUCKET is not set: no answers are kept")
    counts: Counter[str] = Counter()
    async with aclosing(store), database(settings) as opened, opened.sessions() as session:
        asked = {"source": arguments.source, "function": arguments.function, "since": arguments.since}
        kept = (await session.execute(KEPT, asked)).all()
        await session.rollback()
        for row in kept:
            counts[await _one(session, store, provider, row, arguments)] += 1
    said = ", ".join(f"{number} {word}" for word, number in sorted(counts.items()))
    print(f"{len(kept)} answers: {said}" if kept else "no answers are kept of that source and function since then")
    return FAILED if counts["lost"] else OK


async def _one(
    session: AsyncSession, store: ObjectStore, provider: type[Provider], row: Any, arguments: argparse.Namespace
) -> str:
    """How it went with one answer, in a word."""
    try:
        data = unpack(await store.get(row.s3_key))
    except (ObjectStoreFailed, ValueError) as error:
        print(f"{row.s3_key}: {error}", file=sys.stderr)
        return "lost"
    asked = Asked(**{name: value for name, value in row.request.items() if name in _FIELDS})
    payload = Payload(provider.source, arguments.function, asked, data, row.fetched_at, row.status or 200)
    try:
        value = provider.parsers[arguments.function](payload)
    except Exception as error:  # noqa: BLE001 - whatever a payload provokes concerns that payload
        print(f"{row.s3_key}: {as_provider_error(error, 'read')}", file=sys.stderr)
        return "unreadable"
    read = reading(payload, value, stored=row.outcome == "ok")
    if read is None:
        raise CommandFailed(f"{arguments.function} gives neither profiles nor posts: they alone have an audit trail")
    differences = await reparse(session, read, apply=arguments.apply)
    _show(row, differences)
    return ("mended" if arguments.apply else "different") if differences else "the same"


def _provider(settings: Settings, source: str, function: str) -> type[Provider]:
    providers = instagram_sources(settings.providers.graph_version).providers
    if source not in providers:
        raise CommandFailed(f"there is no source {source}: {', '.join(providers)}")
    if function not in providers[source].parsers:
        raise CommandFailed(f"{source} has no {function}: {', '.join(sorted(providers[source].parsers))}")
    return providers[source]


def _show(row: Any, differences: Sequence[Difference]) -> None:
    table = Table("entity", "key", "was", "becomes", "row", title=row.s3_key)
    for one in differences:
        shown = "changes" if one.current else "has newer"
        table.add_row(one.entity, one.key, _text(one.was), _text(one.becomes), shown)
    if differences:
        show(table)


def _text(value: object) -> str:
    return "(nothing)" if value is None else str(value)[:80]
