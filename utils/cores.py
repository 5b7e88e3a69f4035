"""How much of the machine this process may use."""

from __future__ import annotations

import math
import os
from pathlib import Path

QUOTA = Path("/sys/fs/cgroup/cpu.max")


def usable_cores(quota: Path = QUOTA) -> int:
    """Cores that the scheduler and the container's quota leave to this process; at least 1."""
    cores = len(os.sched_getaffinity(0))
    try:
        most, period = quota.read_text(encoding="ascii").split()
        cores = min(cores, math.ceil(int(most) / int(period)))
    except (OSError, ValueError):  # no such file, or "max": no quota
        pass
    return max(1, cores)
