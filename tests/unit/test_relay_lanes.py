"""The relay's lanes, with a broker that answers when told to: what may be sent when one before it was not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from core.amqp import outbox, relay
from core.amqp.backoff import pause_s
from core.amqp.holds import Holds
from core.amqp.outbox import OutboxLag, Row
from core.amqp.publisher import BrokerAwayError, HeldBackError
from core.amqp.relay import Relay

NO_DATABASE: Any = None


class Broker:
    """In place of a publisher; answers once it may, to each row with its fate."""

    def __init__(self) -> None:
        self.up = True
        self.may_answer = asyncio.Event()
        self.fate: dict[int, Exception] = {}
        self.asked: list[int] = []
        self.sent: list[int] = []

    async def open(self, _: float) -> None:
        if not self.up:
            raise BrokerAwayError("no connection in time")

    async def publish(self, row: Row) -> None:
        self.asked.append(row.id)
        await self.may_answer.wait()
        if (verdict := self.fate.pop(row.id, None)) is not None:
            self.up = not isinstance(verdict, BrokerAwayError)
            raise verdict
        self.sent.append(row.id)


class Clock:
    """Time that passes when told to."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def broker() -> Broker:
    return Broker()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def lanes(broker: Broker, clock: Clock) -> Relay:
    settings = SimpleNamespace(broker=SimpleNamespace(relay_batch=100, relay_poll_s=0.01, relay_in_flight=4))
    made = Relay(cast("Any", settings), cast("Any", broker), asyncio.Event(), asyncio.Event())
    made._holds = Holds(clock)
    return made


@pytest.fixture
def stored(monkeypatch: pytest.MonkeyPatch) -> Stored:
    """The outbox."""
    made = Stored()
    monkeypatch.setattr(outbox, "unsent", made.unsent)
    monkeypatch.setattr(outbox, "forget", made.forget)
    return made


class Stored:
    """Rows that wait; ``meanwhile`` is done while they are read or deleted the next time."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.meanwhile: Callable[[], None] | None = None

    async def unsent(self, _: Any, *, besides: set[int], held: list[tuple[str, ...]], limit: int) -> list[Row]:
        found = [row for row in self.rows if row.id not in besides and row.key not in held][:limit]
        if self.meanwhile is not None:
            self.meanwhile()
            self.meanwhile = None
        await settled()
        return found

    async def forget(self, _: Any, ids: list[int]) -> None:
        if self.meanwhile is not None and ids:
            self.meanwhile()
            self.meanwhile = None
            await settled()
        self.rows = [row for row in self.rows if row.id not in ids]


def row(number: int, key: str) -> Row:
    return Row(number, "beat.dx", "posts", key, "{}", None, datetime.now(UTC))


async def settled() -> None:
    """All that could go on has."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_row_that_was_read_while_the_one_before_it_failed_waits_for_it(
    lanes: Relay, broker: Broker, clock: Clock, stored: Stored
) -> None:
    """Also when the reading took longer than the failure is waited for."""
    stored.rows = [row(1, "a")]
    await lanes._step(NO_DATABASE)
    stored.rows = [row(1, "a"), row(2, "a"), row(3, "b")]
    broker.fate[1] = HeldBackError(row(1, "a").key, "refused")

    def fail_and_wait() -> None:
        broker.may_answer.set()
        asyncio.get_running_loop().call_soon(asyncio.get_running_loop().call_soon, later)

    def later() -> None:
        clock.now += 60

    stored.meanwhile = fail_and_wait
    await lanes._step(NO_DATABASE)
    await settled()
    assert broker.sent == [3]
    await lanes._step(NO_DATABASE)
    await settled()
    assert broker.sent == [3, 1, 2]


@pytest.mark.parametrize("verdict", [HeldBackError(("beat.dx", "posts", "a"), "refused"), BrokerAwayError("gone")])
async def test_what_follows_one_that_failed_is_given_back_and_read_again_with_it(
    lanes: Relay, broker: Broker, clock: Clock, stored: Stored, verdict: Exception
) -> None:
    stored.rows = [row(1, "a"), row(2, "a"), row(3, "a")]
    broker.fate[2] = verdict
    broker.may_answer.set()
    await lanes._step(NO_DATABASE)
    await settled()
    assert (broker.sent, broker.asked) == ([1], [1, 2])
    assert lanes._in_hand == {1}, "sent, and not yet deleted"
    broker.up = True
    clock.now += 60
    await lanes._step(NO_DATABASE)
    await settled()
    await lanes._step(NO_DATABASE)
    assert (broker.sent, stored.rows, lanes._in_hand) == ([1, 2, 3], [], set())
    lanes._holds.add(row(4, "a").key, "refused")
    assert (lanes._holds.next_s() or 60) <= 0.6, "what was confirmed counts as a first failure again"


