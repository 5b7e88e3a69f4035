"""Posts and stories of the universe, newest first, and the ways to find one."""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from tests.sandbox import ids, people
from tests.sandbox.universe import Creator, Kind, Trait, Universe, as_number

DAY = 86_400
FIRST_HIGHLIGHT = 18_000_000_000_000_000
_GAP = (28.0, 31.5)  # no post is this many days old: a run hours after ``now`` sees the same 30-day border


class Media(StrEnum):
    """Kinds of media as Instagram tells them apart."""

    IMAGE = "image"
    CAROUSEL = "carousel"
    REEL = "reel"
    VIDEO = "video"  # feed video: views, no plays


@dataclass(frozen=True, slots=True)
class Post:
    """One post or story. Counts are the truth; what a source shows of them is the source's business."""

    pk: int
    index: int  # in whose timeline it stands
    slot: int
    owner: int  # whose it is: another creator's for some collaborations
    media: Media
    taken_at: int
    caption: str | None
    likes: int
    likes_hidden: bool
    comments: int
    plays: int | None
    views: int | None
    duration: float | None
    children: tuple[Media, ...]
    tagged: tuple[int, ...]
    coauthors: tuple[int, ...]
    place: str | None

    @property
    def shortcode(self) -> str:
        """The pk in base 64."""
        return ids.shortcode_of(self.pk)

    @property
    def graph_id(self) -> int:
        """Graph's media id."""
        return ids.graph_media_id(self.index, self.slot)

    @property
    def is_video(self) -> bool:
        """Reels and feed videos."""
        return self.media in {Media.REEL, Media.VIDEO}


def posts_of(universe: Universe, creator: Creator) -> tuple[Post, ...]:
    """0 to 60 posts, newest first; private accounts have them too, but no source shows them."""
    return _posts(universe, creator.index)


def reels_of(universe: Universe, creator: Creator) -> tuple[Post, ...]:
    """Only the reels, newest first."""
    return tuple(post for post in posts_of(universe, creator) if post.media is Media.REEL)


def stories_of(universe: Universe, creator: Creator) -> tuple[Post, ...]:
    """0 to 4 stories of the last 20 hours, oldest first."""
    dice = random.Random(universe.number("stories", creator.index))
    count = dice.choice((0, 0, 1, 2, 3, 4))
    ages = sorted((dice.uniform(0.1, 20) / 24 for _ in range(count)), reverse=True)
    return tuple(_post(universe, creator, dice, ids.FIRST_STORY + n, age) for n, age in enumerate(ages))


def highlights_of(universe: Universe, creator: Creator) -> dict[str, tuple[Post, ...]]:
    """Highlight id -> the stories kept in it: two highlights, the first of which is empty for some."""
    dice = random.Random(universe.number("highlights", creator.index))
    found: dict[str, tuple[Post, ...]] = {}
    for number, most in enumerate((dice.choice((0, 1)), 3)):
        slots = range(ids.FIRST_STORY + number, ids.FIRST_STORY + number + most)
        kept = (_post(universe, creator, dice, slot, 30 + dice.uniform(0, 90)) for slot in slots)
        found[f"highlight:{FIRST_HIGHLIGHT + creator.index * 2 + number}"] = tuple(kept)
    return found


def by_media_pk(universe: Universe, pk: int | str | None) -> Post | None:
    """The post with this pk if it is public; None for stories, children, private accounts and unknown numbers."""
    value = as_number(pk if pk is not None else "")
    index, slot = ids.owner_of_media(max(value, 0))
    if index >= universe.size:
        return None
    creator = universe.creator(index)
    posts = posts_of(universe, creator)
    found = posts[slot] if slot < len(posts) else None
    public = not creator.is_private and creator.kind is not Kind.MISSING
    return found if found and found.pk == value and public else None


def by_shortcode(universe: Universe, shortcode: str) -> Post | None:
    """As by_media_pk, for a shortcode."""
    return by_media_pk(universe, ids.pk_of_shortcode(shortcode))


def by_graph_id(universe: Universe, graph_id: int | str) -> Post | None:
    """The post or story with this Graph media id."""
    found = ids.owner_of_graph_id(as_number(graph_id))
    if found is None or found[0] >= universe.size:
        return None
    creator = universe.creator(found[0])
    media = (*posts_of(universe, creator), *stories_of(universe, creator))
    return next((post for post in media if post.slot == found[1]), None)


@lru_cache(maxsize=8192)
def _posts(universe: Universe, index: int) -> tuple[Post, ...]:
    creator = universe.creator(index)
    dice = random.Random(universe.number("posts", index))
    ages = sorted(_ages(creator, dice))
    return tuple(_post(universe, creator, dice, slot, age) for slot, age in enumerate(ages))


def _ages(creator: Creator, dice: random.Random) -> list[float]:
    if creator.trait is Trait.NO_POSTS:
        return []
    if creator.trait is Trait.MANY_RECENT:
        return [dice.uniform(1, _GAP[0]) for _ in range(dice.randrange(52, 61))]
    recent = dice.randrange(12, 25) if creator.trait is Trait.MANY_REELS else dice.randrange(1, 20)
    old = dice.randrange(0, 36)
    return [dice.uniform(1, _GAP[0]) for _ in range(recent)] + [dice.uniform(_GAP[1], 120) for _ in range(old)]


def _media_kind(creator: Creator, dice: random.Random) -> Media:
    weights = (1, 1, 20, 1) if creator.trait is Trait.MANY_REELS else (5, 3, 4, 1)
    return dice.choices(tuple(Media), weights)[0]


def _post(universe: Universe, creator: Creator, dice: random.Random, slot: int, age: float) -> Post:
    story = slot >= ids.FIRST_STORY
    media = dice.choice((Media.IMAGE, Media.VIDEO)) if story else _media_kind(creator, dice)
    taken_at = universe.now - int(age * DAY)
    likes = int(creator.followers * dice.uniform(0.001, 0.2))
    views = likes * dice.randrange(3, 15) + dice.randrange(50)
    companions = tuple(other.index for other in universe.others(creator.index, 2, slot))
    together = "" if story or creator.kind is Kind.MISSING else dice.choices(("", "coauthor", "owner"), (90, 6, 4))[0]
    video = media in {Media.REEL, Media.VIDEO}
    return Post(
        pk=ids.media_pk(taken_at, creator.index, slot),
        index=creator.index,
        slot=slot,
        owner=companions[0] if together == "owner" and companions else creator.index,
        media=media,
        taken_at=taken_at,
        caption=None if story or dice.random() < 0.12 else dice.choice(people.CAPTIONS),
        likes=likes,
        likes_hidden=not story and (creator.trait is Trait.HIDDEN_LIKES or dice.random() < 0.03),
        comments=int(likes * dice.uniform(0, 0.05)),
        plays=views * 2 + 7 if media is Media.REEL else None,
        views=views if video else None,
        duration=round(dice.uniform(3, 180), 3) if video else None,
        children=tuple(dice.choices((Media.IMAGE, Media.VIDEO), (4, 1), k=dice.randrange(2, 6)))
        if media is Media.CAROUSEL
        else (),
        tagged=companions[: dice.choice((0, 0, 0, 1, 2))],
        coauthors=companions[:1] if together == "coauthor" else (),
        place=dice.choice(people.PLACES) if dice.random() < 0.2 else None,
    )
