"""``drift``: what changed in the answers of sources, and that an operator has seen it."""

from __future__ import annotations

import argparse
import getpass
import json
from collections.abc import Sequence

from rich.table import Table
from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncSession

from scripts.beatctl.cli import OK, CommandFailed, database, show

HELP = "show what changed in the answers of sources, and acknowledge it"
EVERYTHING = "all"
HEAD = ("id", "kind", "source", "function", "path", "was", "now", "read", "answers", "noticed", "last seen", "state")

LIST = text("""
select d.id, d.kind, d.source, d.function, d.path, d.was, d.now, d.read_by_parser, d.payloads, d.noticed_at,
    d.last_seen, d.acknowledged_at, d.acknowledged_by, r.payloads as checked,
    (select max(p.samples) from payload_path p
        where p.source = d.source and p.function = d.function and p.path = '$') as samples
from payload_drift d left join payload_read r on r.source = d.source and r.function = d.function
where (:everything or d.acknowledged_at is null)
    and (cast(:source as text) is null or d.source = :source)
    and (cast(:function as text) is null or d.function = :function)
order by d.read_by_parser desc, d.noticed_at desc, d.id desc
""")
ACKNOWLEDGE = text("""
update payload_drift set acknowledged_at = now(), acknowledged_by = :by
where acknowledged_at is null and (cast(:ids as bigint[]) is null or id = any(cast(:ids as bigint[]))) returning id
""")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of this command."""
    parser.add_argument("--source", metavar="S", help="only this source")
    parser.add_argument("--function", metavar="F", help="only this function")
    parser.add_argument("--all", action="store_true", help="also what has been acknowledged")
    parser.add_argument("--json", action="store_true", help="one JSON object a line instead of a table")
    parser.add_argument(
        "--acknowledge", nargs="+", type=_id, metavar="ID", help=f"take these off the list; {EVERYTHING} takes all off"
    )
    parser.add_argument("--by", metavar="NAME", default=None, help="who acknowledges; the login name when unsaid")
    parser.set_defaults(run=run)


async def run(arguments: argparse.Namespace) -> int:
    """Acknowledge, or list."""
    async with database() as opened, opened.sessions.begin() as session:
        if arguments.acknowledge:
            return await _acknowledge(session, arguments.acknowledge, arguments.by or getpass.getuser())
        values = {"everything": arguments.all, "source": arguments.source, "function": arguments.function}
        rows = (await session.execute(LIST, values)).mappings().all()
    if arguments.json:
        for row in rows:
            print(json.dumps(dict(row), default=str))
    elif rows:
        _show(rows)
    else:
        print("nothing has changed that was not acknowledged" if not arguments.all else "nothing has changed")
    return OK


async def _acknowledge(session: AsyncSession, given: Sequence[int | str], by: str) -> int:
    ids = None if EVERYTHING in given else [one for one in given if isinstance(one, int)]
    done = set((await session.execute(ACKNOWLEDGE, {"ids": ids, "by": by})).scalars())
    missing = [one for one in ids or () if one not in done]
    if missing:
        raise CommandFailed(
            f"not on the list: {', '.join(map(str, missing))}; nothing was acknowledged, `beatctl drift` shows the ids"
        )
    print(f"{len(done)} acknowledged by {by}")
    return OK


def _show(rows: Sequence[RowMapping]) -> None:
    table = Table(
        "id", "kind", "source", "function", "path", "was", "now", "read", "answers", "noticed", "last seen", "state"
    )
    for row in rows:
        state = "open" if row["acknowledged_at"] is None else f"{row['acknowledged_by']} {row['acknowledged_at']:%F}"
        times = (f"{row[name]:%F %H:%M}" for name in ("noticed_at", "last_seen"))
        of = row["checked"] if row["read_by_parser"] else row["samples"]
        table.add_row(
            str(row["id"]), row["kind"], row["source"], row["function"], row["path"], row["was"], row["now"],
            "yes" if row["read_by_parser"] else "no", f"{row['payloads']:,} of {of or 0:,}", *times, state,
        )  # fmt: skip
    show(table, columns=240)


def _id(given: str) -> int | str:
    if given == EVERYTHING:
        return given
    if not given.isascii() or not given.isdigit() or not 0 < int(given) < 2**63:
        raise argparse.ArgumentTypeError(f"{given!r} is no id: name ids of the list, or {EVERYTHING}")
    return int(given)
