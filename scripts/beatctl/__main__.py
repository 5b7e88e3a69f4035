"""Entry point of the operator's tool. Exit status: 0 done, 1 could not, 2 wrong use."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import inspect
import pkgutil
import sys
from collections.abc import Sequence
from typing import Any

from sqlalchemy.exc import DBAPIError

from config import ConfigError
from credentials.keys import CredentialRefused
from credentials.vault import VaultError
from scripts.beatctl import commands
from scripts.beatctl.cli import FAILED, CommandFailed

_EXPECTED = (CommandFailed, ConfigError, CredentialRefused, VaultError)


def build_parser() -> argparse.ArgumentParser:
    """The parser of every noun in scripts/beatctl/commands."""
    parser = argparse.ArgumentParser(prog="python -m scripts.beatctl", description="Operate Beat.")
    nouns = parser.add_subparsers(metavar="NOUN", required=True)
    for found in sorted(pkgutil.iter_modules(commands.__path__), key=lambda module: module.name):
        module = importlib.import_module(f"{commands.__name__}.{found.name}")
        noun = nouns.add_parser(found.name.replace("_", "-"), help=module.HELP, description=module.HELP)
        module.add_verbs(noun.add_subparsers(metavar="VERB", required=True))
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; an expected failure is one line on stderr, never a traceback."""
    arguments = build_parser().parse_args(argv)
    try:
        return asyncio.run(_run(arguments))
    except _EXPECTED as error:
        return _say(str(error))
    except OSError as error:
        return _say(f"PostgreSQL cannot be reached (PG_URL): {error.strerror or type(error).__name__}")
    except DBAPIError as error:
        return _say(f"PostgreSQL refused the command: {str(error.orig).splitlines()[0]}")
    except KeyboardInterrupt:
        return _say("interrupted")


async def _run(arguments: argparse.Namespace) -> int:
    result: Any = arguments.run(arguments)
    return int(await result if inspect.isawaitable(result) else result)


def _say(message: str) -> int:
    print(f"beatctl: {message}", file=sys.stderr)
    return FAILED


if __name__ == "__main__":
    sys.exit(main())
