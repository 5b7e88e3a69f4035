"""Every (function, source, fault): who answers in the end, what becomes of the credential, what the task's row says.

The rules stand in tests/support/outcome_table.py; here the real chain runs against the sandbox. The sources before the
one with the fault answer 504, so that the chain gets to it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from itertools import cycle, islice
from typing import Any

import pytest
from loguru import logger

from core.crawler.errors import ChainFailed, NoSourceAvailable, Retry, Unavailable
from core.flows.scraper import DEFAULT_LATER_S
from credentials.store import UNTIL_REPLACED
from instagram.functions.retriever.crawler import INSTAGRAM
from tests.sandbox.faults import MEDIA_FAULTS, FaultKind
from tests.support.chain import CHAINS, EACH, FUNCTIONS, HASTY, PATIENT, Ended, Rig
from tests.support.outcome_table import (
    ALIKE,
    MINUTE,
    MIXED,
    RAPIDAPI,
    UNTOUCHED,
    WAIT_S,
    End,
    faults_of,
    means,
    walk,
)
from tests.support.sandbox import Sandbox
from utils.db import open_database

CELLS = [
    (function, source, fault) for function, chain in CHAINS.items() for source in chain for fault in faults_of(source)
]
ONE_KEY = [cell for cell in CELLS if means(*cell).credential != UNTOUCHED]
AT_ONCE = [
    (function, tuple(islice(cycle(faults), len(chain))))
    for function, chain in CHAINS.items()
    if len(chain) > 1
    for faults in [*([fault] for fault in ALIKE), *MIXED]
]


def named(value: str | tuple[str, ...]) -> str:
    """A part of a test's id."""
    return value.replace(" ", "_") if isinstance(value, str) else "+".join(value)


@pytest.fixture(scope="module")
async def seeded(sandbox_process: Sandbox, database: str, _redis_database: str) -> AsyncIterator[Rig]:
    shared = open_database(database)
    yield await Rig.seeded(sandbox_process, shared, _redis_database)
    await shared.dispose()


@pytest.fixture
async def rig(seeded: Rig, sandbox: Sandbox, redis_url: str) -> Rig:
    """Sandbox, limits and credentials as if nothing had happened."""
    await seeded.reset()
    return seeded


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """Everything that is logged, down to TRACE, with all its fields and tracebacks."""
    kept: list[str] = []
    sink = logger.add(kept.append, level="TRACE", format="{level} {message} {extra} {exception}", diagnose=False)
    yield kept
    logger.remove(sink)


def faulty(function: str, source: str, fault: str) -> list[str | None]:
    """A fault of each source of the chain: 504 before this one, nothing after it."""
    chain = CHAINS[function]
    at = chain.index(source)
    return ["server_error"] * at + [fault] + [None] * (len(chain) - at - 1)


async def put(rig: Rig, function: str, faults: Sequence[str | None], times: int | None = None) -> None:
    """Put a fault in force on each source of the chain; ``times`` concerns the last one."""
    last = max(number for number, fault in enumerate(faults) if fault)
    for number, (source, fault) in enumerate(zip(CHAINS[function], faults, strict=True)):
        if fault is None:
            continue
        conditions: dict[str, Any] = {"function": function, "times": times if number == last else None}
        kind, _, code = fault.partition("code ")
        conditions["code"] = int(code) if code else None
        conditions["seconds"] = {"rate_limit": WAIT_S, "slow": 4 * HASTY.read}.get(kind)
        await rig.sandbox.fault(source, kind or "server_error", **conditions)


def assert_state(row: Mapping[str, Any], wanted: str | float) -> None:
    if isinstance(wanted, float | int):
        assert wanted - 30 < row["left_s"] <= wanted
        assert row["rest_count"] == 1
        assert row["last_error"].startswith("(429, ")
    elif wanted == UNTOUCHED:
        assert (row["disabled_till"], row["rest_count"], row["last_error"]) == (None, 0, None)
    else:
        assert row["disabled_till"] == UNTIL_REPLACED
        assert row["last_error"].startswith("(401, ")
    assert row["data_access_expired"] is False


async def assert_no_secret(rig: Rig, ended: Ended, lines: list[str]) -> None:
    stored = [row["last_error"] or "" for rows in (await rig.states()).values() for row in rows]
    everything = "\n".join([*lines, *stored, ended.told()])
    assert [secret for secret in rig.secrets if secret in everything] == []
    assert any("source was asked" in line for line in lines)


def assert_end(ended: Ended, end: End, function: str, faults: Sequence[str | None]) -> None:
    """Who answered, or what the row says: the status in front of the text, and each source in the result."""
    assert ended.source == end.source, ended.error
    if end.kind is None:
        return
    error, report = ended.error, ended.report
    assert type(error) is end.kind
    assert report.data.startswith(f"({end.status}, '")
    assert report.rule == (end.retry and end.retry.name)
    asked = list(zip(CHAINS[function], faults, strict=True))[: end.asked]
    seen = [(source, means(function, source, fault)) for source, fault in asked if fault]
    assert ended.per_source == [(source, one.status) for source, one in seen]
    assert error is not None
    assert [type(outcome.error) for outcome in error.outcomes] == [one.kind for _, one in seen]


