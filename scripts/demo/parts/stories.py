"""Stories: those of connected accounts with their numbers, and those of anybody."""

from __future__ import annotations

from collections.abc import Mapping

from scripts.demo.check import Verdict
from scripts.demo.parts.base import Scene, Task
from scripts.demo.parts.insights import owners
from tests.sandbox.expected_parts import expected_stories, expected_story_insights, has_story_insights
from tests.sandbox.posts import stories_of
from tests.sandbox.universe import OPEN_KINDS, Creator, Kind, Universe

NAME = "stories"
FLOWS = ("refresh_stories_posts", "refresh_story_insights", "refresh_story_posts_by_profile_id")
OTHERS = 16
"""So many accounts that are not connected."""


def tasks(universe: Universe, creators: int) -> list[Task]:
    """Own stories, numbers of each, and stories of others."""
    found: list[Task] = []
    for who in owners(universe, creators):
        found.append(Task("refresh_stories_posts", {"handle": who.handle}))
        for story in stories_of(universe, who):
            pk = str(story.pk)
            params = {"story_id": pk, "shortcode": pk, "profile_id": str(who.pk), "handle": who.handle}
            found.append(Task("refresh_story_insights", params, None if has_story_insights(universe, story) else 400))
    foreign = ({"profile_id": str(who.pk), "handle": who.handle} for who in others(universe, creators))
    return [*found, *(Task("refresh_story_posts_by_profile_id", params) for params in foreign)]


def others(universe: Universe, creators: int) -> list[Creator]:
    """Open accounts without a token of their own."""
    connected = {who.index for who in owners(universe, creators)}
    known = (universe.creator(index) for index in range(creators))
    kinds = OPEN_KINDS - {Kind.RENAMED}
    return [who for who in known if who.kind in kinds and who.index not in connected][:OTHERS]


def events(universe: Universe, creators: int) -> Mapping[str, int]:  # noqa: ARG001 - the interface
    """Posts and profiles are announced by several parts."""
    return {}


async def compare(scene: Scene, verdict: Verdict) -> None:
    """Rows of instagram_post that are stories: all of these accounts', and no others."""
    rows = {r["shortcode"]: r for r in await scene.pg.fetch("select * from instagram_post where post_type = 'story'")}
    own, foreign = owners(scene.universe, scene.creators), others(scene.universe, scene.creators)
    for who in (*own, *foreign):
        for shortcode, story in expected_stories(scene.universe, who).items():
            verdict.columns(f"story {shortcode}", vars(story), rows.get(shortcode))
    for who in own:
        for one in stories_of(scene.universe, who):
            if has_story_insights(scene.universe, one):
                wanted = expected_story_insights(scene.universe, one)
                verdict.columns(f"insights of story {one.pk}", wanted, rows.get(str(one.pk)))
    known = {shortcode for who in (*own, *foreign) for shortcode in expected_stories(scene.universe, who)}
    verdict.problems += [f"story {shortcode} should not be there" for shortcode in rows.keys() - known]