async def test_what_is_confirmed_while_others_are_deleted_is_deleted_after_them(
    lanes: Relay, broker: Broker, stored: Stored
) -> None:
    stored.rows = [row(1, "a")]
    broker.may_answer.set()
    await lanes._step(NO_DATABASE)
    await settled()
    broker.may_answer.clear()
    lanes._start([row(2, "b")])
    stored.rows.append(row(2, "b"))
    stored.meanwhile = broker.may_answer.set
    await lanes._flush(NO_DATABASE)
    assert (broker.sent, [one.id for one in stored.rows], lanes._in_hand) == ([1, 2], [2], {2})
    await lanes._flush(NO_DATABASE)
    assert (stored.rows, lanes._in_hand) == ([], set())


async def test_what_could_not_be_deleted_is_not_sent_again_and_deleted_later(
    lanes: Relay, broker: Broker, stored: Stored
) -> None:
    def lose() -> None:
        raise ConnectionError("the database is gone")

    stored.rows = [row(1, "a")]
    broker.may_answer.set()
    await lanes._step(NO_DATABASE)
    await settled()
    stored.meanwhile = lose
    with pytest.raises(ConnectionError):
        await lanes._step(NO_DATABASE)
    stored.meanwhile = None
    await lanes._step(NO_DATABASE)
    await settled()
    assert (broker.sent, stored.rows, lanes._in_hand) == ([1], [], set())


async def test_while_the_broker_is_away_what_it_had_confirmed_is_deleted_and_failures_are_counted(
    lanes: Relay, broker: Broker, stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []

    async def pause(*_: asyncio.Event, timeout_s: float) -> None:
        pauses.append(timeout_s)

    stored.rows = [row(1, "a"), row(2, "a")]
    broker.fate[2] = BrokerAwayError("gone")
    broker.may_answer.set()
    await lanes._step(NO_DATABASE)
    await settled()
    monkeypatch.setattr(relay, "wait_any", pause)
    assert await lanes._reopen(NO_DATABASE, 3) == 4
    assert [one.id for one in stored.rows] == [2]
    assert (len(pauses), pauses[0] <= pause_s(4) * 1.2) == (1, True)
    broker.up = True
    assert await lanes._reopen(NO_DATABASE, 4) == 0
    assert len(pauses) == 1


async def test_the_lag_is_asked_for_now_and_then(lanes: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    async def lag(fetch: Any) -> OutboxLag:
        asked.append(fetch)
        return OutboxLag(0, 0.0, {})

    monkeypatch.setattr(outbox, "outbox_lag", lag)
    monkeypatch.setattr(relay, "LAG_EVERY_S", 3600.0)
    for _ in range(3):
        await lanes._watch_lag(cast("Any", SimpleNamespace(fetch="a connection's")))
    assert asked == ["a connection's"]


async def test_no_more_is_in_hand_than_the_window_holds(lanes: Relay, broker: Broker, stored: Stored) -> None:
    stored.rows = [row(number, "a") for number in range(250)]
    for _ in range(3):
        await lanes._step(NO_DATABASE)
    assert len(lanes._in_hand) == 100
    broker.may_answer.set()
    while stored.rows:
        await lanes._step(NO_DATABASE)
        assert len(lanes._in_hand) <= 100
    assert broker.sent == list(range(250))


async def test_a_route_that_nobody_wants_stops_its_other_keys_too(lanes: Relay, broker: Broker, stored: Stored) -> None:
    stored.rows = [row(1, "a"), row(2, "b"), row(3, "c"), row(4, "d"), row(5, "e"), row(6, "a")]
    broker.fate[1] = HeldBackError(("beat.dx", "posts"), "no queue is bound")
    await lanes._step(NO_DATABASE)
    broker.may_answer.set()
    await settled()
    assert broker.asked == [1, 2, 3, 4], "those that were in flight, and no further ones"


async def test_what_is_unanswered_at_the_end_is_given_back(
    lanes: Relay, broker: Broker, stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "STOP_S", 0.01)
    stored.rows = [row(number, f"k{number % 7}") for number in range(20)]
    await lanes._step(NO_DATABASE)
    await lanes._halt()
    assert (lanes._in_hand, lanes._lanes, lanes._senders) == (set(), {}, set())
    assert broker.sent == []


async def test_what_is_answered_in_time_at_the_end_counts_and_nothing_more_is_sent(
    lanes: Relay, broker: Broker, stored: Stored
) -> None:
    stored.rows = [row(1, "a"), row(2, "a"), row(3, "b"), *(row(number, f"k{number}") for number in range(4, 20))]
    await lanes._step(NO_DATABASE)
    end = asyncio.create_task(lanes._halt())
    await settled()
    broker.may_answer.set()
    await end
    assert sorted(broker.asked) == sorted(broker.sent) == [1, 3, 4, 5]
    await lanes._flush(NO_DATABASE)
    assert [one.id for one in stored.rows] == [2, *range(6, 20)]
