"""scripts/stack: private servers of several checkouts, of root and of ordinary users, killed and brought back."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from scripts.stackd.layout import Layout
from scripts.stackd.ports import FIRST, LAST, NAMES, SIZE, Ports, remembered
from tests.support.checkout import Checkout, checkout
from tests.support.stack import SERVERS, answers
from utils.db import connect

IS_ROOT = os.geteuid() == 0


@pytest.fixture
def place() -> Path:
    """A new directory that every account may enter."""
    path = Path(tempfile.mkdtemp(prefix="beat-checkout-"))
    path.chmod(0o755)
    return path


@pytest.fixture
def other(place: Path) -> Iterator[Checkout]:
    """Another checkout."""
    with checkout(place) as copy:
        yield copy


def port(url: str) -> int:
    """Port of a server's URL."""
    return urlsplit(url).port or 0


def test_second_checkout_runs_beside_the_first_and_leaves_nothing(other: Checkout, stack_env: dict[str, str]) -> None:
    env = other.up()
    ours, theirs = ({port(values[name]) for name in SERVERS} for values in (stack_env, env))
    assert not ours & theirs
    assert all(FIRST <= number <= LAST for number in theirs)
    assert all(answers(values[name]) for values in (stack_env, env) for name in SERVERS)
    assert other.stack("status").returncode == 0

    before = other.pids()
    assert other.up() == env
    assert other.pids() == before, "a second up starts nothing"
    assert len(other.processes()) >= len(before)

    assert other.stack("down").returncode == 0
    assert other.processes() == []
    assert other.stack("status").returncode == 3
    assert other.stack("env").returncode == 3


def test_killed_server_is_reported_and_brought_back_alone(other: Checkout) -> None:
    env = other.up("redis", "pgbouncer")
    before = other.pids()
    other.kill("redis")
    status = other.stack("status")
    assert status.returncode == 3
    assert "redis      not running" in status.stdout
    other.up("redis", "pgbouncer")
    after = other.pids()
    assert answers(env["REDIS_URL"])
    assert after["pgbouncer"] == before["pgbouncer"]
    assert after["redis"] != before["redis"]


async def test_restart_replaces_the_process_and_keeps_the_data(other: Checkout) -> None:
    env = other.up("postgres", "pgbouncer")
    writer = await connect(env["PG_URL"], name="test")
    await writer.execute("create table kept as select 7 as value")
    before = other.pids()["postgres"]
    assert other.stack("restart", "postgres").returncode == 0, "connected clients do not hold it up"
    writer.terminate()
    assert other.pids()["postgres"] != before
    reader = await connect(env["PGBOUNCER_URL"], name="test")
    assert await reader.fetchval("select value from kept") == 7
    await reader.close()


async def test_fast_is_said_in_env_and_ends_with_the_next_plain_up(other: Checkout) -> None:
    for arguments, flag, fsync in (["--fast"], "1", "off"), ([], "0", "on"):
        env = other.up(*arguments, "postgres")
        assert env["STACK_FAST"] == flag
        connection = await connect(env["PG_URL"], name="test")
        assert await connection.fetchval("show fsync") == fsync
        await connection.close()


def test_stopped_server_stays_down_until_started(other: Checkout) -> None:
    env = other.up("redis")
    assert other.stack("stop", "redis").returncode == 0
    assert not answers(env["REDIS_URL"])
    assert other.stack("start", "redis").returncode == 0
    assert answers(env["REDIS_URL"])


def test_pid_file_that_names_some_other_process_is_stale(other: Checkout) -> None:
    env = other.up("redis")
    other.kill("redis")
    bystander = subprocess.Popen(["sleep", "60"])
    (other.path / ".stack" / "pids" / "redis.pid").write_text(f"{bystander.pid} 1")
    assert other.stack("status").returncode == 3
    other.up("redis")
    assert answers(env["REDIS_URL"])
    assert bystander.poll() is None, "it was not taken for ours"
    bystander.kill()
    bystander.wait()


