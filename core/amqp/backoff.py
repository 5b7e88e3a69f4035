"""Pauses between attempts at something that does not depend on us."""

from __future__ import annotations

import random

FIRST_S, LONGEST_S = 0.5, 10.0


def pause_s(failures: int) -> float:
    """Seconds to wait after so many failures in a row: 0.5 doubling to 10, and up to a fifth more by chance."""
    return min(LONGEST_S, FIRST_S * 2.0 ** min(max(failures - 1, 0), 10)) * random.uniform(1.0, 1.2)
