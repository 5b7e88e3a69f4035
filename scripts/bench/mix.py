"""Which files a bench of media copies: nine in ten are JPEGs of 50 KB."""

from __future__ import annotations

from scripts.bench.cdn import BROKEN, ODD, SLOW, USUAL

EXPIRED = "expired"
_BAD = (EXPIRED, EXPIRED, EXPIRED, EXPIRED, BROKEN, SLOW)
TURN = 20
"""Numbers after which the bad ones come again."""


def clean_kind(number: int) -> str:
    """One in ten is odd, in turns."""
    return ODD[number // 10 % len(ODD)] if number % 10 == 9 else USUAL


def faulty_kind(number: int) -> str:
    """A fifth has expired, a twentieth never comes, a twentieth takes two seconds; of the others, counted by
    themselves, one in ten is odd as in ``clean_kind``: a picture of 1.5 MB costs ten usual ones."""
    turn, place = divmod(number, TURN)
    if place < len(_BAD):
        return _BAD[place]
    return clean_kind(turn * (TURN - len(_BAD)) + place - len(_BAD))


def is_good(number: int) -> bool:
    """Whether ``faulty_kind`` gives a file that comes, and comes at once."""
    return faulty_kind(number) not in (EXPIRED, BROKEN, SLOW)