def test_port_taken_by_a_stranger_moves_the_stack(other: Checkout) -> None:
    before = port(other.up("redis")["REDIS_URL"])
    assert other.stack("down").returncode == 0
    with socket.create_server(("127.0.0.1", before)):
        env = other.up("redis")
        assert port(env["REDIS_URL"]) != before
        assert answers(env["REDIS_URL"])


def test_a_server_on_ports_that_were_forgotten_is_replaced(other: Checkout) -> None:
    before = other.up("redis")["REDIS_URL"]
    (other.path / ".stack" / "ports").unlink()
    after = other.up("redis")["REDIS_URL"]
    assert answers(after)
    assert not answers(before)


def test_checkouts_that_start_together_get_different_ports(place: Path, other: Checkout) -> None:
    neighbour = Path(tempfile.mkdtemp(prefix="beat-checkout-"))
    with checkout(neighbour) as third:
        commands = [[str(each.path / "scripts" / "stack"), "up", "redis"] for each in (other, third)]
        environ = {key: value for key, value in os.environ.items() if key not in SERVERS}
        running = [subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL) for command in commands]
        assert [process.wait() for process in running] == [0, 0]
        blocks = [remembered(Layout(each)) for each in (place, neighbour)]
        assert None not in blocks
        assert blocks[0] != blocks[1]


def test_directory_closed_to_other_accounts_works(place: Path) -> None:
    closed = place / ("a long name that would not fit into the path of a unix socket " + "x" * 60)
    closed.mkdir(mode=0o700)
    with checkout(closed / "checkout") as copy:
        env = copy.up("postgres", "pgbouncer", "s3")
        assert all(answers(env[name]) for name in ("PG_URL", "PGBOUNCER_URL", "S3_ENDPOINT_URL"))
        assert copy.data.is_relative_to("/var/tmp" if IS_ROOT else closed)
    assert not copy.data.exists() or not IS_ROOT
    shutil.rmtree(place)


def test_ordinary_user_runs_servers(place: Path) -> None:
    home = place / "home"
    home.mkdir()
    prefix = ["runuser", "-u", "nobody", "--"] if IS_ROOT else []
    with checkout(home, prefix) as copy:
        if IS_ROOT:
            shutil.chown(home, "nobody")
        env = copy.up("postgres", "pgbouncer", "redis", "rabbitmq")
        assert all(answers(env[name]) for name in SERVERS if name != "S3_ENDPOINT_URL")
        assert len(copy.pids()) == 5
        owners = {Path(f"/proc/{pid}").stat().st_uid for pid in copy.pids().values()}
        assert owners == {home.stat().st_uid}
        assert 0 not in owners
    shutil.rmtree(place)


def test_servers_named_by_the_environment_are_left_alone(other: Checkout) -> None:
    foreign = {name: f"scheme://127.0.0.1:{number}/" for number, name in enumerate(SERVERS, start=1)}
    done = other.stack("up", **foreign)
    assert done.returncode == 0
    assert "nothing to do" in done.stdout
    assert other.processes() == []
    assert other.stack("env", **foreign).stdout.splitlines() == [f"{name}={url}" for name, url in foreign.items()]


def test_unknown_server_and_command_are_usage_errors(other: Checkout) -> None:
    assert other.stack("restart", "oracle").returncode == 2
    assert other.stack("sideways").returncode == 2
    refused = other.stack("up", "oracle")
    assert refused.returncode == 1
    assert "postgres" in refused.stderr


def test_ports_of_a_block_are_distinct_and_fill_it() -> None:
    block = Ports(FIRST)
    low, high = block.spare
    assert [*(block[name] for name in NAMES), *range(low, high + 1)] == list(range(FIRST, FIRST + SIZE))


def test_a_reader_that_leaves_early_sees_no_traceback() -> None:
    reader, writer = os.pipe()
    os.close(reader)  # it has left before the first word
    command = [str(Path(__file__).parents[2] / "scripts" / "stack"), "status"]
    ran = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert (ran.returncode, ran.stderr) == (1, "")
