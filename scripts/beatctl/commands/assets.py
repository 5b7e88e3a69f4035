"""``assets backfill|setup-bucket``: copies that are missing, and the rules of the bucket they go to."""

from __future__ import annotations

import argparse
from collections import Counter
from typing import TYPE_CHECKING

from config import load_settings
from core.bucket import store_access
from core.enums import Platform
from core.flows.registry import Registry, build_registry
from core.queue.bulk import CREATED, EXISTS, REFUSED, insert_many
from scripts.beatctl.bucket import UNSUPPORTED, apply_rules, our_rules
from scripts.beatctl.cli import FAILED, OK, CommandFailed, database
from scripts.beatctl.missing import SOURCES, Source, missing
from utils.times import utc_now

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

    from scripts.beatctl.cli import Verbs

HELP = "queue copies of media that is missing, and set up the bucket"

EXPIRED = "expired"


def add_verbs(verbs: Verbs) -> None:
    """The verbs of this noun."""
    backfill = verbs.add_parser("backfill", help="queue uploads of stored rows: profile pictures first")
    backfill.add_argument("--platform", required=True, type=str.upper, choices=[one.value for one in Platform])
    backfill.add_argument("--missing", required=True, action="store_true", help="of rows without a copy")
    backfill.add_argument("--limit", type=_count, metavar="N", help="at most so many uploads")
    backfill.add_argument("--batch", type=_count, default=1000, metavar="N", help="rows a transaction (%(default)s)")
    backfill.set_defaults(run=queue_missing)
    setup = verbs.add_parser("setup-bucket", help="apply scripts/aws/lifecycle.json to AWS_BUCKET")
    setup.set_defaults(run=setup_bucket)


async def queue_missing(arguments: argparse.Namespace) -> int:
    """Queue what is missing, and say how much of each kind; run again, it goes on where it was."""
    platform = Platform(arguments.platform)
    if platform not in SOURCES:
        raise CommandFailed(f"no rows of {platform} name media yet: {', '.join(SOURCES)} do")
    settings = load_settings()
    registry = build_registry(settings.workers.beat_extra_flows)
    left, refused = arguments.limit, 0
    async with database(settings) as opened, opened.sessions() as session:
        for source in SOURCES[platform]:
            counts = await _queue(session, registry, platform, source, min(arguments.batch, 10_000), left)
            left = None if left is None else left - counts[CREATED]
            refused += counts[REFUSED]
            print(
                f"{source.name}: {counts[CREATED]} queued, {counts[EXISTS]} queued earlier today, "
                f"{counts[EXPIRED]} left out because their URLs have expired, {counts[REFUSED]} refused"
            )
    return FAILED if refused else OK


async def _queue(
    session: AsyncSession, registry: Registry, platform: Platform, source: Source, size: int, most: int | None
) -> Counter[str]:
    counts: Counter[str] = Counter()
    if most == 0:
        return counts
    async for batch in missing(session, platform, source, size, utc_now().date()):
        tasks = batch.tasks if most is None else batch.tasks[: most - counts[CREATED]]
        results = await insert_many(session, registry, tasks) if tasks else []
        await session.commit()
        counts.update(result.outcome for result in results)
        counts[EXPIRED] += batch.expired
        if counts[CREATED] == most:
            break
    return counts


def setup_bucket(arguments: argparse.Namespace) -> int:  # noqa: ARG001
    """Apply the rules and say what became of each; what the server does not know is no failure."""
    access = store_access(load_settings())
    if access is None:
        raise CommandFailed("AWS_BUCKET is not set: there is no bucket to set up")
    words = dict(apply_rules(access, our_rules()))
    print("\n".join(f"{name}: {word}" for name, word in words.items()))
    if UNSUPPORTED in words.values():
        print(f"what {access.bucket} does not do by itself has to be done by hand: see scripts/aws/README.md")
    return OK


def _count(word: str) -> int:
    if not word.isdecimal() or not int(word):
        raise argparse.ArgumentTypeError("must be a whole number from 1 on")
    return int(word)
