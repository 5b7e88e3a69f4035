"""Entry point of the operator's tool. Exit status: 0 done, 1 could not, 2 wrong use."""

from __future__ import annotations

import argparse
import asyncio
import errno
import importlib
import inspect
import os
import pkgutil
import sys
from collections.abc import Sequence
from typing import Any

from scripts.beatctl import commands
from scripts.beatctl.cli import FAILED, CommandFailed

UNDEFINED_TABLE = "42P01"


def build_parser(noun: str | None = None) -> argparse.ArgumentParser:
    """The parser of one noun in scripts/beatctl/commands; of all when it is none of them."""
    parser = argparse.ArgumentParser(prog="python -m scripts.beatctl", description="Operate Beat.")
    nouns = parser.add_subparsers(metavar="NOUN", required=True)
    known = sorted(module.name for module in pkgutil.iter_modules(commands.__path__))
    wanted = [name for name in known if _spoken(name) == noun]
    for name in wanted or known:
        module = importlib.import_module(f"{commands.__name__}.{name}")
        one = nouns.add_parser(_spoken(name), help=module.HELP, description=module.HELP)
        if hasattr(module, "add_verbs"):
            module.add_verbs(one.add_subparsers(metavar="VERB", required=True))
        else:
            module.add_arguments(one)
    return parser


def _spoken(module: str) -> str:
    return module.replace("_", "-")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; an expected failure is one line on stderr, never a traceback."""
    given = list(sys.argv[1:] if argv is None else argv)
    arguments = build_parser(given[0] if given else None).parse_args(given)
    try:
        code = _run(arguments)
        if sys.stdout is not None:  # the caller closed it
            sys.stdout.flush()  # at exit it would be too late to say nothing when the reader has left
    except KeyboardInterrupt:
        return _say("interrupted")
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Exception as error:
        message = _explanation(error)
        if message is None:
            raise
        return _say(message)
    return code


def _run(arguments: argparse.Namespace) -> int:
    result: Any = arguments.run(arguments)
    return int(asyncio.run(_awaited(result)) if inspect.isawaitable(result) else result)


async def _awaited(result: Any) -> Any:
    return await result


def _explanation(error: BaseException) -> str | None:
    """What an expected failure means to the operator; None for a bug."""
    import asyncpg  # noqa: PLC0415 - commands without a database start without its libraries
    from sqlalchemy.exc import DBAPIError  # noqa: PLC0415

    from config import ConfigError  # noqa: PLC0415
    from core.queue.control import UnknownFlow  # noqa: PLC0415
    from core.schedules.schedule import ScheduleError  # noqa: PLC0415
    from core.schedules.switch import NoSchedule  # noqa: PLC0415
    from credentials.keys import CredentialRefused  # noqa: PLC0415
    from credentials.vault import VaultError  # noqa: PLC0415
    from utils.db import reason  # noqa: PLC0415

    if isinstance(error, DBAPIError) and error.orig is not None:
        error = error.orig.__cause__ or error.orig
    expected = (CommandFailed, ConfigError, CredentialRefused, NoSchedule, ScheduleError, UnknownFlow, VaultError)
    if isinstance(error, expected):
        return str(error)
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return f"the output cannot be written: {error.strerror}"
    if isinstance(error, OSError):
        return f"PostgreSQL cannot be reached (PG_URL): {reason(error)}"
    if isinstance(error, asyncpg.ClientConfigurationError):
        return f"PG_URL: {error}"
    if isinstance(error, asyncpg.InterfaceError | asyncpg.InternalClientError):
        return f"PostgreSQL was lost in the middle: {reason(error)}"
    if isinstance(error, asyncpg.PostgresError):
        hint = ": run python -m scripts.migrate first" if getattr(error, "sqlstate", None) == UNDEFINED_TABLE else ""
        return f"PostgreSQL refused the command: {reason(error)}{hint}"
    return None


def _say(message: str) -> int:
    print(f"beatctl: {message}", file=sys.stderr)
    return FAILED


if __name__ == "__main__":
    sys.exit(main())
