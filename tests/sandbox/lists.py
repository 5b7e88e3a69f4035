"""Who follows, likes and comments, and which posts are tagged: the same people and posts at every source."""

from __future__ import annotations

from dataclasses import dataclass

from tests.sandbox.people import CAPTIONS, COMMENTS
from tests.sandbox.posts import Post, posts_of
from tests.sandbox.universe import Creator, Universe

MOST = 120
"""Length of the longest list that is handed out; the counts beside it are the true ones."""


@dataclass(frozen=True)
class Comment:
    """A top-level comment. ``replied``: the post's owner has answered it."""

    pk: int
    text: str
    writer: Creator
    created_at: int
    likes: int
    replied: bool


def followers_of(universe: Universe, who: Creator) -> list[Creator]:
    """Accounts that follow this one."""
    return universe.others(who.index, min(MOST, who.followers), "fetch_followers")


def following_of(universe: Universe, who: Creator) -> list[Creator]:
    """Accounts that this one follows."""
    return universe.others(who.index, min(MOST, who.following), "fetch_following")


def likers_of(universe: Universe, post: Post) -> list[Creator]:
    """Accounts that like a post."""
    return universe.others(post.index, min(MOST, post.likes), post.slot, "likes")


def comment_count(post: Post) -> int:
    """How many comments of a post are handed out."""
    return min(post.comments, MOST)


def comment(universe: Universe, post: Post, number: int) -> Comment:
    """The comment at this place."""
    dice = universe.number("comment", post.pk, number)
    author = universe.creator(post.owner)
    return Comment(
        pk=17_870_000_000_000_000 + dice % 10**13,
        text=COMMENTS[dice % len(COMMENTS)],
        writer=next(iter(universe.others(post.index, 1, post.slot, number)), author),
        created_at=post.taken_at + 60 + number,
        likes=dice % 40,
        replied=number % 4 == 0,
    )


def tagged_posts(universe: Universe, who: Creator) -> list[Post]:
    """Public posts of others in which this account is tagged (of those near it)."""
    around = universe.others(who.index, 30, "tagging")
    return [post for other in around for post in posts_of(universe, other) if who.index in post.tagged]


def posts_with(universe: Universe, tag: str, limit: int = MOST) -> list[Post]:
    """Public posts whose caption carries the hashtag, from as few creators as it takes."""
    word = f"#{tag.lstrip('#').lower()}"
    captions = {caption for caption in CAPTIONS if word in caption.lower().split()}
    found: list[Post] = []
    for index in range(universe.size if captions else 0):
        creator = universe.creator(index)
        if not creator.is_private and creator.kind != "missing":
            found += [post for post in posts_of(universe, creator) if post.caption in captions]
        if len(found) >= limit:
            break
    return found[:limit]
