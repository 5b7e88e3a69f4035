"""Something that is worth doing soon after it was asked for, but not for every time it is asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Paced:
    """Calls ``action`` once for all that ask within ``every_s``: the first after ``delay_s``, so that what comes with
    it is served too. Nobody who asks is forgotten: the call comes after the asking, always."""

    def __init__(self, action: Callable[[], object], *, every_s: float, delay_s: float = 0.0) -> None:
        self._action = action
        self._every_s = every_s
        self._delay_s = delay_s
        self._at = float("-inf")
        self._due = False

    def ask(self) -> None:
        """Have the action done soon; from within the running loop."""
        if self._due:
            return
        self._due = True
        loop = asyncio.get_running_loop()
        self._at = max(loop.time() + self._delay_s, self._at + self._every_s)
        loop.call_at(self._at, self._act)

    def _act(self) -> None:
        self._due = False
        self._action()
