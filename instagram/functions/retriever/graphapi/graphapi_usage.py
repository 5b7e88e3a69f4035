"""What Graph says beside an answer about how much of its limits is used up."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

BUSINESS_USAGE = "x-business-use-case-usage"
"""``{"<business id>": [{"type", ..., "estimated_time_to_regain_access": <minutes>}]}``."""
_SHORTEST_S, _LONGEST_S = 600.0, 86400.0


def regain_s(headers: Mapping[str, str]) -> float | None:
    """Seconds until the last of the used up limits opens again, a day at most.

    None when nothing is said of it, or so few minutes that a usual rest is longer: the number is an estimate.
    """
    try:
        usage = json.loads(headers.get(BUSINESS_USAGE, "{}"))
    except (ValueError, RecursionError):
        return None
    longest = max(_minutes(usage), default=0.0) * 60.0
    return min(longest, _LONGEST_S) if longest > _SHORTEST_S else None


def _minutes(usage: Any) -> Iterator[float]:
    for limits in usage.values() if isinstance(usage, dict) else ():
        for one in limits if isinstance(limits, list) else ():
            minutes = one.get("estimated_time_to_regain_access") if isinstance(one, dict) else None
            if isinstance(minutes, int | float) and not isinstance(minutes, bool) and 0 < minutes < math.inf:
                yield float(min(minutes, _LONGEST_S))
