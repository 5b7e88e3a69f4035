"""A process's own share of shared limits, kept in memory for the time when Redis is away."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

_TIDY_EVERY = 1024


@dataclass(frozen=True, slots=True)
class Window:
    """One level as it is counted: its counter's key, and ``count`` in ``per_s`` seconds."""

    key: str
    count: int
    per_s: float
    calendar: bool = False
    sliding: bool = False


@dataclass(slots=True)
class _Log:
    """The newest admissions of one level, at most its share, and how long they matter."""

    per_s: float
    times: deque[float]


class LocalLimits:
    """Sliding windows: in any ``per_s`` seconds a process admits at most its share, so the sum keeps the limit.

    A share below one per window becomes one per longer window: 10 per second over 150 processes is 1 in 15 s.
    Admissions through Redis are noted too, so that a process that has just used its share does not get it again.
    """

    def __init__(self, processes: int) -> None:
        if processes < 1:
            raise ValueError("expected_processes is at least 1")
        self._processes = processes
        self._logs: dict[str, _Log] = {}
        self._tidy_at = _TIDY_EVERY

    def admit(self, windows: Sequence[Window], now: float) -> tuple[int, float] | None:
        """None when admitted and counted, else the level that opens last and the seconds until then."""
        waits = [(self._wait_s(window, now), index) for index, window in enumerate(windows)]
        wait_s, index = max(waits)
        if wait_s > 0:
            return index, wait_s
        self.note(windows, now)
        return None

    def note(self, windows: Sequence[Window], now: float) -> None:
        """Count one admission in every level."""
        for window in windows:
            log = self._logs.get(window.key)
            if log is None:
                share, per_s = self._share(window)
                log = self._logs[window.key] = _Log(per_s, deque(maxlen=share))
            log.times.append(now)
        if len(self._logs) > self._tidy_at:
            self._tidy(now)

    def _share(self, window: Window) -> tuple[int, float]:
        share = window.count // self._processes
        if share >= 1:
            return share, window.per_s
        return 1, window.per_s * self._processes / max(1, window.count)

    def _wait_s(self, window: Window, now: float) -> float:
        if window.count < 1:
            return window.per_s
        log = self._logs.get(window.key)
        if log is None or len(log.times) < (log.times.maxlen or 1):
            return 0.0
        return log.times[0] + log.per_s - now

    def _tidy(self, now: float) -> None:
        """Forget levels whose admissions are all too old to matter (a level per handle would grow for ever)."""
        self._logs = {key: log for key, log in self._logs.items() if log.times[-1] + log.per_s > now}
        self._tidy_at = max(_TIDY_EVERY, 2 * len(self._logs))