@pytest.mark.parametrize(("function", "source", "fault"), CELLS, ids=named)
async def test_a_fault_of_one_source_leads_to_the_next_one_and_to_the_right_state_and_text(
    rig: Rig, lines: list[str], function: str, source: str, fault: str
) -> None:
    faults = faulty(function, source, fault)
    await put(rig, function, faults)
    ended = await rig.fetch(function, HASTY if fault in ("slow", "hang") else PATIENT)
    assert_end(ended, walk(function, faults), function, faults)
    wanted = UNTOUCHED if ended.source == source else means(function, source, fault).credential
    states = await rig.states()
    tried = [row for row in states.pop(source) if wanted != UNTOUCHED or row["disabled_till"] is not None]
    assert len(tried) == (0 if wanted == UNTOUCHED else EACH)
    for row in tried:
        assert_state(row, wanted)
    for row in [row for rows in states.values() for row in rows]:
        assert_state(row, UNTOUCHED)
    assert (await rig.sandbox.hits())[source] == max(1, len(tried))
    await assert_no_secret(rig, ended, lines)


@pytest.mark.parametrize(("function", "source", "fault"), ONE_KEY, ids=named)
async def test_when_one_credential_is_hit_another_one_of_the_same_source_answers(
    rig: Rig, lines: list[str], function: str, source: str, fault: str
) -> None:
    faults = faulty(function, source, fault)
    await put(rig, function, faults, times=1)
    ended = await rig.fetch(function)
    assert ended.source == source
    touched, other = sorted((await rig.states())[source], key=lambda row: row["last_error"] is None)
    assert_state(touched, means(function, source, fault).credential)
    assert_state(other, UNTOUCHED)
    await assert_no_secret(rig, ended, lines)


@pytest.mark.parametrize(("function", "faults"), AT_ONCE, ids=named)
async def test_when_every_source_is_spoiled_the_row_says_the_worst_and_all_of_them(
    rig: Rig, lines: list[str], function: str, faults: tuple[str, ...]
) -> None:
    await put(rig, function, faults)
    ended = await rig.fetch(function)
    end = walk(function, faults)
    assert_end(ended, end, function, faults)
    states, hits, rests = await rig.states(), await rig.sandbox.hits(), list[float]()
    for source, fault in list(zip(CHAINS[function], faults, strict=True))[: end.asked]:
        wanted = UNTOUCHED if ended.source == source else means(function, source, fault).credential
        assert hits[source] == (1 if wanted == UNTOUCHED else EACH)
        rests += [wanted] if isinstance(wanted, float | int) else []
        for row in states.pop(source):
            assert_state(row, wanted)
    for row in [row for rows in states.values() for row in rows]:
        assert_state(row, UNTOUCHED)
    if end.retry is Retry.LATER:
        assert ended.error is not None
        down = any(type(outcome.error) is Unavailable for outcome in ended.error.outcomes)
        first = DEFAULT_LATER_S if down else min(rests)
        assert first - 30 < ended.report.delay_s <= first
    await assert_no_secret(rig, ended, lines)


@pytest.mark.parametrize("how", ["truncated", "disabled", "refused"])
@pytest.mark.parametrize("function", FUNCTIONS)
async def test_without_any_usable_credential_the_row_says_that_no_source_is_available(
    rig: Rig, function: str, how: str
) -> None:
    change = {
        "truncated": "update credential set source = source || '-gone'",
        "disabled": "update credential set enabled = false",
        "refused": "update credential set disabled_till = '9999-12-31T00:00:00Z'",
    }
    await rig.run(change[how])
    try:
        ended = await rig.fetch(function)
    finally:
        await rig.run("update credential set source = replace(source, '-gone', '')")
    assert type(ended.error) is NoSourceAvailable
    assert ended.report.data == "No source is available at the moment"
    assert (ended.report.rule, ended.report.result) == ("BACKOFF", None)
    assert (await rig.sandbox.stats())["total"] == 0


@pytest.mark.parametrize("function", FUNCTIONS)
async def test_when_every_credential_rests_the_task_waits_for_the_first_to_come_back(rig: Rig, function: str) -> None:
    await rig.run("update credential set disabled_till = now() + interval '1 hour' + id * interval '1 minute'")
    ids = "select min(id) from credential where source = any(string_to_array('{}', ','))"
    await rig.run(
        "update credential set disabled_till = now() + interval '5 minutes' where id = "
        f"({ids.format(','.join(CHAINS[function]))})"
    )
    ended = await rig.fetch(function)
    assert type(ended.error) is ChainFailed
    assert ended.report.data.startswith("(429, 'all credentials of ")
    assert (ended.report.rule, ended.report.code) == ("LATER", "RATE_LIMITED")
    assert 4 * MINUTE < ended.report.delay_s <= 5 * MINUTE
    assert [status for _, status in ended.per_source] == [429] * len(CHAINS[function])
    assert (await rig.sandbox.stats())["total"] == 0


def test_the_tables_know_every_fault_of_the_sandbox_and_every_source() -> None:
    assert set(RAPIDAPI) == {kind.value for kind in FaultKind if kind not in MEDIA_FAULTS}
    assert {source for chain in CHAINS.values() for source in chain} == set(INSTAGRAM.providers)
    assert set(FUNCTIONS) == set(CHAINS)
