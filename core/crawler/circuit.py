"""Leaving a broken source alone for a while instead of letting every task find out by itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self


class CircuitOpen(Exception):
    """The source failed too often in a row; ``retry_after_s`` until a call may be tried."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__(retry_after_s)
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class CircuitRule:
    """Opens after ``threshold`` failures in a row for ``pause_s``, which doubles with each failed trial."""

    threshold: int = 5
    pause_s: float = 30.0
    max_pause_s: float = 300.0


class Circuit:
    """One source as one process sees it: closed, open, or half-open with a single trial under way.

    Any answer closes it. Failures of calls that began before it opened do not count again.
    """

    def __init__(self, rule: CircuitRule | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._rule = rule or CircuitRule()
        self._clock = clock
        self._failures = 0
        self._pause_s = self._rule.pause_s
        self._opens_at: float | None = None
        self._trial: Turn | None = None

    @property
    def is_open(self) -> bool:
        """Whether calls are refused, but for a trial."""
        return self._opens_at is not None

    def enter(self) -> Turn:
        """A turn at calling the source; leave it by ``with``.

        Raises:
            CircuitOpen: not now.
        """
        turn = Turn(self)
        if self._opens_at is not None:
            left = self._opens_at - self._clock()
            if left > 0:
                raise CircuitOpen(left)
            if self._trial is not None:
                raise CircuitOpen(self._pause_s)
            self._trial = turn
        return turn

    def _answered(self) -> None:
        self._failures = 0
        self._pause_s = self._rule.pause_s
        self._opens_at = None

    def _failed(self, turn: Turn) -> None:
        if self._opens_at is not None and self._trial is not turn:
            return
        self._failures += 1
        if self._trial is turn:
            self._pause_s = min(self._pause_s * 2, self._rule.max_pause_s)
        elif self._failures < self._rule.threshold:
            return
        self._opens_at = self._clock() + self._pause_s

    def _left(self, turn: Turn) -> None:
        if self._trial is turn:
            self._trial = None


class Turn:
    """One caller's passage through a circuit. Leaving without a word (cancelled, nothing sent) counts as nothing."""

    def __init__(self, circuit: Circuit) -> None:
        self._circuit = circuit

    def answered(self) -> None:
        """The source answered, whatever it said."""
        self._circuit._answered()

    def failed(self) -> None:
        """The source did not answer, or only to say that it cannot."""
        self._circuit._failed(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._circuit._left(self)
