"""``keys add|list|test|revoke``: who may ask the API; servers follow within five seconds."""

from __future__ import annotations

import argparse
import re
import sys
from datetime import timedelta
from typing import TYPE_CHECKING

from rich.table import Table
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from core.api.key_ring import READ, SCOPES, KeyRing, digest_of, new_key
from scripts.beatctl.cli import OK, CommandFailed, database, show
from utils.db import within_dates
from utils.times import duration

if TYPE_CHECKING:
    from scripts.beatctl.cli import Verbs

HELP = "make, show and revoke keys of the API"

ADD = """
insert into api_key (name, digest, scope, account_id, expires_at)
values (:name, :digest, :scope, :account, now() + cast(:lives as interval))"""
LIST = f"""
select name, scope, account_id, to_char(created_at, 'YYYY-MM-DD HH24:MI') as created,
    to_char({within_dates("expires_at")}, 'YYYY-MM-DD HH24:MI') as expires,
    coalesce(expires_at <= now(), false) as expired
from api_key order by name"""
REVOKE = "delete from api_key where name = :name returning name"

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}", re.ASCII)


def add_verbs(verbs: Verbs) -> None:
    """The verbs of this noun."""
    add = verbs.add_parser("add", help="make a key and print it; it is shown this once, and kept nowhere")
    add.add_argument("name", type=_name, metavar="NAME", help="whose it is: a program, a team")
    add.add_argument("--scope", choices=SCOPES, default=READ, help="each may do what those before it may (%(default)s)")
    add.add_argument("--account", type=_account, metavar="ID", help="keep it to the tasks of this account")
    add.add_argument("--expires", type=_duration, metavar="TIME", help="how long it works: 12h, 30d, 8w; else for good")
    add.set_defaults(run=add_key)
    listing = verbs.add_parser("list", help="show whose keys there are")
    listing.set_defaults(run=list_keys)
    test = verbs.add_parser("test", help="read a key from standard input and say whose it is")
    test.add_argument("--scope", choices=SCOPES, default=READ, help="what it must be good for (%(default)s)")
    test.set_defaults(run=test_key)
    revoke = verbs.add_parser("revoke", help="make a key useless within five seconds")
    revoke.add_argument("name", metavar="NAME")
    revoke.set_defaults(run=revoke_key)


async def add_key(arguments: argparse.Namespace) -> int:
    """Store what is kept of a new key and print the key."""
    key = new_key()
    values = {
        "name": arguments.name, "digest": digest_of(key), "scope": arguments.scope, "account": arguments.account,
        "lives": arguments.expires,
    }  # fmt: skip
    try:
        async with database() as opened, opened.sessions.begin() as session:
            await session.execute(text(ADD), values)
    except IntegrityError:
        raise CommandFailed(f"there is a key {arguments.name} already: revoke it first, or take another name") from None
    print(key)
    return OK


async def list_keys(_: argparse.Namespace) -> int:
    """A table of the keys, without what opens anything."""
    async with database() as opened, opened.sessions.begin() as session:
        rows = (await session.execute(text(LIST))).mappings().all()
    table = Table("name", "scope", "account", "created", "expires")
    for row in rows:
        until = f"{row['expires']} (expired)" if row["expired"] else row["expires"] or ""
        table.add_row(row["name"], row["scope"], row["account_id"] or "", row["created"], until)
    show(table)
    return OK


async def test_key(arguments: argparse.Namespace) -> int:
    """Say whose key it is.

    Raises:
        CommandFailed: it is no key, has expired, or its scope does not reach.
    """
    key = sys.stdin.readline().strip()
    async with database() as opened:
        caller = await KeyRing(opened).caller(key)
    if caller is None:
        raise CommandFailed("there is no such key, or it has expired or was revoked")
    if not caller.may(arguments.scope):
        raise CommandFailed(f"the key {caller.name} has the scope {caller.scope}, not {arguments.scope}")
    print(f"{caller.name}: {caller.scope}")
    return OK


async def revoke_key(arguments: argparse.Namespace) -> int:
    """Forget a key.

    Raises:
        CommandFailed: there is none of that name.
    """
    async with database() as opened, opened.sessions.begin() as session:
        gone = await session.scalar(text(REVOKE), {"name": arguments.name})
    if gone is None:
        raise CommandFailed(f"there is no key {arguments.name}: see beatctl keys list")
    print(f"{arguments.name} is revoked")
    return OK


def _name(word: str) -> str:
    if not _NAME.fullmatch(word):
        raise argparse.ArgumentTypeError("must be up to 63 of a-z, 0-9, dot, dash and underscore")
    return word


def _account(word: str) -> str:
    if not 0 < len(word) <= 255:
        raise argparse.ArgumentTypeError("must have 1 to 255 characters")
    return word


def _duration(word: str) -> timedelta:
    try:
        return duration(word)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
