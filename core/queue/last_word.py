"""What a worker last said of its claims: that there was more than it could take, or that it could take more."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

FULL_AGAIN_S = 0.05
"""How often a process that finds more work than it can take says so, for another one to be woken."""


class LastWord:
    """Says only what is new. ``tell`` sends words to the supervisor, and gives False when they could not be sent."""

    def __init__(self, tell: Callable[..., bool]) -> None:
        self._tell = tell
        self._said: str | None = None
        self._said_at = 0.0
        self._unheard = False

    def forget(self) -> None:
        """The supervisor has said something, and waits for the next word."""
        self._said, self._unheard = None, False

    def say(self, full: Sequence[str]) -> None:
        """``full``: flows that there is more work of."""
        word, now = "full" if full else "idle", time.monotonic()
        if word != self._said or (full and now - self._said_at > FULL_AGAIN_S):
            heard = self._tell(word, *full)
            self._said, self._said_at = word if heard else None, now
            self._unheard = not heard and not full

    def repeat(self) -> None:
        """The supervisor reads again: without the word that it missed it would never wake this process."""
        if self._unheard:
            self.say(())
