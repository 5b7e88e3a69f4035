"""The shared servers behave as the programs rely on."""

from __future__ import annotations

import socket

import aio_pika
import asyncpg
import pytest
import redis.asyncio
from botocore.exceptions import ClientError

from tests.support.loopback import OutsideNetworkError
from tests.support.postgres import empty_tables
from tests.support.s3 import S3Access
from utils.db import connect

INSERT = "insert into scrape_request_log (flow, platform, params) values ('f', 'INSTAGRAM', '{}') returning id"
INSERT_LOG = """
insert into profile_log (platform, profile_id, dimensions, metrics, source, timestamp)
values ('INSTAGRAM', '1', '[]', '[]', 'graphapi', now())
"""


async def test_postgres_is_durable_and_speaks_utc(pg: asyncpg.Connection, stack_env: dict[str, str]) -> None:
    names = ("fsync", "synchronous_commit", "full_page_writes", "timezone", "max_connections", "server_encoding")
    found = [await pg.fetchval("select current_setting($1)", name) for name in names]
    durable = "off" if stack_env.get("STACK_FAST") == "1" else "on"
    assert found == [durable, durable, durable, "UTC", "400", "UTF8"]


async def test_pooler_reaches_the_session_database_and_pools_by_transaction(
    pgbouncer_url: str, pg: asyncpg.Connection
) -> None:
    pooled = await connect(pgbouncer_url, name="test")
    direct_name = await pg.fetchval("select current_database()")
    assert await pooled.fetchval("select current_database()") == direct_name
    async with pooled.transaction():
        inside = await pooled.fetchval("select pg_backend_pid()")
        other = await connect(pgbouncer_url, name="test")
        assert await other.fetchval("select pg_backend_pid()") != inside
    assert await other.fetchval("select pg_backend_pid()") is not None
    await pooled.close()
    await other.close()


async def test_emptying_removes_rows_and_keeps_partitions_and_migrations(pg: asyncpg.Connection) -> None:
    partitions = "select count(*) from pg_inherits where inhparent = 'profile_log'::regclass"
    before = await pg.fetchval(partitions)
    await pg.execute(INSERT)
    await pg.execute(INSERT_LOG)
    await empty_tables(pg)
    assert await pg.fetchval("select count(*) from scrape_request_log") == 0
    assert await pg.fetchval("select count(*) from profile_log") == 0
    assert await pg.fetchval(INSERT) == 1, "sequences start again"
    await pg.execute("delete from scrape_request_log")
    await empty_tables(pg)
    assert await pg.fetchval(INSERT) == 1, "also where no row is left"
    assert await pg.fetchval(partitions) == before >= 2
    assert await pg.fetchval("select count(*) from schema_migration") >= 1


async def test_redis_number_is_private_and_empty(redis_url: str, stack_env: dict[str, str]) -> None:
    assert redis_url != stack_env["REDIS_URL"]
    client = redis.asyncio.from_url(redis_url)
    assert await client.dbsize() == 0
    assert (await client.info("server"))["redis_version"].startswith("7.")
    await client.aclose()


async def test_quorum_queue_keeps_a_confirmed_message(rmq_url: str) -> None:
    connection = await aio_pika.connect(rmq_url)
    channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
    queue = await channel.declare_queue("servers.quorum", durable=True, arguments={"x-queue-type": "quorum"})
    message = aio_pika.Message(b"kept", delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
    await channel.default_exchange.publish(message, queue.name, mandatory=True)
    received = await queue.get()
    assert received is not None
    assert received.body == b"kept"
    await received.ack()
    await connection.close()


def test_s3_returns_what_was_put_with_its_headers(s3: S3Access) -> None:
    client = s3.client()
    headers = {"ContentType": "image/jpeg", "CacheControl": "max-age=9"}
    client.put_object(Bucket=s3.bucket, Key="a/b.jpg", Body=b"\xff\xd8", **headers)
    answer = client.get_object(Bucket=s3.bucket, Key="a/b.jpg")
    assert answer["Body"].read() == b"\xff\xd8"
    assert {name: answer[name] for name in headers} == headers
    client.close()


def test_s3_refuses_a_wrong_secret(s3: S3Access) -> None:
    client = S3Access(s3.endpoint_url, s3.access_key, "wrong", s3.region, s3.bucket).client()
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        client.list_objects_v2(Bucket=s3.bucket)
    client.close()


def test_outside_network_is_closed() -> None:
    with socket.socket() as outside, pytest.raises(OutsideNetworkError):
        outside.connect(("192.0.2.1", 80))
    with pytest.raises(OutsideNetworkError):
        socket.getaddrinfo("host.invalid", 80)
