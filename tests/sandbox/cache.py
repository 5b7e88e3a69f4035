"""Rendered answers, the least recently used dropped first, bounded by bytes."""

from __future__ import annotations

from collections import OrderedDict

from tests.sandbox.hosts.base import Answer, Call, Host


class AnswerCache:
    """(host, call) -> answer."""

    def __init__(self, max_bytes: int = 192 << 20) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._answers: OrderedDict[tuple[str, Call], Answer] = OrderedDict()

    def get(self, host: Host, call: Call) -> Answer:
        """The answer, rendered at most once while it stays."""
        key = (host.host, call)
        found = self._answers.get(key)
        if found is not None:
            self._answers.move_to_end(key)
            return found
        found = self._answers[key] = host.render(call)
        self._bytes += len(found.body)
        while self._bytes > self._max_bytes and len(self._answers) > 1:
            _, dropped = self._answers.popitem(last=False)
            self._bytes -= len(dropped.body)
        return found
