"""How programs are told to end, and the end of one that has already closed everything it opened."""

from __future__ import annotations

import os
import signal
import sys
from typing import NoReturn


def end_quietly() -> None:
    """Let a signal to stop end the program with exit code 0, as long as it has nothing to drain."""
    for sign in stop_signals():
        signal.signal(sign, _end)


def stop_signals() -> list[signal.Signals]:
    """What asks a program to stop; the loss of its terminal, too, unless nohup has said otherwise."""
    ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return [signal.SIGTERM, signal.SIGINT, *(() if ignored else (signal.SIGHUP,))]


def _end(*_: object) -> None:
    raise SystemExit(0)


def leave(code: int) -> NoReturn:
    """End the process now: to take the interpreter of a large program apart takes longer than a pool may."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
