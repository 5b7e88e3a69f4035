"""The end of a program that has already closed everything it opened."""

from __future__ import annotations

import os
import sys
from typing import NoReturn


def leave(code: int) -> NoReturn:
    """End the process now: to take the interpreter of a large program apart takes longer than a pool may."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
