"""Fixtures on real servers. Several pytest sessions may share one stack: each has its own database, Redis number,
vhost and bucket, and leaves none behind. The outside network is closed."""

from __future__ import annotations

import base64
import os
import signal
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import nullcontext
from typing import Any

import asyncpg
import hypothesis
import pytest
from loguru import logger

from config import Settings, load_settings
from tests.support.loopback import close_outside_network
from tests.support.postgres import create_database, drop_database, empty_tables
from tests.support.rabbitmq import own_vhost
from tests.support.redis import flush, reserved_database
from tests.support.s3 import S3Access, own_bucket
from tests.support.stack import ROOT, stack_environment, with_path
from tests.support.turns import Turns, in_order, is_alone, share_of
from utils.db import connect

pytest_plugins = ["tests.support.fixtures_sandbox"]

TURNS = pytest.StashKey[Turns]()

TEST_KEYS = "test:" + base64.b64encode(bytes(32)).decode()
"""A key ring that seals nothing but what tests make up."""


def pytest_configure(config: pytest.Config) -> None:
    """Before any test module is imported."""
    close_outside_network()
    unhurried: Any = {"deadline": None, "suppress_health_check": [hypothesis.HealthCheck.too_slow]}
    hypothesis.settings.register_profile("explore", **unhurried)  # --hypothesis-profile=explore: new examples each time
    hypothesis.settings.register_profile("same", derandomize=True, **unhurried)
    hypothesis.settings.load_profile("same")
    if is_one_of_several(config):
        turns = config.stash[TURNS] = Turns(ROOT / ".stack")
        config.add_cleanup(turns.close)


def is_one_of_several(config: pytest.Config) -> bool:
    """Whether this process shares its run with others (pytest-xdist says so)."""
    return hasattr(config, "workerinput")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Several processes take the tests in an order of their own."""
    if is_one_of_several(config):
        items[:] = in_order(items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """How pytest-xdist, where it is used, shares out the tests (--dist loadfile)."""
    if config.getoption("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]  # noqa: PLC0415  no need without -n

    scheduling = LoadScopeScheduling(config, log)
    scheduling._split_scope = share_of
    return scheduling


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Each test when it is its turn; waiting is outside its time limit."""
    turns = item.config.stash.get(TURNS, None)
    with turns.turn(alone=is_alone(item)) if turns else nullcontext():
        return (yield)


@pytest.fixture(scope="session")
def stack_env() -> dict[str, str]:
    """Variables of the shared servers (not of this session's share of them)."""
    return stack_environment()


@pytest.fixture
def hang_ups_count() -> Iterator[None]:
    """Programs that a test starts end with their terminal, also when the tests run under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture(scope="session")
async def database(stack_env: dict[str, str]) -> AsyncIterator[str]:
    """Direct URL of this session's migrated database."""
    url = await create_database(stack_env["PG_URL"])
    yield url
    await drop_database(stack_env["PG_URL"], url)


@pytest.fixture(scope="session")
def pgbouncer_url(stack_env: dict[str, str], database: str) -> str:
    """URL of the same database through the transaction pooler."""
    return with_path(stack_env["PGBOUNCER_URL"], database.rpartition("/")[2])


@pytest.fixture(scope="session")
async def _admin(database: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await connect(database, name="tests")
    yield connection
    await connection.close()


@pytest.fixture
async def clean_db(database: str, _admin: asyncpg.Connection) -> str:
    """Direct URL of the database without any rows; for each test that writes."""
    await empty_tables(_admin)
    return database


@pytest.fixture
async def pg(clean_db: str) -> AsyncIterator[asyncpg.Connection]:
    """A direct connection to the empty database."""
    connection = await connect(clean_db, name="test")
    yield connection
    await connection.close()


@pytest.fixture(scope="session")
def _redis_database(stack_env: dict[str, str]) -> Iterator[str]:
    with reserved_database(stack_env["REDIS_URL"]) as url:
        yield url


@pytest.fixture
def redis_url(_redis_database: str) -> str:
    """URL of this session's Redis number, empty."""
    flush(_redis_database)
    return _redis_database


@pytest.fixture(scope="session")
def rmq_url(stack_env: dict[str, str]) -> Iterator[str]:
    """URL of this session's vhost; queues live until the session ends, so tests name their own."""
    with own_vhost(stack_env) as url:
        yield url


@pytest.fixture(scope="session")
def s3(stack_env: dict[str, str]) -> Iterator[S3Access]:
    """This session's bucket."""
    with own_bucket(stack_env) as access:
        yield access


@pytest.fixture
def program_env(clean_db: str, pgbouncer_url: str, redis_url: str, rmq_url: str) -> dict[str, str]:
    """Environment for a program under test, with this session's servers; tests look into an outbox without traces."""
    urls = {"PG_URL": clean_db, "PGBOUNCER_URL": pgbouncer_url, "REDIS_URL": redis_url, "RMQ_URL": rmq_url}
    return {**os.environ, "ENVIRONMENT": "test", "BEAT_KEYS": TEST_KEYS, "TRACE_SHARE": "0", **urls}


@pytest.fixture
def settings(program_env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings of a program started with `program_env`."""
    for name, value in program_env.items():
        monkeypatch.setenv(name, value)
    return load_settings()


@pytest.fixture
def logged() -> Iterator[list[dict[str, Any]]]:
    """Fields of what was logged, with the message as ``event``."""
    found: list[dict[str, Any]] = []
    sink = logger.add(lambda message: found.append(message.record["extra"] | {"event": message.record["message"]}))
    yield found
    logger.remove(sink)
