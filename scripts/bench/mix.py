"""Which files a bench of media copies: nine in ten are JPEGs of 50 KB."""

from __future__ import annotations

from scripts.bench.cdn import BROKEN, ODD, SLOW, USUAL

EXPIRED = "expired"


def clean_kind(number: int) -> str:
    """One in ten is odd, in turns."""
    return ODD[number // 10 % len(ODD)] if number % 10 == 9 else USUAL


def faulty_kind(number: int) -> str:
    """A fifth has expired, a twentieth never comes, a twentieth takes two seconds; the rest is as in ``clean_kind``."""
    place = number % 20
    if place < 4:
        return EXPIRED
    return {4: BROKEN, 5: SLOW}.get(place) or clean_kind(number)


def is_good(number: int) -> bool:
    """Whether ``faulty_kind`` gives a file that comes, and comes at once."""
    return faulty_kind(number) not in (EXPIRED, BROKEN, SLOW)
