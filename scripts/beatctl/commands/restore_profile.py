"""``restore-profile PLATFORM ID --at TIME``: an account's row as it was then, rebuilt from profile_log."""

from __future__ import annotations

import argparse
from collections.abc import Iterable

from rich.table import Table

from core.enums import Platform
from instagram.tasks.restore import Change, NothingKnown, restore_profile
from scripts.beatctl.cli import OK, CommandFailed, database, moment, show

HELP = "rebuild an account's row from its audit trail"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of this command."""
    parser.add_argument("platform", type=str.upper, choices=[Platform.INSTAGRAM.value], help="only INSTAGRAM as yet")
    parser.add_argument("id", metavar="ID", help="the platform's own id of the account (profile_id)")
    parser.add_argument(
        "--at", type=moment, required=True, metavar="TIME", help="ISO 8601, such as 2024-05-01T12:00Z; UTC when unsaid"
    )
    parser.add_argument("--dry-run", action="store_true", help="only show what would change")
    parser.set_defaults(run=run)


async def run(arguments: argparse.Namespace) -> int:
    """Restore the row, announce it and show what changed."""
    async with database() as opened, opened.sessions() as session:
        try:
            changes = await restore_profile(session, arguments.id, arguments.at, dry_run=arguments.dry_run)
        except NothingKnown as error:
            raise CommandFailed(str(error)) from None
    _show(changes)
    done = "would be" if arguments.dry_run else "is"
    unchanged = f"{arguments.id} is already as it was at {arguments.at.isoformat()}"
    print(f"{arguments.id} {done} restored to {arguments.at.isoformat()}" if changes else unchanged)
    return OK


def _show(changes: Iterable[Change]) -> None:
    table = Table("column", "was", "becomes")
    for change in changes:
        table.add_row(change.column, _text(change.was), _text(change.becomes))
    if table.row_count:
        show(table)


def _text(value: object) -> str:
    return "(nothing)" if value is None else str(value)
