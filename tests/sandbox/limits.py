"""Request limits as the providers enforce them: at most ``count`` answered requests in any ``per_s`` seconds."""

from __future__ import annotations

from collections import deque

from tests.sandbox.hosts.base import HostLimit

SLACK_S = 0.2
"""Forgiven: a client that paces itself exactly may arrive a little bunched."""


class Window:
    """Sliding log of one limit; a refused request does not count."""

    def __init__(self, limit: HostLimit, factor: float) -> None:
        self.allowed = max(1, round(limit.count * factor))
        self._per_s = limit.per_s
        self._period_s = limit.per_s - min(SLACK_S, limit.per_s / 2)
        self._times: deque[float] = deque()

    def take(self, now: float) -> float:
        """0.0 when the request may pass, else the seconds until one may."""
        times = self._times
        while times and now - times[0] >= self._period_s:
            times.popleft()
        if len(times) < self.allowed:
            times.append(now)
            return 0.0
        return self._per_s - (now - times[0])

    @property
    def used(self) -> int:
        """Requests in the window after the last take."""
        return len(self._times)


class Limits:
    """The windows of all sources and credentials."""

    def __init__(self, factor: float) -> None:
        self.factor = factor
        self._windows: dict[tuple[str, str], Window] = {}

    def window(self, source: str, limit: HostLimit, credential: str) -> Window:
        """The window that this request counts in."""
        key = (source, credential if limit.by_credential else "")
        found = self._windows.get(key)
        if found is None:
            found = self._windows[key] = Window(limit, self.factor)
        return found

    def clear(self) -> None:
        """Forget all requests."""
        self._windows.clear()
