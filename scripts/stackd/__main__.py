"""Command line of scripts/stack: the checkout first, then what to do there."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from scripts.stackd.errors import FAILED, NOT_RUNNING, OK, USAGE, StackError
from scripts.stackd.layout import Layout
from scripts.stackd.rabbitmq import RabbitMQ
from scripts.stackd.stack import KINDS, Stack, timed_start

SERVERS = [kind.name for kind in KINDS]
FOREIGN = ("PG_URL", "PGBOUNCER_URL", "REDIS_URL", "RMQ_URL", "S3_ENDPOINT_URL")
DESCRIPTION = f"""\
Private servers of this checkout ({", ".join(SERVERS)}), on free loopback ports, with data and logs under .stack/.
Whoever has servers already sets {", ".join(FOREIGN)} and needs none of this.
Exit codes: 0 done, 1 a server failed, 2 wrong arguments, 3 not (all) running, 4 a package is missing.
"""


def main() -> int:
    """Run one command; a failure is one message and an exit code."""
    arguments = parse()
    stack = Stack(Layout(Path(sys.argv[1])))
    try:
        if arguments.command in ("env", "ctl", "status"):
            code = look(stack, arguments)
            sys.stdout.flush()
            return code
        if uses_foreign_servers():
            print(f"using the servers named by {', '.join(FOREIGN)}: nothing to do")
            return OK
        with stack.lock():
            return change(stack, arguments)
    except StackError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:  # the reader has left
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return FAILED


def parse() -> argparse.Namespace:
    """Arguments after the checkout, which the launcher passes first."""
    parser = argparse.ArgumentParser(
        prog="scripts/stack", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="start what does not run; repeatable")
    up.add_argument("servers", nargs="*", metavar="SERVER", help="only these")
    up.add_argument("--fast", action="store_true", help="Postgres without fsync: unit tests only, refused by benches")
    down = commands.add_parser("down", help="stop everything")
    down.add_argument("--purge", action="store_true", help="and delete the data")
    commands.add_parser("status", help="one line a server")
    for verb in ("start", "stop", "restart"):
        commands.add_parser(verb, help=f"{verb} one server").add_argument("server", choices=SERVERS)
    commands.add_parser("env", help="print KEY=VALUE lines for the programs")
    commands.add_parser("ctl", help="rabbitmqctl on this broker, with all arguments that follow")
    if sys.argv[2:3] == ["ctl"]:  # argparse would take rabbitmqctl's options for its own
        return argparse.Namespace(command="ctl", rest=sys.argv[3:])
    return parser.parse_args(sys.argv[2:])


def look(stack: Stack, arguments: argparse.Namespace) -> int:
    """Commands that change nothing."""
    if arguments.command == "status":
        return OK if stack.status() else NOT_RUNNING
    if arguments.command == "ctl":
        broker = stack.find(RabbitMQ.name)
        assert isinstance(broker, RabbitMQ)
        return broker.control(arguments.rest)
    if uses_foreign_servers():
        print("\n".join(f"{key}={os.environ[key]}" for key in FOREIGN))
        return OK
    if not stack.layout.env_file.exists():
        print("the stack is down: run scripts/stack up", file=sys.stderr)
        return NOT_RUNNING
    print(stack.layout.env_file.read_text(), end="")
    return OK


def change(stack: Stack, arguments: argparse.Namespace) -> int:
    """Commands that start or stop servers."""
    if arguments.command == "up":
        return OK if stack.up(known(arguments.servers), fast=arguments.fast) else FAILED
    if arguments.command == "down":
        stack.down(purge=arguments.purge)
        return OK
    if arguments.command not in ("start", "stop", "restart"):
        return USAGE
    server = stack.find(arguments.server)
    if arguments.command in ("stop", "restart"):
        server.stop()
    if arguments.command in ("start", "restart"):
        timed_start(server)
    print(f"{server.name} {'stopped' if arguments.command == 'stop' else 'running'}")
    return OK


def known(names: list[str]) -> list[str]:
    """The names, refused when one is no server (argparse cannot check a list that may be empty)."""
    for name in names:
        if name not in SERVERS:
            raise StackError(f"no server is called {name!r}: {', '.join(SERVERS)}")
    return names


def uses_foreign_servers() -> bool:
    """All servers are named by the environment, and not because a shell has read some stack's env file."""
    return "STACK_HOME" not in os.environ and all(os.environ.get(name) for name in FOREIGN)


if __name__ == "__main__":
    sys.exit(main())
