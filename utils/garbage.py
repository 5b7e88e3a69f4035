"""When the collector looks for garbage: in a program that has loaded all it needs, seldom."""

from __future__ import annotations

import gc

COLLECT = (10_000, 20, 50)
"""Garbage is looked for every so many new objects rather than every 700: a process with a hundred tasks or requests
under way has more than that alive at any time, and finds little."""


def settle() -> None:
    """What is there now lives as long as the process, and is never looked through again."""
    gc.freeze()
    gc.set_threshold(*COLLECT)
