"""Who follows some accounts, and whom they follow."""

from __future__ import annotations

import json
from collections.abc import Mapping

from scripts.demo.check import Verdict
from scripts.demo.parts.base import Scene, Task
from tests.sandbox.lists import followers_of, following_of
from tests.sandbox.universe import OPEN_KINDS, Creator, Kind, Universe

NAME = "followers"
FLOWS = ("fetch_profile_followers", "fetch_profile_following")
ACCOUNTS = 10


def tasks(universe: Universe, creators: int) -> list[Task]:
    """Both lists of each account."""
    return [Task(flow, {"profile_id": str(who.pk)}) for who in accounts(universe, creators) for flow in FLOWS]


def accounts(universe: Universe, creators: int) -> list[Creator]:
    """Some open accounts."""
    known = (universe.creator(index) for index in range(creators))
    return [who for who in known if who.kind in OPEN_KINDS - {Kind.RENAMED}][:ACCOUNTS]


def events(universe: Universe, creators: int) -> Mapping[str, int]:
    """One per person on a list: who is on both lists of a pair is announced twice."""
    lists = (found(universe, who) for who in accounts(universe, creators) for found in (followers_of, following_of))
    return {"profile_relationship_log_events": sum(map(len, lists))}


async def compare(scene: Scene, verdict: Verdict) -> None:
    """Rows of profile_relationship_log: every pair, and no other, with the handle of the one who was listed."""
    pairs: dict[tuple[str, str], set[str]] = {}
    for who in accounts(scene.universe, scene.creators):
        for other in followers_of(scene.universe, who):
            pairs.setdefault((str(other.pk), str(who.pk)), set()).add(other.handle)
        for other in following_of(scene.universe, who):
            pairs.setdefault((str(who.pk), str(other.pk)), set()).add(other.handle)
    for row in await scene.pg.fetch("select * from profile_relationship_log"):
        pair = row["source_profile_id"], row["target_profile_id"]
        handles = pairs.pop(pair, None)
        verdict.rows += 1
        if handles is None:
            verdict.problems.append(f"relation {pair} should not be there")
            continue
        verdict.same(f"relation {pair}: type", row["relationship_type"], "FOLLOWS")
        said = {one["value"] for side in ("source", "target") for one in _handles(row[f"{side}_dimensions"])}
        verdict.same(f"relation {pair}: handle", said <= handles and bool(said), True)
    verdict.problems += [f"relation {pair}: missing" for pair in pairs]


def _handles(dimensions: str | None) -> list[dict[str, str]]:
    return [one for one in json.loads(dimensions or "[]") if one["key"] == "handle"]
