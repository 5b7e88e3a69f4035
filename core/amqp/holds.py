"""What the relay holds back, and until when."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

from loguru import logger

from core.amqp.backoff import pause_s
from core.amqp.outbox import Row, Scope

KEYS_PER_ROUTE = 500  # beyond so many held keys a whole route waits: each key is tried, and named in every query
_QUIET_S = 10.0


class Holds:
    """Scopes that have to wait, each longer with every failure in a row."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._held: dict[Scope, tuple[int, float]] = {}  # failures, until
        self._keys: Counter[Scope] = Counter()  # held keys per route
        self._spoke: dict[Scope, float] = {}

    def add(self, scope: Scope, reason: str) -> None:
        """Hold back once more, unless it is waiting already (several of its messages were in flight)."""
        now = self._clock()
        if len(scope) == 3 and scope not in self._held:
            if self._keys[scope[:2]] >= KEYS_PER_ROUTE:
                scope = scope[:2]
            else:
                self._keys[scope[:2]] += 1
        failures, until = self._held.get(scope, (0, 0.0))
        if until <= now:
            pause = pause_s(failures + 1)
            self._held[scope] = failures + 1, now + pause
            self._report(scope, reason, now)

    def clear(self, row: Row) -> None:
        """The row was confirmed: nothing that it belongs to has to wait any longer."""
        if self._held:
            for scope in (row.key, row.key[:2], row.key[:1]):
                if self._held.pop(scope, None) and len(scope) == 3:
                    self._keys[scope[:2]] -= 1

    def now(self) -> list[Scope]:
        """Scopes that still have to wait."""
        moment = self._clock()
        return [scope for scope, (_, until) in self._held.items() if until > moment]

    def covers(self, row: Row) -> bool:
        """Whether the row has to wait."""
        if not self._held:
            return False
        moment = self._clock()
        return any(self._held.get(scope, (0, 0.0))[1] > moment for scope in (row.key, row.key[:2], row.key[:1]))

    def next_s(self) -> float | None:
        """Seconds until something may be tried again; None when nothing waits."""
        moment = self._clock()
        return min((until - moment for _, until in self._held.values() if until > moment), default=None)

    def _report(self, scope: Scope, reason: str, now: float) -> None:
        """One line per route in ten seconds."""
        route = scope[:2]
        if now - self._spoke.get(route, -_QUIET_S) >= _QUIET_S:
            self._spoke[route] = now
            logger.warning(
                "events were held back: {reason}",
                reason=reason,
                exchange=scope[0],
                routing_key=scope[1] if len(scope) > 1 else "*",
                failures=self._held[scope][0],
                held=len(self._held),
            )
