"""``credentials add|list|test|disable|enable|rotate|key``. Secrets come from a file or stdin, and are shown masked."""

from __future__ import annotations

import argparse
import getpass
import json
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from config import load_settings
from credentials.keys import GRAPH, SOURCES
from credentials.manager import CredentialManager
from credentials.store import Listed
from credentials.vault import VARIABLE, Vault, new_key
from scripts.beatctl.cli import FAILED, OK, CommandFailed, database, show

if TYPE_CHECKING:
    from scripts.beatctl.cli import Verbs

HELP = "credentials of the data providers"


def add_verbs(verbs: Verbs) -> None:
    """The verbs of this noun."""
    add = verbs.add_parser("add", help="store a credential, or renew the one of the same identity")
    add.add_argument("source", choices=SOURCES, metavar="SOURCE", help=", ".join(SOURCES))
    add.add_argument("--handle", help="the account that the credential belongs to")
    add.add_argument("--file", type=Path, help="JSON object of the keys; stdin when left out")
    add.set_defaults(run=add_credential)
    listing = verbs.add_parser("list", help="show credentials, masked")
    listing.add_argument("source", nargs="?", choices=SOURCES, metavar="SOURCE", help="only this source")
    listing.set_defaults(run=list_credentials)
    check = verbs.add_parser("test", help="ask Graph whether a stored token can be used; nothing is changed")
    check.add_argument("id", type=int, help="its number in the list")
    check.set_defaults(run=check_credential)
    for verb, enabled in (("disable", False), ("enable", True)):
        switch = verbs.add_parser(verb, help=f"{verb} a credential")
        switch.add_argument("id", type=int, help="its number in the list")
        switch.set_defaults(run=switch_credential, enabled=enabled)
    rotate = verbs.add_parser("rotate", help=f"seal all credentials with the first key of {VARIABLE}")
    rotate.add_argument("--batch", type=int, default=100, help="rows in one transaction (%(default)s)")
    rotate.set_defaults(run=rotate_credentials)
    key = verbs.add_parser("key", help=f"print a new key for {VARIABLE}")
    key.add_argument("--id", help="its id; the date of today when left out")
    key.set_defaults(run=print_key)


async def add_credential(arguments: argparse.Namespace) -> int:
    """Store the keys and show them masked."""
    keys = _read_keys(arguments.source, arguments.file)
    async with _manager() as manager:
        credential_id = await manager.insert_creds(arguments.source, keys, handle=arguments.handle)
        stored = [one for one in await manager.list(arguments.source) if one.id == credential_id]
    print(f"credential {credential_id} of {arguments.source} is stored")
    _show(stored)
    return OK


async def list_credentials(arguments: argparse.Namespace) -> int:
    """Show what there is."""
    async with _manager() as manager:
        _show(await manager.list(arguments.source))
    return OK


async def check_credential(arguments: argparse.Namespace) -> int:
    """Say what Graph says of a token; a failure when it cannot be used."""
    from core.crawler.errors import ProviderError  # noqa: PLC0415 - other verbs start without a client
    from credentials.runtime import http_options  # noqa: PLC0415
    from credentials.validator import GraphTokens  # noqa: PLC0415
    from utils.request import HttpClient  # noqa: PLC0415

    settings = load_settings()
    async with _manager() as manager:
        stored = await manager.stored(GRAPH, credential_id=arguments.id)
    if not stored:
        raise CommandFailed(f"there is no enabled credential {arguments.id} of {GRAPH} that the ring opens")
    http, providers = HttpClient(http_options(settings)), settings.providers
    try:
        graph = GraphTokens.at_version(http, providers.graph_app_token, providers.graph_version)
        refused = (await graph.check(stored[0].keys["token"])).as_error()
    except ProviderError as error:
        raise CommandFailed(f"Graph could not be asked: {error.message}") from None
    finally:
        await http.aclose()
    if refused is not None:
        raise CommandFailed(f"credential {arguments.id} cannot be used: {refused.message}")
    print(f"credential {arguments.id} can be used")
    return OK


async def switch_credential(arguments: argparse.Namespace) -> int:
    """Set the operator's word on a credential."""
    async with _manager() as manager:
        if not await manager.enable(arguments.id, enabled=arguments.enabled):
            raise CommandFailed(f"there is no credential {arguments.id}")
    print(f"credential {arguments.id} is {'enabled' if arguments.enabled else 'disabled'}")
    return OK


async def rotate_credentials(arguments: argparse.Namespace) -> int:
    """Seal again what older keys sealed; interrupted, it can be run again."""
    if arguments.batch < 1:
        raise CommandFailed("--batch must be at least 1")
    async with _manager() as manager:
        done = await manager.rotate(arguments.batch)
    print(f"{done.resealed} credentials sealed with the first key of {VARIABLE}")
    if done.unreadable:
        ids = ", ".join(map(str, done.unreadable))
        print(
            f"no key of the ring opens credentials {ids}: keep older keys on the ring until they are renewed",
            file=sys.stderr,
        )
        return FAILED
    return OK


def print_key(arguments: argparse.Namespace) -> int:
    """Print a ring entry; put it first to seal with it, and keep the older ones behind it until after a rotation."""
    print(new_key(arguments.id or f"k{datetime.now(UTC):%Y%m%d}"))
    return OK


@asynccontextmanager
async def _manager() -> AsyncIterator[CredentialManager]:
    settings = load_settings()
    vault = Vault.from_ring(settings.secrets.beat_keys.get_secret_value())
    async with database(settings) as opened:
        yield CredentialManager(opened.sessions, vault)


def _read_keys(source: str, file: Path | None) -> dict[str, Any]:
    if file is None and sys.stdin.isatty():
        return {name: getpass.getpass(f"{name}: ") for name in SOURCES[source].required}
    try:
        text = sys.stdin.read() if file is None else file.read_text(encoding="utf-8")
        keys = json.loads(text.removeprefix("\ufeff"))
    except OSError as error:
        raise CommandFailed(f"cannot read {file}: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise CommandFailed("the keys are no JSON") from None  # the cause would quote them
    if not isinstance(keys, dict):
        raise CommandFailed(f"the keys must be a JSON object with {', '.join(SOURCES[source].required)}")
    return keys


def _show(credentials: Iterable[Listed]) -> None:
    table = Table("id", "source", "handle", "state", "keys", "rests", "last error")
    for one in credentials:
        keys = " ".join(f"{name}={value}" for name, value in one.keys.items())
        table.add_row(
            str(one.id), one.source, one.handle or "", one.state, keys, str(one.rest_count), one.last_error or ""
        )
    show(table)
