"""Whether a number of followers can be believed, given the one before it and what others say. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

LEAST = 1000
"""Smaller accounts may jump as they like."""

ACCEPTED, REJECTED, SUPERSEDED = "accepted", "rejected", "superseded"


@dataclass(frozen=True, slots=True)
class Opinion:
    """How many followers a source says that an account has."""

    source: str
    followers: int

    def __str__(self) -> str:
        return f"{self.source} says {self.followers}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of the opinions: the one that is believed, if any, those that were doubted, and how it was decided.

    ``resolution`` is None while it is not.
    """

    believed: Opinion | None
    doubted: tuple[Opinion, ...] = ()
    resolution: str | None = None


def is_jump(old: int | None, new: int) -> bool:
    """Whether followers fell by 90 % or more, or rose to 20 times as many or more, between two refreshes."""
    if old is None or max(old, new) < LEAST:
        return False
    return new * 10 <= old or new >= old * 20


def jump_text(old: int | None, new: int) -> str:
    """The reason in the quarantine."""
    return f"followers {'fell' if new < (old or 0) else 'rose'} from {old} to {new} between two refreshes"


def agree(one: Opinion, other: Opinion) -> bool:
    """Whether two sources are within 5 % of each other; one source cannot agree with itself."""
    apart = abs(one.followers - other.followers)
    return one.source != other.source and apart * 20 <= max(one.followers, other.followers)


def judge(old: int | None, first: Opinion, others: Iterable[Opinion], waiting: Sequence[Opinion]) -> Verdict:
    """Whom to believe: ``others`` were asked after ``first``, ``waiting`` were doubted earlier and are undecided.

    A jump is accepted when two sources agree on it, and rejected when another source sees none: that one is believed.
    """
    if not is_jump(old, first.followers):
        return Verdict(first, (), f"{SUPERSEDED}: {first}")
    doubted = [first]
    for other in others:
        if witness := next((one for one in doubted if agree(one, other)), None):
            return Verdict(witness, tuple(doubted), f"{ACCEPTED}: {other}")
        if not is_jump(old, other.followers):
            return Verdict(other, tuple(doubted), f"{REJECTED}: {other}")
        doubted.append(other)
    for one in doubted:
        if witness := next((earlier for earlier in waiting if agree(one, earlier)), None):
            return Verdict(one, tuple(doubted), f"{ACCEPTED}: {witness} before")
    return Verdict(None, tuple(doubted))
