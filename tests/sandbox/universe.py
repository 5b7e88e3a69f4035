"""The made-up universe: pure functions of (seed, now, size). Every host answers from here, so all sources agree.

Blocks of 25 creators hold every kind and every trait, shuffled by the seed: a handle's text tells nothing.
"""

from __future__ import annotations

import hashlib
import random
import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from tests.sandbox import ids, people

DEFAULT_NOW = 1_735_689_600  # 2025-01-01T00:00:00Z
_HANDLE = re.compile(r"sandbox\.creator\.(\d{4,6})(\.studio)?")
_BLOCK = 25


class Kind(StrEnum):
    """What an account is, and with it who can see it."""

    BUSINESS = "business"
    CREATOR = "creator"
    PERSONAL = "personal"  # Graph does not know it, the others do
    PRIVATE = "private"  # profile visible, posts refused
    CLOSED = "closed"  # private, and the profile itself is refused too
    MISSING = "missing"  # known nowhere, by handle or id
    RENAMED = "renamed"  # the asked handle is dead; the id answers with the new handle


class Trait(StrEnum):
    """What is odd about an account, beside its kind."""

    PLAIN = "plain"
    NO_POSTS = "no_posts"
    HIDDEN_LIKES = "hidden_likes"
    HUGE = "huge"
    EMPTY_BIO = "empty_bio"
    EMPTY_CURSOR = "empty_cursor"  # the last page claims another one, with an empty cursor
    MANY_RECENT = "many_recent"  # more than 50 posts within 30 days
    MANY_REELS = "many_reels"  # more than 10 reels within 30 days
    EMPTY_PAGES = "empty_pages"  # after the last page come empty ones without end, each with a new cursor
    SAME_CURSOR = "same_cursor"  # the last page gives the cursor that it was asked with, again and again
    FOLLOWER_JUMP = "follower_jump"  # one source says 25 times as many followers as all others


_KINDS = [Kind.BUSINESS] * 9 + [Kind.CREATOR] * 7 + [Kind.PERSONAL] * 4
_KINDS += [Kind.PRIVATE] * 2 + [Kind.CLOSED, Kind.MISSING, Kind.RENAMED]
_TRAITS = [Trait.PLAIN] * 7 + [Trait.EMPTY_PAGES, Trait.SAME_CURSOR, Trait.FOLLOWER_JUMP]
_TRAITS += [Trait.NO_POSTS] * 2 + [Trait.HIDDEN_LIKES] * 3 + [Trait.HUGE, Trait.EMPTY_BIO]
_TRAITS += [Trait.EMPTY_CURSOR] * 3 + [Trait.MANY_RECENT] * 3 + [Trait.MANY_REELS] * 2

JUMPING_SOURCE = "rapidapi-jotucker"
JUMP = 25

OPEN_KINDS = frozenset({Kind.BUSINESS, Kind.CREATOR, Kind.PERSONAL, Kind.RENAMED})
GRAPH_KINDS = frozenset({Kind.BUSINESS, Kind.CREATOR, Kind.RENAMED})


@dataclass(frozen=True, slots=True)
class Creator:
    """One account. ``asked_handle`` is what callers hold, ``handle`` what sources answer today."""

    index: int
    kind: Kind
    trait: Trait
    pk: int
    asked_handle: str
    handle: str
    full_name: str
    biography: str
    followers: int
    following: int
    is_verified: bool
    category: str
    external_url: str | None

    @property
    def fbid(self) -> int:
        """Graph's id of the account."""
        return ids.fbid_of_pk(self.pk)

    @property
    def is_private(self) -> bool:
        """True for both private kinds."""
        return self.kind in {Kind.PRIVATE, Kind.CLOSED}

    @property
    def account_type(self) -> int:
        """1 personal, 2 business, 3 creator."""
        if self.kind in {Kind.PERSONAL, Kind.PRIVATE, Kind.CLOSED}:
            return 1
        return 3 if self.kind is Kind.CREATOR else 2


def followers_at(who: Creator, source: str) -> int:
    """How many followers a source says that an account has."""
    jumps = who.trait is Trait.FOLLOWER_JUMP and source == JUMPING_SOURCE
    return who.followers * JUMP if jumps else who.followers


@dataclass(frozen=True)
class Universe:
    """Parameters of the world. ``now`` is epoch seconds; nothing here reads a clock."""

    seed: int = 1
    now: int = DEFAULT_NOW
    size: int = 1000

    def __post_init__(self) -> None:
        if not 1 <= self.size <= ids.MAX_CREATORS:
            raise ValueError(f"creators must be 1 to {ids.MAX_CREATORS}, not {self.size}")

    def number(self, *parts: object) -> int:
        """A fixed pseudo-random 62-bit number for these parts."""
        text = "/".join(map(str, (self.seed, *parts)))
        return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) >> 2

    def creator(self, index: int) -> Creator:
        """The creator of this index, 0 <= index < size (missing ones too)."""
        if not 0 <= index < self.size:
            raise IndexError(index)
        return _creator(self, index)

    def by_handle(self, handle: str) -> Creator | None:
        """Who answers to this handle today, case-insensitively; None for missing and for names given up."""
        index = self.index_of_handle(handle)
        found = None if index is None else self.creator(index)
        return found if found and found.kind is not Kind.MISSING and found.handle == handle.lower() else None

    def index_of_handle(self, handle: str) -> int | None:
        """Index behind a current or former handle, also of missing ones; None for a name of no creator."""
        match = _HANDLE.fullmatch(handle.lower())
        index = int(match[1]) if match else self.size
        if match is None or index >= self.size or match[1] != f"{index:04d}":
            return None
        return index

    def by_pk(self, pk: int | str) -> Creator | None:
        """Lookup by profile id, as number or digits."""
        value = as_number(pk)
        index = ids.index_of_pk(value)
        found = self.creator(index) if 0 <= index < self.size else None
        return found if found and found.pk == value and found.kind is not Kind.MISSING else None

    def by_fbid(self, fbid: int | str) -> Creator | None:
        """Lookup by Graph's account id."""
        return self.by_pk(ids.pk_of_fbid(as_number(fbid)))

    def others(self, index: int, count: int, *salt: object) -> list[Creator]:
        """Up to ``count`` distinct open accounts other than this one, always the same for the same salt."""
        found: list[Creator] = []
        start = self.number(index, "others", *salt)
        for step in range(self.size):
            other = self.creator((start + step) % self.size)
            if len(found) == count:
                break
            if other.index != index and other.kind in OPEN_KINDS:
                found.append(other)
        return found


def as_number(text: int | str) -> int:
    """The number that ASCII digits mean, else -1, which is nobody's id."""
    if isinstance(text, int):
        return text
    return int(text) if text.isascii() and text.isdigit() and len(text) < 25 else -1


def kind_of(universe: Universe, index: int) -> Kind:
    """Kind of the creator at this index."""
    return _block(universe, index // _BLOCK)[index % _BLOCK][0]


@lru_cache(maxsize=4096)
def _block(universe: Universe, block: int) -> list[tuple[Kind, Trait]]:
    dice = random.Random(universe.number("block", block))
    return list(zip(dice.sample(_KINDS, _BLOCK), dice.sample(_TRAITS, _BLOCK), strict=True))


@lru_cache(maxsize=65536)
def _creator(universe: Universe, index: int) -> Creator:
    kind, trait = _block(universe, index // _BLOCK)[index % _BLOCK]
    dice = random.Random(universe.number("creator", index))
    asked = f"sandbox.creator.{index:04d}"
    followers = int(10 ** dice.uniform(2, 6.5))
    return Creator(
        index=index,
        kind=kind,
        trait=trait,
        pk=ids.creator_pk(index, dice.randrange(ids.PK_STEP)),
        asked_handle=asked,
        handle=f"{asked}.studio" if kind is Kind.RENAMED else asked,
        full_name=dice.choice(people.NAMES),
        biography="" if trait is Trait.EMPTY_BIO else dice.choice(people.BIOS),
        followers=followers + 350_000_000 if trait is Trait.HUGE else followers,  # plays stay below 2 * 10**9
        following=dice.randrange(0, 7500),
        is_verified=dice.random() < 0.2,
        category=dice.choice(people.CATEGORIES),
        external_url=f"https://shop{index}.sandbox.example/links" if dice.random() < 0.5 else None,
    )
